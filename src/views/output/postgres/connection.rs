//! One connection to a PostgreSQL server: sign-in, statements, and rows copied in.
//!
//! It blocks, and no longer than its limits allow: the socket itself has deadlines, so a server that is stopped and still
//! acknowledges packets is noticed, too. The clients of the `postgres` crate wait for such a server without an end, and bring a
//! runtime. After any error a connection is of no use.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::backend::{ErrorFields, Message};
use postgres_protocol::message::frontend;

use super::address::Address;

/// The longest message taken from a server, in bytes: no answer of ours comes near it.
const MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes asked of the socket at a time.
const READ_BYTES: usize = 16 * 1024;
/// Rows copied in go out in pieces of about this size, in bytes.
const COPY_BYTES: usize = 256 * 1024;

/// How long a server may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// To be reached and to let us in.
    pub connect: Duration,
    /// For one statement, which it ends by itself then.
    pub statement: Duration,
    /// Between two signs of life; longer than a statement.
    pub silence: Duration,
}

#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The connection is gone, as after a restart of the server: a new one may do.
    #[error("the server ended the connection: {0}")]
    Lost(String),
    #[error("{0}")]
    Failed(String),
}

/// Columns of one row, as text.
pub type Row = Vec<Option<String>>;

pub struct Connection {
    stream: TcpStream,
    received: BytesMut,
    /// When the next answer must be there, while signing in; later every read has the same time.
    deadline: Option<Instant>,
    /// As the server calls it: `15.4 (Debian 15.4-1)`.
    pub version: String,
}

impl Connection {
    /// # Errors
    /// When the server cannot be reached, does not let us in, or asks for what we do not speak. No password is told.
    pub fn open(address: &Address, limits: &Limits) -> Result<Connection, PostgresError> {
        let deadline = Instant::now() + limits.connect;
        let stream = reach(address, deadline)?;
        let set = stream
            .set_nodelay(true)
            .and_then(|()| stream.set_write_timeout(Some(limits.silence)));
        set.map_err(|error| of_io(&error))?;
        let mut connection = Connection {
            stream,
            received: BytesMut::new(),
            deadline: Some(deadline),
            version: String::new(),
        };
        connection.sign_in(address)?;
        connection.deadline = None;
        let set = connection.stream.set_read_timeout(Some(limits.silence));
        set.map_err(|error| of_io(&error))?;
        Ok(connection)
    }

    /// Runs one statement or several with semicolons between, and hands out the rows of all.
    ///
    /// # Errors
    /// What the server says of them, or that it is gone.
    pub fn run(&mut self, sql: &str) -> Result<Vec<Row>, PostgresError> {
        self.send(|message| frontend::query(sql, message))?;
        let mut rows = Vec::new();
        self.until_ready(|message| {
            if let Message::DataRow(row) = message {
                let buffer = row.buffer();
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let ranges = row.ranges();
                let cells = ranges.map(|range| Ok(range.map(|range| text(&buffer[range]))));
                rows.push(cells.collect::<Vec<_>>()?);
            }
            Ok(())
        })?;
        Ok(rows)
    }

    /// Runs a `COPY ... FROM STDIN` and sends these pieces, of whole lines each.
    ///
    /// # Errors
    /// As for [`Connection::run`]; and what a piece says in its own place.
    pub fn copy_in<E: From<PostgresError>>(
        &mut self,
        sql: &str,
        pieces: impl Iterator<Item = Result<Vec<u8>, E>>,
    ) -> Result<(), E> {
        self.send(|message| frontend::query(sql, message))?;
        match self.receive()? {
            Message::CopyInResponse(_) => {}
            Message::ErrorResponse(error) => return Err(of_server(error.fields()).into()),
            _ => return Err(unexpected("rows were announced").into()),
        }
        for piece in pieces {
            for part in piece?.chunks(COPY_BYTES) {
                self.send(|message| {
                    frontend::CopyData::new(part)?.write(message);
                    Ok(())
                })?;
            }
        }
        self.send(|message| {
            frontend::copy_done(message);
            Ok(())
        })?;
        self.until_ready(|_| Ok(()))?;
        Ok(())
    }

    fn sign_in(&mut self, address: &Address) -> Result<(), PostgresError> {
        let parameters = [
            ("user", address.user.as_str()),
            ("database", address.database.as_str()),
            ("application_name", address.application.as_str()),
            ("client_encoding", "UTF8"),
        ];
        self.send(|message| frontend::startup_message(parameters, message))?;
        self.authenticate(address)?;
        let mut version = String::new();
        self.until_ready(|message| {
            if let Message::ParameterStatus(status) = message
                && status.name()? == "server_version"
            {
                version = status.value()?.to_owned();
            }
            Ok(())
        })?;
        self.version = version;
        Ok(())
    }

    fn authenticate(&mut self, address: &Address) -> Result<(), PostgresError> {
        let password = || {
            let password = address.password.as_ref().map(String::as_bytes);
            password.ok_or_else(|| {
                PostgresError::Failed("the server asks for a password, and the url has none".to_owned())
            })
        };
        match self.receive()? {
            Message::AuthenticationOk => return Ok(()),
            Message::AuthenticationCleartextPassword => {
                let password = password()?;
                self.send(|message| frontend::password_message(password, message))?;
            }
            Message::AuthenticationMd5Password(body) => {
                let hash = md5_hash(address.user.as_bytes(), password()?, body.salt());
                self.send(|message| frontend::password_message(hash.as_bytes(), message))?;
            }
            Message::AuthenticationSasl(body) => {
                let mut mechanisms = body.mechanisms();
                let known = mechanisms.any(|mechanism| Ok(mechanism == SCRAM_SHA_256));
                if !known.map_err(|error| of_io(&error))? {
                    return Err(unexpected("a sign-in other than SCRAM-SHA-256 was asked for"));
                }
                self.scram(password()?)?;
            }
            Message::ErrorResponse(error) => return Err(of_server(error.fields())),
            _ => return Err(unexpected("a sign-in that is not by password was asked for")),
        }
        match self.receive()? {
            Message::AuthenticationOk => Ok(()),
            Message::ErrorResponse(error) => Err(of_server(error.fields())),
            _ => Err(unexpected("the sign-in went on after the password")),
        }
    }

    /// RFC 7677: the server proves, too, that it knows the password.
    fn scram(&mut self, password: &[u8]) -> Result<(), PostgresError> {
        let refused = |error: io::Error| PostgresError::Failed(format!("the sign-in failed: {error}"));
        let mut scram = ScramSha256::new(password, ChannelBinding::unsupported());
        self.send(|message| frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), message))?;
        match self.receive()? {
            Message::AuthenticationSaslContinue(body) => scram.update(body.data()).map_err(refused)?,
            Message::ErrorResponse(error) => return Err(of_server(error.fields())),
            _ => return Err(unexpected("SCRAM was not answered")),
        }
        self.send(|message| frontend::sasl_response(scram.message(), message))?;
        match self.receive()? {
            Message::AuthenticationSaslFinal(body) => scram.finish(body.data()).map_err(refused),
            Message::ErrorResponse(error) => Err(of_server(error.fields())),
            _ => Err(unexpected("SCRAM was not ended")),
        }
    }

    /// Hands out all messages up to the one that says that the next statement may come. The server's first error is the
    /// outcome, also where it ends the connection over it.
    fn until_ready(&mut self, mut take: impl FnMut(&Message) -> io::Result<()>) -> Result<(), PostgresError> {
        let mut failed = None;
        loop {
            match self.receive() {
                Ok(Message::ReadyForQuery(_)) => return failed.map_or(Ok(()), Err),
                Ok(Message::ErrorResponse(error)) => {
                    failed = failed.or_else(|| Some(of_server(error.fields())))
                }
                Ok(Message::CopyInResponse(_) | Message::CopyOutResponse(_)) => {
                    return Err(unexpected("rows were asked for"));
                }
                Ok(message) => take(&message).map_err(|error| of_io(&error))?,
                Err(error) => return Err(failed.unwrap_or(error)),
            }
        }
    }

    fn send(&mut self, write: impl FnOnce(&mut BytesMut) -> io::Result<()>) -> Result<(), PostgresError> {
        let mut message = BytesMut::new();
        // What cannot be written is a text with a NUL, or of 2 GiB.
        write(&mut message).map_err(|error| PostgresError::Failed(error.to_string()))?;
        match self.stream.write_all(&message) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.last_words().unwrap_or_else(|| of_io(&error))),
        }
    }

    /// What the server said before it ended a connection that could no longer be written to.
    fn last_words(&mut self) -> Option<PostgresError> {
        self.stream
            .set_read_timeout(Some(Duration::from_millis(100)))
            .ok()?;
        self.deadline = None;
        while let Ok(message) = self.receive() {
            if let Message::ErrorResponse(error) = message {
                return Some(of_server(error.fields()));
            }
        }
        None
    }

    fn receive(&mut self) -> Result<Message, PostgresError> {
        loop {
            match Message::parse(&mut self.received) {
                Ok(Some(Message::NoticeResponse(_) | Message::NotificationResponse(_))) => {}
                Ok(Some(message)) => return Ok(message),
                Ok(None) => self.read_more()?,
                Err(error) => return Err(unexpected(&error.to_string())),
            }
        }
    }

    fn read_more(&mut self) -> Result<(), PostgresError> {
        if self.received.len() > MESSAGE_BYTES_MAX {
            return Err(unexpected("its message is too long"));
        }
        if let Some(deadline) = self.deadline {
            let left = left_until(deadline)?;
            let set = self.stream.set_read_timeout(Some(left));
            set.map_err(|error| of_io(&error))?;
        }
        let mut bytes = [0; READ_BYTES];
        let count = loop {
            match self.stream.read(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.map_err(|error| of_io(&error))?,
            }
        };
        if count == 0 {
            return Err(PostgresError::Lost("no answer came".to_owned()));
        }
        self.received.extend_from_slice(&bytes[..count]);
        Ok(())
    }
}

impl Drop for Connection {
    /// Says farewell, so that the server does not log a lost client.
    fn drop(&mut self) {
        let mut message = BytesMut::new();
        frontend::terminate(&mut message);
        // It is gone either way, and nobody waits for a server that takes nothing any more.
        if self.stream.set_nonblocking(true).is_ok() {
            let _ = self.stream.write(&message);
        }
    }
}

fn reach(address: &Address, deadline: Instant) -> Result<TcpStream, PostgresError> {
    let Address { host, port, .. } = address;
    let cannot = |error: &dyn std::fmt::Display| {
        PostgresError::Failed(format!("the server at {host}:{port} cannot be reached: {error}"))
    };
    let mut last = None;
    let places = (host.as_str(), *port)
        .to_socket_addrs()
        .map_err(|error| cannot(&error))?;
    for place in places {
        match TcpStream::connect_timeout(&place, left_until(deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(|| cannot(&"its name has no address"), |error| cannot(&error)))
}

fn left_until(deadline: Instant) -> Result<Duration, PostgresError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(PostgresError::Failed(
            "the server did not answer in time".to_owned(),
        ));
    }
    Ok(left)
}

fn of_io(error: &io::Error) -> PostgresError {
    match error.kind() {
        // Both are what a read past its time is, by platform.
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            PostgresError::Failed("the server did not answer in time".to_owned())
        }
        _ => PostgresError::Lost(error.to_string()),
    }
}

fn unexpected(what: &str) -> PostgresError {
    PostgresError::Failed(format!("this is not what a PostgreSQL server answers: {what}"))
}

/// A server's error in one line: what happened, its code, and what the server adds.
fn of_server(mut fields: ErrorFields<'_>) -> PostgresError {
    let (mut message, mut code, mut added) = (String::new(), String::new(), String::new());
    while let Ok(Some(field)) = fields.next() {
        let text = String::from_utf8_lossy(field.value_bytes());
        match field.type_() {
            b'M' => message = text.into_owned(),
            b'C' => code = text.into_owned(),
            b'D' | b'H' => added = format!("{added}: {text}"),
            _ => {}
        }
    }
    let said = format!("{message} ({code}){added}");
    // Class 57P: it stops, was killed, or does not take anybody in yet.
    if code.starts_with("57P") {
        PostgresError::Lost(said)
    } else {
        PostgresError::Failed(said)
    }
}
