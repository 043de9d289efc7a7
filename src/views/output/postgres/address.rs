//! What a PostgreSQL URL says: where the server is, who asks it, and for which database.

use percent_encoding::percent_decode_str;

/// A place to connect to, and who connects.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// A name or an IP address; a version 6 one without brackets.
    pub host: String,
    pub port: u16,
    pub user: String,
    pub password: Option<String>,
    pub database: String,
    pub application: String,
}

/// What is wrong with a URL. It never holds a part of it: where one is malformed, any part may be of the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the output's url {0}")]
pub struct BadUrl(&'static str);

const SCHEME: BadUrl = BadUrl("does not begin with postgres:// or postgresql://");
const CHARACTERS: BadUrl = BadUrl(
    "is ambiguous. hint: write the characters : / ? # [ ] @ % of a user, a password or a database as %3A, %2F, %3F, ...",
);
const TLS: BadUrl = BadUrl(
    "asks for TLS by its sslmode, which this output does not speak. \
     hint: reach the server over a trusted network or a tunnel, without an sslmode",
);

impl Address {
    /// # Errors
    /// When it is not of the form `postgres://user[:password]@host[:port][/database][?parameter=value&...]`, or asks for what
    /// is not there.
    pub fn parse(url: &str) -> Result<Address, BadUrl> {
        let rest = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"))
            .ok_or(SCHEME)?;
        let (rest, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        // A raw `/` or `?` in a password would have its end pass for a path, and its beginning for a host that errors name.
        if database.contains(['@', '/']) || parameters.contains(['@', '?']) || url.contains('#') {
            return Err(CHARACTERS);
        }
        let (credentials, place) = authority.split_once('@').ok_or(BadUrl("names no user"))?;
        if place.contains('@') {
            return Err(CHARACTERS);
        }
        let (user, password) = match credentials.split_once(':') {
            Some((_, password)) if password.contains(':') => return Err(CHARACTERS),
            Some((user, password)) => (user, Some(password)),
            None => (credentials, None),
        };
        let user = decoded(user)?;
        if user.is_empty() {
            return Err(BadUrl("names no user"));
        }
        let (host, port) = host_and_port(place)?;
        Ok(Address {
            host,
            port,
            password: password.map(decoded).transpose()?,
            database: match database {
                "" => user.clone(),
                name => decoded(name)?,
            },
            application: application(parameters)?,
            user,
        })
    }
}

fn host_and_port(place: &str) -> Result<(String, u16), BadUrl> {
    let bad_port = BadUrl("has a port that is not a number from 1 to 65535");
    let (host, port) = match place.strip_prefix('[') {
        Some(bracketed) => {
            let (host, rest) = bracketed.split_once(']').ok_or(CHARACTERS)?;
            match rest.strip_prefix(':') {
                Some(port) => (host, port),
                None if rest.is_empty() => (host, "5432"),
                None => return Err(CHARACTERS),
            }
        }
        None => place.split_once(':').unwrap_or((place, "5432")),
    };
    if host.contains(',') {
        return Err(BadUrl(
            "names several hosts. hint: name the one that takes writes",
        ));
    }
    let host = decoded(host)?;
    if host.is_empty() || host.starts_with('/') {
        return Err(BadUrl(
            "names no host. hint: a Unix socket cannot be used, but 127.0.0.1 can",
        ));
    }
    match port.parse() {
        Ok(port) if port > 0 => Ok((host, port)),
        _ => Err(bad_port),
    }
}

/// The name under which the server lists the connection; the only parameter that means something here.
fn application(parameters: &str) -> Result<String, BadUrl> {
    let mut application = "eventlake".to_owned();
    for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
        match parameter.split_once('=') {
            Some(("application_name", name)) => application = decoded(name)?,
            Some(("sslmode", "disable" | "allow" | "prefer")) => {}
            Some(("sslmode", _)) => return Err(TLS),
            _ => {
                return Err(BadUrl(
                    "has a parameter that is not known here. hint: application_name and sslmode are",
                ));
            }
        }
    }
    Ok(application)
}

/// A text whose characters may be written as `%3A`. No NUL: that ends a text of the protocol.
fn decoded(text: &str) -> Result<String, BadUrl> {
    match percent_decode_str(text).decode_utf8() {
        Ok(text) if !text.contains('\0') => Ok(text.into_owned()),
        _ => Err(CHARACTERS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(url: &str) -> (String, u16, String, Option<String>, String, String) {
        let address = Address::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        (
            address.host,
            address.port,
            address.user,
            address.password,
            address.database,
            address.application,
        )
    }

    #[test]
    fn a_url_says_where_and_who() {
        let text = str::to_owned;
        let everything =
            "postgres://a%40b:p%2F%3a%25w@db.example:6000/my%20db?application_name=x&sslmode=prefer";
        assert_eq!(
            parsed(everything),
            (
                text("db.example"),
                6000,
                text("a@b"),
                Some(text("p/:%w")),
                text("my db"),
                text("x")
            )
        );
        assert_eq!(
            parsed("postgresql://me@[::1]"),
            (text("::1"), 5432, text("me"), None, text("me"), text("eventlake"))
        );
    }

    #[test]
    fn what_cannot_be_done_is_said_without_any_of_the_url() {
        let cases = [
            ("mysql://u:hunter2@h/d", "begin with"),
            ("postgres://u:hunter2@h/d?sslmode=require", "TLS"),
            ("postgres://u:hunter2@h/d?sslmode=verify-full", "TLS"),
            ("postgres://u:hunter2@h/d?options=x", "parameter"),
            ("postgres://u:5/hunter2@h/d", "ambiguous"),
            ("postgres://u:5?hunter2@h/d", "ambiguous"),
            ("postgres://u:5#hunter2@h/d", "ambiguous"),
            ("postgres://u:5@hunter2@h/d", "ambiguous"),
            ("postgres://u:5:hunter2@h/d", "ambiguous"),
            ("postgres://u:hunter2%ff@h/d", "ambiguous"),
            ("postgres://u:hunter2%00@h/d", "ambiguous"),
            ("postgres://u:hunter2@h:0/d", "port"),
            ("postgres://u:hunter2@h:hunter2/d", "port"),
            ("postgres://u:hunter2@/d", "no host"),
            ("postgres://u:hunter2@%2Ftmp/d", "no host"),
            ("postgres://u:hunter2@a,b/d", "several hosts"),
            ("postgres://hunter2/d", "no user"),
            ("postgres://:hunter2@h/d", "no user"),
        ];
        for (url, expected) in cases {
            let error = Address::parse(url).err().expect(url).to_string();
            assert!(error.contains(expected), "{url}: {error}");
            assert!(!error.contains("hunter2"), "{url}: {error}");
        }
    }
}
