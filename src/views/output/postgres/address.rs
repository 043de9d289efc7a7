//! What a PostgreSQL URL says: where the server is, who asks it, for which database, and how well the line is to be kept.

use std::path::PathBuf;

use percent_encoding::percent_decode_str;

use super::encryption::{Authorities, Binding, ClientFiles, Encryption, Trust};

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
    pub encryption: Encryption,
    /// Which certificate of ours the server may see.
    pub client: Option<ClientFiles>,
    pub binding: Binding,
}

/// What is wrong with a URL. It never holds a part of it: where one is malformed, any part may be of the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the output's url {0}")]
pub struct BadUrl(&'static str);

const SCHEME: BadUrl = BadUrl("does not begin with postgres:// or postgresql://");
const CHARACTERS: BadUrl = BadUrl(
    "is ambiguous. hint: write the characters : / ? # [ ] @ % of a user, a password or a database as %3A, %2F, %3F, ...",
);
const AUTHORITY: BadUrl = BadUrl(
    "asks by its sslmode for a certificate of a known authority, and names none. \
     hint: name the authority's file by sslrootcert; or sslmode=verify-full, which can do with this machine's authorities",
);
const UNCHECKED: BadUrl = BadUrl(
    "names an sslrootcert, and its sslmode checks no certificate. hint: sslmode=verify-full, or verify-ca where the server has another name",
);
const WEAK: BadUrl = BadUrl(
    "trusts this machine's authorities, whose certificates anybody can have for a name of his own, and its sslmode looks at no name. \
     hint: sslmode=verify-full",
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
        let parameters = Parameters::parse(parameters)?;
        Ok(Address {
            host,
            port,
            password: password.map(decoded).transpose()?,
            database: match database {
                "" => user.clone(),
                name => decoded(name)?,
            },
            encryption: parameters.encryption()?,
            client: parameters.client()?,
            binding: parameters.binding()?,
            application: parameters
                .application_name
                .unwrap_or_else(|| "eventlake".to_owned()),
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

/// The parameters that mean something here, as they are written.
#[derive(Default)]
struct Parameters {
    /// The name under which the server lists the connection.
    application_name: Option<String>,
    sslmode: Option<String>,
    sslrootcert: Option<String>,
    sslcert: Option<String>,
    sslkey: Option<String>,
    channel_binding: Option<String>,
}

impl Parameters {
    fn parse(text: &str) -> Result<Parameters, BadUrl> {
        let mut parameters = Parameters::default();
        for parameter in text.split('&').filter(|parameter| !parameter.is_empty()) {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let place = match name {
                "application_name" => &mut parameters.application_name,
                "sslmode" => &mut parameters.sslmode,
                "sslrootcert" => &mut parameters.sslrootcert,
                "sslcert" => &mut parameters.sslcert,
                "sslkey" => &mut parameters.sslkey,
                "channel_binding" => &mut parameters.channel_binding,
                _ => {
                    return Err(BadUrl(
                        "has a parameter that is not known here. \
                         hint: application_name, sslmode, sslrootcert, sslcert, sslkey and channel_binding are",
                    ));
                }
            };
            *place = Some(decoded(value)?);
        }
        Ok(parameters)
    }

    /// The modes of libpq, <https://www.postgresql.org/docs/current/libpq-ssl.html>, section "SSL Support in the Protection
    /// Modes". By its rules `require` with authorities is `verify-ca`, and with `system` everything below `verify-full`
    /// is refused. Stricter than libpq, which passes over authorities that nothing is held against, we refuse them.
    fn encryption(&self) -> Result<Encryption, BadUrl> {
        let authorities = match self.sslrootcert.as_deref() {
            None => None,
            Some("system") => Some(Authorities::Machine),
            Some("") => return Err(BadUrl("names an empty sslrootcert")),
            Some(path) => Some(Authorities::File(PathBuf::from(path))),
        };
        let is_machine = authorities == Some(Authorities::Machine);
        let encryption = match (self.sslmode.as_deref(), authorities) {
            (None, Some(Authorities::Machine)) => Encryption::Always(Trust::Name(Authorities::Machine)),
            (Some("disable"), None) => Encryption::Never,
            (Some("allow"), None) => Encryption::IfRefused,
            (Some("prefer") | None, None) => Encryption::IfOffered,
            (Some("require" | "verify-ca" | "disable" | "allow" | "prefer"), Some(_)) if is_machine => {
                return Err(WEAK);
            }
            (Some("disable" | "allow" | "prefer") | None, Some(_)) => return Err(UNCHECKED),
            (Some("require"), None) => Encryption::Always(Trust::Anyone),
            (Some("verify-ca"), None) => return Err(AUTHORITY),
            (Some("require" | "verify-ca"), Some(authorities)) => {
                Encryption::Always(Trust::Authority(authorities))
            }
            (Some("verify-full"), authorities) => {
                Encryption::Always(Trust::Name(authorities.unwrap_or(Authorities::Machine)))
            }
            (Some(_), _) => {
                return Err(BadUrl(
                    "has an sslmode that is not known. \
                     hint: disable, allow, prefer, require, verify-ca and verify-full are",
                ));
            }
        };
        if encryption == Encryption::Never && (self.sslcert.is_some() || self.sslkey.is_some()) {
            return Err(BadUrl(
                "has a certificate to show over TLS, and its sslmode=disable does without",
            ));
        }
        Ok(encryption)
    }

    fn client(&self) -> Result<Option<ClientFiles>, BadUrl> {
        match (self.sslcert.as_deref(), self.sslkey.as_deref()) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) if !certificate.is_empty() && !key.is_empty() => {
                Ok(Some(ClientFiles {
                    certificate: PathBuf::from(certificate),
                    key: PathBuf::from(key),
                }))
            }
            _ => Err(BadUrl(
                "names one of sslcert and sslkey. hint: a certificate is shown with its key: name both",
            )),
        }
    }

    fn binding(&self) -> Result<Binding, BadUrl> {
        match self.channel_binding.as_deref() {
            None | Some("prefer") => Ok(Binding::Preferred),
            Some("disable") => Ok(Binding::Never),
            Some("require") if self.sslmode.as_deref() == Some("disable") => Err(BadUrl(
                "asks for channel_binding, which there is over TLS alone, and its sslmode=disable does without",
            )),
            Some("require") => Ok(Binding::Required),
            Some(_) => Err(BadUrl(
                "has a channel_binding that is not known. hint: disable, prefer and require are",
            )),
        }
    }
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
    fn an_sslmode_means_what_it_means_to_libpq() {
        let file = || Authorities::File(PathBuf::from("/etc/my ca.pem"));
        let cases = [
            ("", Encryption::IfOffered),
            ("sslmode=disable", Encryption::Never),
            ("sslmode=allow", Encryption::IfRefused),
            ("sslmode=prefer", Encryption::IfOffered),
            ("sslmode=require", Encryption::Always(Trust::Anyone)),
            (
                "sslmode=require&sslrootcert=/etc/my%20ca.pem",
                Encryption::Always(Trust::Authority(file())),
            ),
            (
                "sslmode=verify-ca&sslrootcert=/etc/my%20ca.pem",
                Encryption::Always(Trust::Authority(file())),
            ),
            (
                "sslmode=verify-full&sslrootcert=/etc/my%20ca.pem",
                Encryption::Always(Trust::Name(file())),
            ),
            (
                "sslmode=verify-full&sslrootcert=system",
                Encryption::Always(Trust::Name(Authorities::Machine)),
            ),
            (
                "sslrootcert=system",
                Encryption::Always(Trust::Name(Authorities::Machine)),
            ),
            (
                "sslmode=verify-full",
                Encryption::Always(Trust::Name(Authorities::Machine)),
            ),
        ];
        for (parameters, expected) in cases {
            let address = Address::parse(&format!("postgres://u@h/d?{parameters}"));
            let address = address.unwrap_or_else(|error| panic!("{parameters}: {error}"));
            assert_eq!(address.encryption, expected, "{parameters}");
            assert_eq!(
                (address.client, address.binding),
                (None, Binding::Preferred),
                "{parameters}"
            );
        }
        let url = "postgres://u@h/d?sslmode=require&sslcert=c.pem&sslkey=%2Fk&channel_binding=require";
        let address = Address::parse(url).expect("a URL");
        assert_eq!(address.binding, Binding::Required);
        let client = address.client.expect("a certificate");
        assert_eq!(client.certificate, PathBuf::from("c.pem"));
        assert_eq!(client.key, PathBuf::from("/k"));
    }

    #[test]
    fn what_cannot_be_done_is_said_without_any_of_the_url() {
        let cases = [
            ("mysql://u:hunter2@h/d", "begin with"),
            ("postgres://u:hunter2@h/d?sslmode=required", "verify-full are"),
            ("postgres://u:hunter2@h/d?sslmode=", "verify-full are"),
            ("postgres://u:hunter2@h/d?sslmode", "verify-full are"),
            ("postgres://u:hunter2@h/d?sslmode=verify-ca", "names none"),
            (
                "postgres://u:hunter2@h/d?sslrootcert=ca.pem",
                "checks no certificate",
            ),
            (
                "postgres://u:hunter2@h/d?sslmode=prefer&sslrootcert=ca.pem",
                "checks no certificate",
            ),
            (
                "postgres://u:hunter2@h/d?sslmode=verify-full&sslrootcert=",
                "empty",
            ),
            (
                "postgres://u:hunter2@h/d?sslmode=require&sslrootcert=system",
                "hint: sslmode=verify-full",
            ),
            (
                "postgres://u:hunter2@h/d?sslmode=verify-ca&sslrootcert=system",
                "hint: sslmode=verify-full",
            ),
            ("postgres://u:hunter2@h/d?sslcert=c.pem", "name both"),
            ("postgres://u:hunter2@h/d?sslkey=k.pem&sslcert=", "name both"),
            (
                "postgres://u:hunter2@h/d?sslmode=disable&sslcert=c&sslkey=k",
                "does without",
            ),
            (
                "postgres://u:hunter2@h/d?sslmode=disable&channel_binding=require",
                "does without",
            ),
            ("postgres://u:hunter2@h/d?channel_binding=yes", "channel_binding"),
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
