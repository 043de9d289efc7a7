//! One connection to a PostgreSQL server: sign-in, statements, and rows copied in.
//!
//! It blocks, and no longer than its limits allow: the socket itself has deadlines, so a server that is stopped and still
//! acknowledges packets is noticed, too. The clients of the `postgres` crate wait for such a server without an end, and bring a
//! runtime. After any error a connection is of no use.

use std::io;
use std::net::{IpAddr, Ipv4Addr, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use fallible_iterator::FallibleIterator as _;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{
    ChannelBinding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256,
};
use postgres_protocol::message::backend::{ErrorFields, ErrorResponseBody, Message};
use postgres_protocol::message::frontend;
use rustls::pki_types::ServerName;

use super::address::Address;
use super::certificate;
use super::encryption::{Binding, Encryption, Trust, client_config, in_words, of_line};
use super::wire::{Line, Wire, left_until};

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
    /// Nobody is let in this way, but may be over another line.
    #[error("{said}")]
    Refused { over: Line, said: String },
    #[error("{0}")]
    Failed(String),
}

/// How a line is made.
#[derive(Clone, Copy)]
enum Way<'t> {
    Plain,
    EncryptedIfOffered,
    Encrypted(&'t Trust),
}

/// Columns of one row, as text.
pub type Row = Vec<Option<String>>;

pub struct Connection {
    wire: Wire,
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
        let (way, other) = match &address.encryption {
            Encryption::Never => (Way::Plain, None),
            Encryption::IfRefused => (
                Way::Plain,
                Some((Line::Encrypted, Way::Encrypted(&Trust::Anyone))),
            ),
            Encryption::IfOffered => (Way::EncryptedIfOffered, Some((Line::Plain, Way::Plain))),
            Encryption::Always(trust) => (Way::Encrypted(trust), None),
        };
        let outcome = Connection::enter(address, way, deadline, limits);
        let Err(PostgresError::Refused { over, said }) = outcome else {
            return outcome;
        };
        match other {
            Some((line, way)) if line != over => {
                let outcome = Connection::enter(address, way, deadline, limits);
                outcome.map_err(|error| PostgresError::Failed(format!("{said}; and {line}: {error}")))
            }
            None if over == Line::Plain => Err(PostgresError::Failed(format!(
                "{said}. hint: the url's sslmode=disable goes without TLS; where the server wants it, sslmode=require or better"
            ))),
            _ => Err(PostgresError::Failed(said)),
        }
    }

    fn enter(
        address: &Address,
        way: Way<'_>,
        deadline: Instant,
        limits: &Limits,
    ) -> Result<Connection, PostgresError> {
        let socket = reach(address, deadline)?;
        let set = socket
            .set_nodelay(true)
            .and_then(|()| socket.set_write_timeout(Some(limits.silence)));
        set.map_err(|error| of_io(&error))?;
        let mut connection = Connection {
            wire: Wire::plain(socket),
            received: BytesMut::new(),
            deadline: Some(deadline),
            version: String::new(),
        };
        match way {
            Way::Plain => {}
            Way::EncryptedIfOffered => connection.encrypt(address, &Trust::Anyone, deadline)?,
            Way::Encrypted(trust) => {
                connection.encrypt(address, trust, deadline)?;
                if connection.wire.line() == Line::Plain {
                    return Err(PostgresError::Failed(
                        "the server does not speak TLS, and the url's sslmode does not go without. \
                         hint: turn `ssl` on at the server; sslmode=disable is for a network that nobody else is on"
                            .to_owned(),
                    ));
                }
            }
        }
        connection.sign_in(address)?;
        connection.deadline = None;
        let set = connection.wire.set_patience(limits.silence);
        set.map_err(|error| of_io(&error))?;
        Ok(connection)
    }

    /// Asks for TLS, and speaks it where the server does.
    fn encrypt(&mut self, address: &Address, trust: &Trust, deadline: Instant) -> Result<(), PostgresError> {
        let host = &address.host;
        let config = client_config(trust, address.client.as_ref())
            .map_err(|error| PostgresError::Failed(error.to_string()))?;
        let name = match ServerName::try_from(host.clone()) {
            Ok(name) => name,
            Err(_) if matches!(trust, Trust::Name(_)) => {
                let said = format!("{host} is no name that a certificate could be for");
                return Err(PostgresError::Failed(said));
            }
            // An address is not told to the server, and nothing is held against it.
            Err(_) => ServerName::from(IpAddr::from(Ipv4Addr::UNSPECIFIED)),
        };
        self.send(|message| {
            frontend::ssl_request(message);
            Ok(())
        })?;
        let mut answer = [0];
        let count = self.wire.read(&mut answer, Some(deadline));
        match (count.map_err(|error| of_io(&error))?, &answer) {
            (0, _) => {
                return Err(PostgresError::Lost(
                    "it did not answer whether it speaks TLS".to_owned(),
                ));
            }
            (_, b"S") => {}
            (_, b"N") => return Ok(()),
            // An error comes from whoever is on the way, as far as we know: its text is not repeated.
            _ => return Err(unexpected("whether it speaks TLS was asked")),
        }
        match self.wire.encrypt(config, name, deadline) {
            Ok(()) => Ok(()),
            Err(error) if is_late(&error) => Err(of_io(&error)),
            Err(error) => Err(PostgresError::Refused {
                over: Line::Encrypted,
                said: match of_tls(&error) {
                    Some(error) => in_words(error, host, trust),
                    None => format!("the server ended the connection instead of speaking TLS: {error}"),
                },
            }),
        }
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
        let asked = self.receive()?;
        let is_bound = matches!(asked, Message::AuthenticationSasl(_) | Message::ErrorResponse(_));
        if address.binding == Binding::Required && !is_bound {
            return Err(unbound());
        }
        match asked {
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
                let mechanisms: Vec<String> = body
                    .mechanisms()
                    .map(|mechanism| Ok(mechanism.to_owned()))
                    .collect()
                    .map_err(|error| of_io(&error))?;
                self.scram(password()?, address.binding, &mechanisms)?;
            }
            Message::ErrorResponse(error) => return Err(self.refusal(&error)),
            _ => return Err(unexpected("a sign-in that is not by password was asked for")),
        }
        match self.receive()? {
            Message::AuthenticationOk => Ok(()),
            Message::ErrorResponse(error) => Err(self.refusal(&error)),
            _ => Err(unexpected("the sign-in went on after the password")),
        }
    }

    /// RFC 7677: the server proves, too, that it knows the password; and over TLS that nobody sits between, who ends the one
    /// line and begins another.
    fn scram(&mut self, password: &[u8], binding: Binding, offered: &[String]) -> Result<(), PostgresError> {
        let end_point = self.wire.certificate().and_then(certificate::end_point);
        let (mechanism, binding) = mechanism(binding, end_point, offered)?;
        let refused = |error: io::Error| PostgresError::Failed(format!("the sign-in failed: {error}"));
        let mut scram = ScramSha256::new(password, binding);
        self.send(|message| frontend::sasl_initial_response(mechanism, scram.message(), message))?;
        match self.receive()? {
            Message::AuthenticationSaslContinue(body) => scram.update(body.data()).map_err(refused)?,
            Message::ErrorResponse(error) => return Err(self.refusal(&error)),
            _ => return Err(unexpected("SCRAM was not answered")),
        }
        self.send(|message| frontend::sasl_response(scram.message(), message))?;
        match self.receive()? {
            Message::AuthenticationSaslFinal(body) => scram.finish(body.data()).map_err(refused),
            Message::ErrorResponse(error) => Err(self.refusal(&error)),
            _ => Err(unexpected("SCRAM was not ended")),
        }
    }

    /// What the server says instead of letting us in.
    fn refusal(&self, error: &ErrorResponseBody) -> PostgresError {
        let (code, said) = in_one_line(error.fields());
        // Its rules (`pg_hba.conf`) let nobody of this name in over this line. A wrong password has a code of its own.
        if code == "28000" {
            let over = self.wire.line();
            PostgresError::Refused { over, said }
        } else {
            of_server(error.fields())
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
        match self.wire.write_all(&message) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.last_words().unwrap_or_else(|| of_io(&error))),
        }
    }

    /// What the server said before it ended a connection that could no longer be written to.
    fn last_words(&mut self) -> Option<PostgresError> {
        self.wire.set_patience(Duration::from_millis(100)).ok()?;
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
        let mut bytes = [0; READ_BYTES];
        let count = self.wire.read(&mut bytes, self.deadline);
        let count = count.map_err(|error| of_io(&error))?;
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
        self.wire.end_with(&message);
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
        let left = left_until(deadline).map_err(|error| of_io(&error))?;
        match TcpStream::connect_timeout(&place, left) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last.map_or_else(|| cannot(&"its name has no address"), |error| cannot(&error)))
}

/// What the sign-in says with SCRAM: it is bound to the line where both ends can.
fn mechanism(
    binding: Binding,
    end_point: Option<Vec<u8>>,
    offered: &[String],
) -> Result<(&'static str, ChannelBinding), PostgresError> {
    let offers = |mechanism| offered.iter().any(|offered| offered == mechanism);
    let end_point = end_point.filter(|_| binding != Binding::Never);
    match end_point {
        Some(end_point) if offers(SCRAM_SHA_256_PLUS) => Ok((
            SCRAM_SHA_256_PLUS,
            ChannelBinding::tls_server_end_point(end_point),
        )),
        _ if binding == Binding::Required => Err(unbound()),
        // A server that did offer it knows then that somebody on the way left it out.
        Some(_) if offers(SCRAM_SHA_256) => Ok((SCRAM_SHA_256, ChannelBinding::unrequested())),
        None if offers(SCRAM_SHA_256) => Ok((SCRAM_SHA_256, ChannelBinding::unsupported())),
        _ => Err(unexpected("a sign-in other than SCRAM-SHA-256 was asked for")),
    }
}

fn unbound() -> PostgresError {
    PostgresError::Failed(
        "the sign-in cannot be bound to the line, which the url's channel_binding=require asks for. \
         hint: that takes TLS and a password kept as scram-sha-256"
            .to_owned(),
    )
}

fn is_late(error: &io::Error) -> bool {
    // Both are what a read past its time is, by platform.
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn of_tls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn of_io(error: &io::Error) -> PostgresError {
    match of_tls(error) {
        Some(error) => PostgresError::Failed(of_line(error)),
        None if is_late(error) => PostgresError::Failed("the server did not answer in time".to_owned()),
        None => PostgresError::Lost(error.to_string()),
    }
}

fn unexpected(what: &str) -> PostgresError {
    PostgresError::Failed(format!("this is not what a PostgreSQL server answers: {what}"))
}

fn of_server(fields: ErrorFields<'_>) -> PostgresError {
    let (code, said) = in_one_line(fields);
    // Class 57P: it stops, was killed, or does not take anybody in yet.
    if code.starts_with("57P") {
        PostgresError::Lost(said)
    } else {
        PostgresError::Failed(said)
    }
}

/// The code of a server's error, and all of it: what happened, the code, and what the server adds.
fn in_one_line(mut fields: ErrorFields<'_>) -> (String, String) {
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
    (code, said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_is_bound_where_both_ends_can() {
        let both = [SCRAM_SHA_256_PLUS.to_owned(), SCRAM_SHA_256.to_owned()];
        let plain = &both[1..];
        let cases = [
            (
                Binding::Preferred,
                true,
                &both[..],
                Some((SCRAM_SHA_256_PLUS, "p=tls-server-end-point,,")),
            ),
            (
                Binding::Required,
                true,
                &both,
                Some((SCRAM_SHA_256_PLUS, "p=tls-server-end-point,,")),
            ),
            (Binding::Never, true, &both, Some((SCRAM_SHA_256, "n,,"))),
            (Binding::Preferred, true, plain, Some((SCRAM_SHA_256, "y,,"))),
            (Binding::Required, true, plain, None),
            (Binding::Preferred, false, plain, Some((SCRAM_SHA_256, "n,,"))),
            (Binding::Required, false, &both, None),
            (Binding::Preferred, true, &[], None),
        ];
        for (binding, is_encrypted, offered, expected) in cases {
            let chosen = mechanism(binding, is_encrypted.then(|| vec![1]), offered).ok();
            let begun = chosen.map(|(mechanism, binding)| {
                let scram = ScramSha256::new(b"p", binding);
                (mechanism, String::from_utf8_lossy(scram.message()).into_owned())
            });
            match (begun, expected) {
                (None, None) => {}
                (Some((mechanism, message)), Some((expected, header))) => {
                    assert_eq!(mechanism, expected);
                    assert!(message.starts_with(header), "{message}");
                }
                (begun, expected) => panic!("{begun:?}, expected {expected:?}"),
            }
        }
    }
}
