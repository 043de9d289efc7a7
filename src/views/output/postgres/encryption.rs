//! How well a line to PostgreSQL is to be kept, as rustls is told: whom to trust, what to show, and what went wrong, in words.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::DateTime;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
    verify_tls13_signature_with_raw_key,
};
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};

use super::super::post::native_roots;
use super::certificate;

/// When TLS is spoken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    Never,
    /// To a server that lets nobody in without, whoever it is.
    IfRefused,
    /// To a server that can, whoever it is.
    IfOffered,
    Always(Trust),
}

/// What of a server's certificate is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Nothing: nobody listens on the way, but the server may be anybody.
    Anyone,
    /// That it is signed by an authority.
    Authority(Authorities),
    /// That, and that it is for the host that was asked for.
    Name(Authorities),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorities {
    File(PathBuf),
    /// Those that every other program on this machine trusts, as webhooks do.
    Machine,
}

/// A certificate of our own, with its key, both PEM.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Whether the sign-in proves that both ends are of the same line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    Never,
    Preferred,
    Required,
}

/// A file that is no good, and why.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadFile(String);

/// # Errors
/// When a file is not there or does not hold what it should.
pub fn client_config(trust: &Trust, client: Option<&ClientFiles>) -> Result<ClientConfig, BadFile> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier {
        algorithms: provider.signature_verification_algorithms,
        anchors: trust.authorities().map(anchors).transpose()?,
        checks_name: matches!(trust, Trust::Name(_)),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match client {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let chain = certificates(&files.certificate, "sslcert")?;
            let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| match error {
                PemError::NoItemsFound => bad(
                    "sslkey",
                    &files.key,
                    "holds no private key in PEM that needs no passphrase",
                ),
                error => unreadable("sslkey", &files.key, &error),
            })?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| match error {
                    Error::InconsistentKeys(_) => bad("sslkey", &files.key, "is not the key of the sslcert"),
                    error => bad("sslcert", &files.certificate, &format!("cannot be used: {error}")),
                })?
        }
    };
    // What libpq says, too, from PostgreSQL 17 on: who was meant for another protocol is told apart.
    config.alpn_protocols = vec![b"postgresql".to_vec()];
    Ok(config)
}

impl Encryption {
    /// # Errors
    /// When a file that TLS takes is not there or does not hold what it should.
    pub fn check(&self, client: Option<&ClientFiles>) -> Result<(), BadFile> {
        match self {
            Encryption::Never => Ok(()),
            Encryption::IfRefused | Encryption::IfOffered => client_config(&Trust::Anyone, client).map(drop),
            Encryption::Always(trust) => client_config(trust, client).map(drop),
        }
    }
}

impl Trust {
    fn authorities(&self) -> Option<&Authorities> {
        match self {
            Trust::Anyone => None,
            Trust::Authority(authorities) | Trust::Name(authorities) => Some(authorities),
        }
    }
}

/// Those whose signature counts.
#[derive(Debug)]
struct Anchors {
    store: RootCertStore,
    /// As they are in the file that was named.
    named: Vec<CertificateDer<'static>>,
}

fn anchors(authorities: &Authorities) -> Result<Anchors, BadFile> {
    let mut store = RootCertStore::empty();
    match authorities {
        Authorities::Machine => {
            store.add_parsable_certificates(native_roots());
            if store.is_empty() {
                return Err(BadFile(
                    "this machine has no certificate authorities. \
                     hint: install ca-certificates, or name a file by SSL_CERT_FILE or the url's sslrootcert"
                        .to_owned(),
                ));
            }
            Ok(Anchors {
                store,
                named: Vec::new(),
            })
        }
        Authorities::File(path) => {
            let named = certificates(path, "sslrootcert")?;
            for certificate in &named {
                store.add(certificate.clone()).map_err(|error| {
                    bad(
                        "sslrootcert",
                        path,
                        &format!("has a certificate that cannot be read: {error}"),
                    )
                })?;
            }
            Ok(Anchors { store, named })
        }
    }
}

fn certificates(path: &Path, key: &str) -> Result<Vec<CertificateDer<'static>>, BadFile> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = read.map_err(|error| unreadable(key, path, &error))?;
    if certificates.is_empty() {
        return Err(bad(key, path, "holds no certificate in PEM"));
    }
    Ok(certificates)
}

fn unreadable(key: &str, path: &Path, error: &PemError) -> BadFile {
    match error {
        PemError::Io(error) => bad(key, path, &format!("cannot be read: {error}")),
        // What else there is to say shows the file's content.
        _ => bad(key, path, "is not in PEM"),
    }
}

fn bad(key: &str, path: &Path, what: &str) -> BadFile {
    BadFile(format!("the url's {key} names {}, which {what}", path.display()))
}

/// Looks at a server's certificate no closer than it is told, but always at whether the server has its key.
struct Verifier {
    algorithms: WebPkiSupportedAlgorithms,
    anchors: Option<Anchors>,
    checks_name: bool,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(anchors) = &self.anchors else {
            return Ok(ServerCertVerified::assertion());
        };
        let parsed = ParsedCertificate::try_from(end_entity)?;
        let algorithms = self.algorithms.all;
        match verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &anchors.store,
            intermediates,
            now,
            algorithms,
        ) {
            // A server's own certificate that is an authority's, too, as PostgreSQL's manual has one made, and that was
            // named: its dates were looked at before this was held against it.
            Err(Error::InvalidCertificate(CertificateError::Other(_)))
                if anchors.named.iter().any(|named| named == end_entity) => {}
            outcome => outcome?,
        }
        if self.checks_name {
            verify_server_name(&parsed, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // Where nothing else of it counts, one of X.509 version 1, which OpenSSL makes without being asked to, will do.
        if self.anchors.is_none()
            && let Some(key) = certificate::public_key(certificate)
        {
            let key = SubjectPublicKeyInfoDer::from(key);
            return verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms);
        }
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Why no line was made to this host, and what to do.
pub fn in_words(error: &Error, host: &str, trust: &Trust) -> String {
    let Error::InvalidCertificate(fault) = error else {
        return of_line(error);
    };
    let date = |time: &UnixTime| {
        let secs = i64::try_from(time.as_secs()).ok();
        let time = secs.and_then(|secs| DateTime::from_timestamp(secs, 0));
        time.map_or_else(String::new, |time| time.format(" %Y-%m-%d %H:%M UTC").to_string())
    };
    match fault {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => unknown(trust),
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => format!(
            "the server's certificate names no host, and so not {host}. \
             hint: one with a subjectAltName; the common name is not looked at. sslmode=verify-ca looks at no name"
        ),
        CertificateError::NotValidForNameContext { presented, .. } => format!(
            "the server's certificate is not for {host}, but for {}. \
             hint: use that name in the url; sslmode=verify-ca looks at no name",
            presented
                .iter()
                .map(|name| name_within(name))
                .collect::<Vec<_>>()
                .join(", ")
        ),
        CertificateError::NotValidForName => {
            format!("the server's certificate is not for {host}. hint: sslmode=verify-ca looks at no name")
        }
        CertificateError::ExpiredContext { not_after, .. } => format!(
            "the server's certificate has expired:{}. hint: it takes a new one, at the server",
            date(not_after)
        ),
        CertificateError::Expired => {
            "the server's certificate has expired. hint: it takes a new one, at the server".to_owned()
        }
        CertificateError::NotValidYetContext { not_before, .. } => format!(
            "the server's certificate is valid from{} on. hint: is this machine's clock right?",
            date(not_before)
        ),
        CertificateError::Other(reason) => match reason.to_string().as_str() {
            "CaUsedAsEndEntity" => "the server's certificate is an authority's, and not in the file of sslrootcert. \
                 hint: name a file that has this very certificate, or give the server one that the authority signed"
                .to_owned(),
            "UnsupportedCertVersion" => "the server's certificate is of X.509 version 1, which has no names to check. \
                 hint: make it with extensions, a subjectAltName among them"
                .to_owned(),
            reason => format!("the server's certificate cannot be checked: {reason}"),
        },
        other => format!("the server's certificate cannot be checked: {other}"),
    }
}

fn unknown(trust: &Trust) -> String {
    match trust.authorities() {
        // Nothing was checked but that.
        None => "the server does not have the key of the certificate that it shows".to_owned(),
        Some(Authorities::File(path)) => format!(
            "the server's certificate is signed by no authority of {}. \
             hint: let sslrootcert name the file of the authority that signed it",
            path.display()
        ),
        Some(Authorities::Machine) => {
            "the server's certificate is signed by no authority that this machine knows. \
             hint: name the file of the authority that signed it by the url's sslrootcert"
                .to_owned()
        }
    }
}

/// `localhost` of `DnsName("localhost")`, as rustls has it.
fn name_within(name: &str) -> &str {
    let (_, within) = name.split_once('(').unwrap_or(("", name));
    within.trim_end_matches(')').trim_matches('"')
}

/// What went wrong on a line, whoever is at its other end.
pub fn of_line(error: &Error) -> String {
    use AlertDescription as Alert;
    match error {
        Error::AlertReceived(
            alert @ (Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::CertificateRequired
            | Alert::AccessDenied
            | Alert::DecryptError),
        ) => format!(
            "the server does not take our certificate ({alert:?}). \
             hint: sslcert and sslkey name one that its authorities signed"
        ),
        Error::AlertReceived(alert @ (Alert::HandshakeFailure | Alert::ProtocolVersion)) => format!(
            "the server speaks no TLS that we do ({alert:?}). hint: TLS 1.2 or 1.3, with AES-GCM or ChaCha20"
        ),
        other => format!("TLS failed: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::address::Address;

    /// A name and what is there; `PEM` is a certificate with its key.
    type File = (&'static str, &'static str);

    fn refusal(url: &str, files: &[File]) -> Option<String> {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, text) in files {
            let pem = include_str!("../webhook/tests/receiver.pem");
            std::fs::write(folder.path().join(name), text.replace("PEM", pem)).expect("written");
        }
        let place = folder.path().display().to_string();
        let url = format!(
            "postgres://me:hunter2@h/d?{}",
            url.replace('@', &format!("{place}/"))
        );
        let address = Address::parse(&url).unwrap_or_else(|error| panic!("{url}: {error}"));
        let error = address.encryption.check(address.client.as_ref()).err()?;
        let error = error.to_string().replace(&place, "");
        assert!(!error.contains("hunter2"), "{error}");
        Some(error)
    }

    #[test]
    fn files_are_looked_at_before_anybody_connects() {
        let verify = "sslmode=verify-full&sslrootcert=@ca";
        let shown = "sslcert=@c&sslkey=@k";
        let cases: [(&str, &[File], Option<&str>); 12] = [
            (verify, &[("ca", "PEM")], None),
            (verify, &[("ca", "PEMPEM")], None),
            (
                verify,
                &[],
                Some("the url's sslrootcert names /ca, which cannot be read: No such file"),
            ),
            (
                verify,
                &[("ca", "")],
                Some("sslrootcert names /ca, which holds no certificate in PEM"),
            ),
            (
                verify,
                &[("ca", "-----BEGIN CERTIFICATE-----\nAAA")],
                Some("names /ca, which is not in PEM"),
            ),
            (
                verify,
                &[(
                    "ca",
                    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                )],
                Some("which has a certificate that cannot be read"),
            ),
            (shown, &[("c", "PEM"), ("k", "PEM")], None),
            (
                shown,
                &[("k", "PEM")],
                Some("the url's sslcert names /c, which cannot be read"),
            ),
            (
                shown,
                &[("c", "PEM")],
                Some("the url's sslkey names /k, which cannot be read"),
            ),
            (
                shown,
                &[("c", "PEM"), ("k", "hunter2")],
                Some("sslkey names /k, which holds no private key"),
            ),
            (
                shown,
                &[
                    ("c", "PEM"),
                    (
                        "k",
                        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
                    ),
                ],
                Some("needs no passphrase"),
            ),
            (
                shown,
                &[
                    ("c", "PEM"),
                    (
                        "k",
                        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                    ),
                ],
                Some("the url's sslcert names /c, which cannot be used"),
            ),
        ];
        for (url, files, expected) in cases {
            match (refusal(url, files), expected) {
                (None, None) => {}
                (Some(error), Some(expected)) => assert!(error.contains(expected), "{error}"),
                (outcome, expected) => panic!("{url}, {files:?}: {outcome:?}, expected {expected:?}"),
            }
        }
    }
}
