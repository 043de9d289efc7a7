//! The bytes of one connection, plain or over TLS, and never waited for beyond their time.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

/// What lies between us and a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    Plain,
    Encrypted,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Line::Plain => "without TLS",
            Line::Encrypted => "over TLS",
        })
    }
}

/// It blocks, as long as its socket may. What TLS itself fails over is an error that has a `rustls::Error` within.
pub struct Wire {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Wire {
    pub fn plain(socket: TcpStream) -> Wire {
        Wire { socket, tls: None }
    }

    /// Speaks TLS from here on. Nothing may have been read beyond what was answered: bytes that somebody on the way added in
    /// plain would be taken for the server's.
    pub fn encrypt(
        &mut self,
        config: ClientConfig,
        name: ServerName<'static>,
        deadline: Instant,
    ) -> io::Result<()> {
        let tls = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let tls = self.tls.insert(Box::new(tls));
        write_out(tls, &mut self.socket)?;
        while tls.is_handshaking() {
            if take_in(tls, &mut self.socket, Some(deadline))? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    pub fn line(&self) -> Line {
        match self.tls {
            None => Line::Plain,
            Some(_) => Line::Encrypted,
        }
    }

    /// What the server showed, in DER; none on a plain line.
    pub fn certificate(&self) -> Option<&[u8]> {
        let chain = self.tls.as_ref()?.peer_certificates()?;
        chain.first().map(AsRef::as_ref)
    }

    /// How long a read may wait that has no deadline.
    pub fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.socket.set_read_timeout(Some(patience))
    }

    /// Some bytes, or none where no more will come.
    pub fn read(&mut self, bytes: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return read_some(&mut self.socket, deadline, |socket| socket.read(bytes));
        };
        loop {
            match tls.reader().read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Its end without a farewell, as of a server that was killed.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            take_in(tls, &mut self.socket, deadline)?;
        }
    }

    pub fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            return self.socket.write_all(bytes);
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            // As much as it holds before it must go out.
            let count = tls.writer().write(rest)?;
            rest = &rest[count..];
            write_out(tls, &mut self.socket)?;
        }
        Ok(())
    }

    /// The last bytes, if they can go out at once: nobody waits for a server that takes nothing any more.
    pub fn end_with(&mut self, bytes: &[u8]) {
        if self.socket.set_nonblocking(true).is_err() {
            return;
        }
        match &mut self.tls {
            None => {
                let _ = self.socket.write(bytes);
            }
            Some(tls) => {
                let _ = tls.writer().write(bytes);
                tls.send_close_notify();
                let _ = write_out(tls, &mut self.socket);
            }
        }
    }
}

/// Takes in what there is, and answers what TLS wants answered. Says how many bytes came.
fn take_in(
    tls: &mut ClientConnection,
    socket: &mut TcpStream,
    deadline: Option<Instant>,
) -> io::Result<usize> {
    let count = read_some(socket, deadline, |socket| tls.read_tls(socket))?;
    let processed = tls.process_new_packets();
    // Also what tells the server that it was not understood.
    let written = write_out(tls, socket);
    processed.map_err(io::Error::other)?;
    written?;
    Ok(count)
}

fn write_out(tls: &mut ClientConnection, socket: &mut TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        match tls.write_tls(socket) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn read_some(
    socket: &mut TcpStream,
    deadline: Option<Instant>,
    mut read: impl FnMut(&mut TcpStream) -> io::Result<usize>,
) -> io::Result<usize> {
    loop {
        if let Some(deadline) = deadline {
            socket.set_read_timeout(Some(left_until(deadline)?))?;
        }
        match read(socket) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

pub fn left_until(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}
