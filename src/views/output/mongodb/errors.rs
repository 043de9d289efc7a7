//! What the driver and the server say when something fails, in words with a next step.

use std::io;

use mongodb::error::{Error, ErrorKind};

/// A text of a server is shown up to here, in characters.
const TEXT_MAX: usize = 300;

/// Codes of the server's own list of errors.
const UNAUTHORIZED: i32 = 13;
const AUTHENTICATION_FAILED: i32 = 18;
const TIME_EXCEEDED: i32 = 50;
/// The server stops, starts, or is no longer the one that takes writes.
const MOVED: [i32; 8] = [91, 189, 10107, 11600, 11602, 13435, 13436, 17405];

#[derive(Debug, thiserror::Error)]
pub enum MongoError {
    /// The connection is of no use any more, as after a restart of the server: a new one may do.
    #[error("{0}")]
    Lost(String),
    #[error("{0}")]
    Failed(String),
}

/// Only what a message of the driver is about: its whole form repeats the server's answer, which may hold a document.
pub fn of_driver(error: &Error) -> MongoError {
    match error.kind.as_ref() {
        ErrorKind::Authentication { message, .. } => MongoError::Failed(refused(message)),
        ErrorKind::ServerSelection { message, .. } if is_about_signing_in(message) => {
            MongoError::Failed(refused(message))
        }
        ErrorKind::ServerSelection { message, .. } => MongoError::Lost(format!(
            "no server that takes writes can be reached: {}. hint: is it running, does the url name it, and is its certificate one that this machine trusts?",
            short(&servers(message))
        )),
        ErrorKind::Command(command) => of_command(command.code, &command.message),
        ErrorKind::Io(error) if error.kind() == io::ErrorKind::TimedOut => {
            MongoError::Lost("the server did not answer in time".to_owned())
        }
        ErrorKind::Io(error) => MongoError::Lost(format!("the server ended the connection: {error}")),
        ErrorKind::ConnectionPoolCleared { .. } | ErrorKind::Shutdown => {
            MongoError::Lost("the server ended the connection".to_owned())
        }
        ErrorKind::InvalidTlsConfig { message, .. } => {
            MongoError::Failed(format!("TLS cannot be used: {}", short(message)))
        }
        ErrorKind::IncompatibleServer { message, .. } => MongoError::Failed(short(message)),
        other => MongoError::Failed(short(&other.to_string())),
    }
}

/// What a server says of one command, or one statement of it.
pub fn of_command(code: i32, message: &str) -> MongoError {
    let said = short(message);
    if MOVED.contains(&code) {
        return MongoError::Lost(format!("the server takes no writes now: {said}"));
    }
    MongoError::Failed(match code {
        UNAUTHORIZED => format!(
            "the user may not do that: {said}. hint: give it the role readWrite on the database; is there a user in the url at all?"
        ),
        AUTHENTICATION_FAILED => refused(message),
        TIME_EXCEEDED => format!("the server gave up a command after its time was up: {said}"),
        code => format!("{said} (error {code})"),
    })
}

/// What the driver found of each server, out of its description of all that it knows.
fn servers(message: &str) -> String {
    let of_one = |server: &str| {
        let (address, rest) = server.split_once(", Type: ")?;
        let kind = rest.split([',', ' ']).next().unwrap_or_default();
        let error = rest.split_once("Error: Kind: ");
        let error = error.and_then(|(_, error)| error.split_once(", labels: "));
        Some(error.map_or_else(
            || format!("{address} ({kind})"),
            |(error, _)| format!("{address}: {error}"),
        ))
    };
    let told: Vec<String> = message.split("{ Address: ").skip(1).filter_map(of_one).collect();
    if told.is_empty() {
        message.to_owned()
    } else {
        told.join("; ")
    }
}

fn is_about_signing_in(message: &str) -> bool {
    message.contains("Kind: SCRAM failure") || message.contains("Authentication failed")
}

fn refused(message: &str) -> String {
    format!(
        "the server does not let the url's user in: {}. hint: are user and password right, and does authSource name the database that knows the user?",
        short(message)
    )
}

fn short(text: &str) -> String {
    let text = text.trim_end_matches(['.', ' ']);
    match text.char_indices().nth(TEXT_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_all_that_the_driver_knows_each_servers_reason_is_said() {
        let message = "Server selection timeout: No available servers. Topology: { Type: ReplicaSetNoPrimary, Servers: [ \
                       { Address: a:1, Type: Unknown, Error: Kind: I/O error: refused, labels: {\"x\"}, source: None }, \
                       { Address: b:2, Type: RsSecondary, Average RTT: 2ms } ] }";
        assert_eq!(servers(message), "a:1: I/O error: refused; b:2 (RsSecondary)");
        assert_eq!(servers("no DNS"), "no DNS");
    }

    #[test]
    fn what_a_new_connection_may_mend_is_told_apart() {
        for (code, expected) in [(10107, "takes no writes now"), (11600, "takes no writes now")] {
            let error = of_command(code, "not master");
            assert!(
                matches!(&error, MongoError::Lost(text) if text.contains(expected)),
                "{error}"
            );
        }
        for (code, expected) in [
            (13, "readWrite"),
            (18, "authSource"),
            (50, "time was up"),
            (121, "(error 121)"),
        ] {
            let error = of_command(code, "no");
            assert!(
                matches!(&error, MongoError::Failed(text) if text.contains(expected)),
                "{error}"
            );
        }
        assert_eq!(short(&"é".repeat(TEXT_MAX + 1)).chars().count(), TEXT_MAX + 3);
    }
}
