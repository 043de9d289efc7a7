//! Asking the ingester that runs on this machine, if one does: a single HTTP request with little patience.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::server::LiveStatus;

const CONNECT_WAIT: Duration = Duration::from_millis(300);
const ANSWER_WAIT: Duration = Duration::from_millis(1500);
/// More than a status of thousands of topics takes.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// The live state of the ingester that listens here; None when nobody does.
///
/// # Errors
/// When somebody listens who is no ingester of this version, or does not answer in time.
pub fn ask(listen: SocketAddr) -> Result<Option<LiveStatus>, String> {
    let address = reachable(listen);
    let mut stream = match TcpStream::connect_timeout(&address, CONNECT_WAIT) {
        Ok(stream) => stream,
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return Ok(None),
        Err(error) => return Err(format!("{address}: {error}")),
    };
    let answer = exchange(&mut stream, address).map_err(|error| format!("{address}: {error}"))?;
    let foreign = || format!("{address}: what answers there is no eventlake of this version");
    let text = std::str::from_utf8(&answer).map_err(|_| foreign())?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(foreign)?;
    // A server answers a request of HTTP/1.0 in either version.
    if !head.starts_with("HTTP/1.0 200 ") && !head.starts_with("HTTP/1.1 200 ") {
        return Err(foreign());
    }
    serde_json::from_str(body).map(Some).map_err(|_| foreign())
}

/// Asks and reads to the end. HTTP/1.0, so that the answer is never chunked and ends with the connection.
fn exchange(stream: &mut TcpStream, address: SocketAddr) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + ANSWER_WAIT;
    stream.set_write_timeout(Some(ANSWER_WAIT))?;
    let request = format!("GET /api/v1/status HTTP/1.0\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut piece = [0; 16 * 1024];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || answer.len() as u64 > ANSWER_BYTES_MAX {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut piece)? {
            0 => return Ok(answer),
            read => answer.extend_from_slice(&piece[..read]),
        }
    }
}

/// "All interfaces" is no address to connect to: the machine's own is one of them.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
