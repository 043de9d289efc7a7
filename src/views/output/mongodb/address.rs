//! What a MongoDB URL says, and what the driver is told beside it. No part of a URL is ever repeated: any may be of the password.

use std::path::PathBuf;
use std::time::Duration;

use mongodb::error::ErrorKind;
use mongodb::options::{Acknowledgment, ClientOptions, ServerMonitoringMode, Tls, WriteConcern};

/// Connections that an emission needs: it does one thing at a time.
const CONNECTIONS_MAX: u32 = 2;

/// What is wrong with a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the output's url {0}")]
pub struct BadUrl(String);

/// # Errors
/// When it can be read in two ways: what is meant for the password might pass for a host, which errors name.
pub fn check(url: &str) -> Result<(), BadUrl> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let Some((credentials, place)) = rest.split_once('@') else {
        return Ok(());
    };
    let is_plain = !credentials.contains(['/', '?', '#', '[', ']'])
        && credentials.matches(':').count() < 2
        && !place.contains(['@', '#']);
    if !is_plain {
        return Err(BadUrl(
            "is ambiguous. hint: write the characters : / ? # [ ] @ % of a user or a password as %3A, %2F, %3F, ...".to_owned(),
        ));
    }
    Ok(())
}

/// What the driver makes of a URL, with limits of time and trust of ours where it names none.
///
/// # Errors
/// When the URL is malformed, or the name of an `srv` one cannot be looked up.
pub async fn options(url: &str, reach: Duration) -> Result<ClientOptions, BadUrl> {
    check(url)?;
    let parsed = tokio::time::timeout(reach, ClientOptions::parse(url)).await;
    let Ok(parsed) = parsed else {
        let secs = reach.as_secs();
        return Err(BadUrl(format!(
            "names servers that DNS did not tell within {secs} s"
        )));
    };
    let mut options = parsed.map_err(|error| match *error.kind {
        ErrorKind::DnsResolve { message, .. } => BadUrl(format!("names servers that DNS does not know: {message}")),
        _ => BadUrl(
            "is not one that MongoDB's driver takes. hint: it is mongodb://user:password@host:port/database?option=value, with options that the manual calls \
             connection string options"
                .to_owned(),
        ),
    })?;
    options.app_name.get_or_insert_with(|| "eventlake".to_owned());
    options.connect_timeout.get_or_insert(reach);
    options.server_selection_timeout.get_or_insert(reach);
    options.max_pool_size = Some(CONNECTIONS_MAX);
    options.min_pool_size = Some(0);
    // Between emissions nobody would read what a server sends by itself.
    options.server_monitoring_mode = Some(ServerMonitoringMode::Poll);
    trust(&mut options, || openssl_probe::probe().cert_file)?;
    Ok(options)
}

/// The driver would trust a list of authorities of its own: the machine's are named instead, unless the URL names some.
fn trust(options: &mut ClientOptions, authorities: impl Fn() -> Option<PathBuf>) -> Result<(), BadUrl> {
    let Some(Tls::Enabled(tls)) = &mut options.tls else {
        return Ok(());
    };
    if tls.ca_file_path.is_none() {
        tls.ca_file_path = Some(authorities().ok_or_else(|| {
            BadUrl(
                "asks for TLS, and this machine's file of certificate authorities is not found. \
                 hint: install ca-certificates, or name a file by SSL_CERT_FILE or the url's tlsCAFile"
                    .to_owned(),
            )
        })?);
    }
    Ok(())
}

/// When a write counts: on most of the servers, unless the URL says otherwise. Never without an answer.
pub fn concern(options: &ClientOptions) -> WriteConcern {
    let given = options.write_concern.clone();
    let given = given.filter(|concern| concern.w != Some(Acknowledgment::Nodes(0)));
    let mut concern = given.unwrap_or_default();
    concern.w.get_or_insert(Acknowledgment::Majority);
    concern
}

#[cfg(test)]
mod tests {
    use super::*;

    const REACH: Duration = Duration::from_secs(5);

    fn parsed(url: &str) -> Result<ClientOptions, BadUrl> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(options(url, REACH))
    }

    #[test]
    fn a_url_keeps_what_it_says_and_gets_limits() {
        let options =
            parsed("mongodb://a%40b:p%2F%3a%25w@127.0.0.1:6000,127.0.0.2/d?w=1&connectTimeoutMS=20")
                .expect("a URL");
        assert_eq!(options.hosts.len(), 2);
        assert_eq!(options.default_database.as_deref(), Some("d"));
        let credential = options.credential.as_ref().expect("a user");
        assert_eq!(credential.username.as_deref(), Some("a@b"));
        assert_eq!(credential.password.as_deref(), Some("p/:%w"));
        assert_eq!(options.connect_timeout, Some(Duration::from_millis(20)));
        assert_eq!(options.server_selection_timeout, Some(REACH));
        assert_eq!(concern(&options).w, Some(Acknowledgment::Nodes(1)));
        let bare = parsed("mongodb://127.0.0.1/d?journal=true").expect("a URL");
        let concern_of_bare = concern(&bare);
        assert_eq!(
            (concern_of_bare.w, concern_of_bare.journal),
            (Some(Acknowledgment::Majority), Some(true))
        );
        let silent = parsed("mongodb://127.0.0.1/d?w=0").map(|options| concern(&options).w);
        assert_ne!(silent, Ok(Some(Acknowledgment::Nodes(0))));
    }

    #[test]
    fn the_machines_authorities_are_trusted_unless_others_are_named() {
        let machine = || Some(PathBuf::from("/machine.pem"));
        let trusted = |url: &str, authorities: &dyn Fn() -> Option<PathBuf>| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let options = runtime
                .expect("a runtime")
                .block_on(async { ClientOptions::parse(url).await });
            let mut options = options.expect("a URL");
            trust(&mut options, authorities).map(|()| match options.tls {
                Some(Tls::Enabled(tls)) => tls.ca_file_path,
                _ => None,
            })
        };
        let file = |path: &str| Ok(Some(PathBuf::from(path)));
        assert_eq!(trusted("mongodb://h/d?tls=true", &machine), file("/machine.pem"));
        assert_eq!(
            trusted("mongodb://h/d?tls=true&tlsCAFile=/own.pem", &machine),
            file("/own.pem")
        );
        assert_eq!(trusted("mongodb://h/d", &machine), Ok(None));
        let error = trusted("mongodb://h/d?tls=true", &|| None).expect_err("nobody to trust");
        assert!(error.to_string().contains("tlsCAFile"), "{error}");
    }

    #[test]
    fn what_cannot_be_read_is_said_without_any_of_the_url() {
        for (url, expected) in [
            ("mongodb://u:5/hunter2@h/d", "ambiguous"),
            ("mongodb://u:5?hunter2@h/d", "ambiguous"),
            ("mongodb://u:5#hunter2@h/d", "ambiguous"),
            ("mongodb://u:5@hunter2@h/d", "ambiguous"),
            ("mongodb://u:5:hunter2@h/d", "ambiguous"),
            ("mongodb://u:hunter2@h:hunter2/d", "driver takes"),
            ("mongodb://u:hunter2@h/d?authMechanism=hunter2", "driver takes"),
            ("mongodb://u:hunter2@h/d?connectTimeoutMS=hunter2", "driver takes"),
            ("mongodb://u:hunter2@/d", "driver takes"),
        ] {
            let error = parsed(url).expect_err(url).to_string();
            assert!(error.contains(expected), "{url}: {error}");
            assert!(!error.contains("hunter2"), "{url}: {error}");
        }
    }
}
