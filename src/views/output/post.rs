//! JSON posted to a URL: signed, tried again while that may help, and with nothing secret in what is said of a failure.

use std::io::Read as _;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use chrono::{DateTime, Utc};
use eventlake_core::config::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use percent_encoding::percent_decode_str;
use rustls::pki_types::CertificateDer;
use sha2::Sha256;
use ureq::http::{Response, StatusCode, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, Proxy};

use crate::cli::visible;

/// The most of an answer that is read, in bytes: what is told of it comes from its beginning.
const ANSWER_BYTES_MAX: u64 = 16 * 1024;
/// Of an answer that refuses the rows, in characters.
pub(super) const TOLD_CHARS: usize = 200;
/// A shorter secret of a URL is no secret, and would be found in any text.
const SECRET_BYTES_MIN: usize = 4;
/// A shorter part of a path may be a word of any text.
const TOKEN_BYTES_MIN: usize = 8;

const LIMITS: Limits = Limits {
    request: Duration::from_secs(10),
    patience: Duration::from_secs(10),
    first_pause: Duration::from_millis(250),
};

/// How long a receiver may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// One request, from its beginning to the end of its answer.
    pub(super) request: Duration,
    /// What tries that fail, and the pauses after them, may take of an emission altogether.
    pub(super) patience: Duration,
    /// Before the second try; twice as long before each one after.
    pub(super) first_pause: Duration,
}

/// Posts JSON to a URL. A receiver that answers 2xx has it; it may get it again.
pub struct Post {
    url: Secret,
    secret: Option<Secret>,
    pub(super) limits: Limits,
    pub(super) agent: OnceLock<Agent>,
}

/// One request's content.
pub struct Letter {
    pub body: Vec<u8>,
    /// The same for a repeat, and for nothing else.
    pub idempotency_key: String,
}

/// What came of a try.
enum Tried {
    Taken,
    /// It may be taken later: when the receiver says, or when it seems good to us.
    NotNow {
        why: String,
        after: Option<Duration>,
    },
    Refused(String),
}

impl Post {
    #[must_use]
    pub fn new(url: Secret, secret: Option<Secret>) -> Post {
        Post {
            url,
            secret,
            limits: LIMITS,
            agent: OnceLock::new(),
        }
    }

    /// Posts one letter after the other.
    ///
    /// # Errors
    /// When one is refused, or not taken in the time that there is; it says which host, and which letter of several.
    pub fn send(&self, letters: impl ExactSizeIterator<Item = anyhow::Result<Letter>>) -> anyhow::Result<()> {
        let uri = parse(&self.url)?;
        let all = letters.len();
        let mut patience = self.limits.patience;
        for (number, letter) in letters.enumerate() {
            let host = uri.host().unwrap_or_default();
            self.post(&uri, &letter?, &mut patience)
                .with_context(|| format!("webhook at {host}: part {} of {all}", number + 1))?;
        }
        Ok(())
    }

    /// Posts one letter, again and again while there is patience left.
    fn post(&self, uri: &Uri, letter: &Letter, patience: &mut Duration) -> anyhow::Result<()> {
        let mut pause = self.limits.first_pause;
        let mut timeout = self.limits.request;
        loop {
            let began = Instant::now();
            let (why, after) = match self.attempt(uri, letter, timeout) {
                Tried::Taken => return Ok(()),
                Tried::Refused(why) => bail!(why),
                Tried::NotNow { why, after } => (why, after),
            };
            let wait = after.unwrap_or_else(|| jittered(pause, rand::random()));
            *patience = patience.saturating_sub(began.elapsed());
            if wait >= *patience {
                bail!(why);
            }
            std::thread::sleep(wait);
            *patience -= wait;
            pause *= 2;
            timeout = timeout.min(*patience);
        }
    }

    fn attempt(&self, uri: &Uri, letter: &Letter, timeout: Duration) -> Tried {
        let agent = self
            .agent
            .get_or_init(|| agent(Proxy::try_from_env(), &native_roots()));
        let mut request = agent
            .post(uri)
            .config()
            .timeout_global(Some(timeout))
            .build()
            .header("content-type", "application/json")
            .header("idempotency-key", &letter.idempotency_key);
        if let Some(secret) = &self.secret {
            let signature = hex(&signed(secret, &letter.body));
            request = request.header("x-eventlake-signature", format!("sha256={signature}"));
        }
        if let Some(userinfo) = userinfo(uri) {
            request = request.header("authorization", basic(userinfo));
        }
        match request.send(&letter.body[..]) {
            Ok(answer) => self.judge(uri, answer),
            Err(error) => Tried::NotNow {
                why: self.without_secrets(uri, &in_words(&error)),
                after: None,
            },
        }
    }

    fn judge(&self, uri: &Uri, mut answer: Response<Body>) -> Tried {
        let status = answer.status();
        let after = answer.headers().get("retry-after");
        let after = after.and_then(|after| retry_after(after.to_str().ok()?, Utc::now()));
        let mut said = Vec::new();
        // Read also where nobody looks at it, so that the connection serves the next part. A body that breaks off says no less.
        let _ = answer
            .body_mut()
            .as_reader()
            .take(ANSWER_BYTES_MAX)
            .read_to_end(&mut said);
        if status.is_success() {
            return Tried::Taken;
        }
        let said = self.without_secrets(uri, &String::from_utf8_lossy(&said));
        let said = visible::cut(&visible::line(said.trim()), TOLD_CHARS);
        let why = if said.is_empty() {
            format!("it answered {status}")
        } else {
            format!("it answered {status}: {said}")
        };
        if may_change(status) {
            Tried::NotNow { why, after }
        } else if status.is_redirection() {
            Tried::Refused(format!(
                "it answered {status}, and rows follow no redirect. hint: set the url to where it leads"
            ))
        } else {
            Tried::Refused(format!("it refuses the rows: {why}"))
        }
    }

    /// A text without what nobody may read, which a receiver might echo. A path is no less secret than a query: many services'
    /// webhooks are open to whoever knows theirs.
    fn without_secrets(&self, uri: &Uri, text: &str) -> String {
        let query = uri.query().unwrap_or_default();
        let mut secrets = vec![self.url.reveal(), uri.path(), query];
        secrets.extend(self.secret.as_ref().map(Secret::reveal));
        secrets.extend(
            query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .map(|(_, value)| value),
        );
        if let Some(userinfo) = userinfo(uri) {
            secrets.extend([
                userinfo,
                userinfo.split_once(':').map_or("", |(_, password)| password),
            ]);
        }
        secrets.retain(|secret| secret.len() >= SECRET_BYTES_MIN);
        secrets.extend(
            uri.path()
                .split('/')
                .filter(|segment| segment.len() >= TOKEN_BYTES_MIN),
        );
        // The longest first: one may be a part of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let mut text = text.to_owned();
        for secret in secrets {
            text = text.replace(secret, "(secret)");
        }
        text
    }
}

/// Only a whole URL is an address: where it is malformed no part of it is told.
fn parse(url: &Secret) -> anyhow::Result<Uri> {
    let uri: Option<Uri> = url.reveal().parse().ok();
    let is_web = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    uri.filter(is_web)
        .context("the webhook's url is not of the form https://host/path")
}

/// `user:password`, as it is written.
fn userinfo(uri: &Uri) -> Option<&str> {
    let authority = uri.authority()?.as_str();
    authority.rsplit_once('@').map(|(userinfo, _)| userinfo)
}

/// RFC 7617, with what a URL escapes as it was meant.
fn basic(userinfo: &str) -> String {
    let credentials: Vec<u8> = percent_decode_str(userinfo).collect();
    format!("Basic {}", BASE64_STANDARD.encode(credentials))
}

/// The machine's own authorities, as every other program there trusts them. Where there are none, no certificate is good.
pub(super) fn native_roots() -> Vec<CertificateDer<'static>> {
    rustls_native_certs::load_native_certs().certs
}

pub(super) fn agent(proxy: Option<Proxy>, roots: &[CertificateDer<'_>]) -> Agent {
    let roots = roots.iter().map(|root| Certificate::from_der(root).to_owned());
    let roots = Arc::new(roots.collect());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::Specific(roots))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    Agent::config_builder()
        .tls_config(tls)
        .proxy(proxy)
        .user_agent(concat!("eventlake/", env!("CARGO_PKG_VERSION")))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .build()
        .into()
}

pub(super) fn signed(secret: &Secret, body: &[u8]) -> [u8; 32] {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.reveal().as_bytes()).expect("a key may have any length");
    mac.update(body);
    mac.finalize().into_bytes().into()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Answers after which the same request may be taken.
fn may_change(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429)
}

/// RFC 9110, 10.2.3: seconds, or a date.
pub(super) fn retry_after(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let then = DateTime::parse_from_rfc2822(text.trim()).ok()?;
    Some((then.to_utc() - now).to_std().unwrap_or_default())
}

/// From half of a pause to all of it, by a number from 0 to 1: receivers' other clients come back at other times.
fn jittered(pause: Duration, chance: f64) -> Duration {
    pause.mul_f64(f64::midpoint(1.0, chance))
}

/// What went wrong, without the address: ureq names it in some errors.
pub(super) fn in_words(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "it did not answer in time".to_owned(),
        ureq::Error::Io(error) => format!("it cannot be reached: {error}"),
        ureq::Error::HostNotFound => "its name has no address".to_owned(),
        ureq::Error::ConnectionFailed => "it cannot be reached".to_owned(),
        ureq::Error::Rustls(error) => format!("TLS failed: {error}"),
        ureq::Error::Tls(error) => format!("TLS failed: {error}"),
        ureq::Error::Protocol(error) => format!("its answer is not HTTP: {error}"),
        ureq::Error::ConnectProxyFailed(_) | ureq::Error::InvalidProxyUrl => {
            "the proxy of the environment failed".to_owned()
        }
        _ => "the request could not be sent".to_owned(),
    }
}
