//! What is said when a store does not take an object: who answered what, and what to do next. Never a secret.

use std::error::Error;

use eventlake_core::config::ObjectStoreKind;
use percent_encoding::percent_decode_str;

use super::connector::{Refusal, Why};
use super::store::Environment;
use crate::cli::visible;

/// A shorter text is no secret, and would be found in any other.
const SECRET_BYTES_MIN: usize = 4;
/// Of what a store says, in characters.
const TOLD_CHARS: usize = 200;

/// Texts that are cut out of what is said.
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    pub fn of(environment: &Environment) -> Secrets {
        let mut secrets: Vec<String> = Vec::new();
        for value in environment.secrets() {
            // Of a signature in a query, each value by itself, as it is written and as it is meant.
            let pairs = value.trim_start_matches('?').split('&');
            let values = pairs.filter_map(|pair| Some(pair.split_once('=')?.1));
            for text in values.chain([value]) {
                secrets.push(text.to_owned());
                secrets.push(percent_decode_str(text).decode_utf8_lossy().into_owned());
            }
        }
        secrets.retain(|secret| secret.len() >= SECRET_BYTES_MIN);
        // The longest first: one may be a part of another.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets.dedup();
        Secrets(secrets)
    }

    pub fn cut(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            text = text.replace(secret, "(secret)");
        }
        text
    }
}

/// An answer's code and text, where it has the form that the stores share.
struct Told {
    code: String,
    text: String,
}

impl Told {
    fn of(body: &str) -> Told {
        if let Ok(json) = serde_json::from_str::<serde_json::Value>(body) {
            // As those answer who give tokens, and in the second form, Google's API.
            let text = |pointer: &str| json.pointer(pointer)?.as_str().map(str::to_owned);
            return Told {
                code: text("/error").unwrap_or_default(),
                text: text("/error_description")
                    .or_else(|| text("/error/message"))
                    .unwrap_or_default(),
            };
        }
        let element = |name: &str| between(body, &format!("<{name}>"), &format!("</{name}>"));
        match element("Code") {
            Some(code) => Told {
                code: code.to_owned(),
                // What follows in other lines is who asked, and when.
                text: element("Message")
                    .and_then(|text| text.lines().next())
                    .unwrap_or_default()
                    .to_owned(),
            },
            None => Told {
                code: String::new(),
                text: body.to_owned(),
            },
        }
    }
}

fn between<'t>(text: &'t str, from: &str, to: &str) -> Option<&'t str> {
    let (_, rest) = text.split_once(from)?;
    Some(rest.split_once(to)?.0)
}

/// What went wrong with a store, in words.
pub(super) fn in_words(
    store: ObjectStoreKind,
    refusal: Option<&Refusal>,
    error: &(dyn Error + 'static),
    environment: &Environment,
) -> String {
    let secrets = Secrets::of(environment);
    let name = store.name();
    let Some(Refusal {
        host,
        is_metadata,
        why,
    }) = refusal
    else {
        return format!("{name}: {}", line(&secrets, &causes(error)));
    };
    if *is_metadata {
        let why = match why {
            Why::Answered { status, .. } => format!("this machine's metadata service answered {status}"),
            Why::Failed(_) | Why::Lost(_) => "no metadata service of this machine answers".to_owned(),
        };
        return format!(
            "{name}: there are no credentials in the environment, and {why}. hint: set {}",
            variables(store)
        );
    }
    let host = secrets.cut(host);
    match why {
        Why::Failed(why) | Why::Lost(why) => {
            let endpoint = endpoint_variable(store);
            let hint = match environment.has(endpoint) {
                true => format!("does it run, and is {endpoint} right?"),
                false => format!("is the network there? Another store's address is set by {endpoint}"),
            };
            format!("{name} at {host}: {}. hint: {hint}", line(&secrets, why))
        }
        Why::Answered { status, body } => {
            let told = Told::of(body.trim_start_matches('\u{feff}'));
            let (code, text) = (line(&secrets, &told.code), line(&secrets, &told.text));
            let mut said = format!("{name} at {host} answered {status}");
            if !code.is_empty() {
                said = format!("{said} ({code})");
            }
            if !text.is_empty() {
                said = format!("{said}: {}", text.trim_end_matches('.'));
            }
            match advice(store, status.as_u16(), &told.code) {
                Some(advice) => format!("{said}. hint: {advice}"),
                None => said,
            }
        }
    }
}

fn line(secrets: &Secrets, text: &str) -> String {
    visible::cut(&visible::line(secrets.cut(text).trim()), TOLD_CHARS)
}

/// An error and what caused it, as far as that says more.
fn causes(error: &(dyn Error + 'static)) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
        cause = error.source();
    }
    said
}

fn variables(store: ObjectStoreKind) -> &'static str {
    match store {
        ObjectStoreKind::S3 => "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        ObjectStoreKind::Azure => "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
        ObjectStoreKind::Gcs => "GOOGLE_APPLICATION_CREDENTIALS",
    }
}

fn endpoint_variable(store: ObjectStoreKind) -> &'static str {
    match store {
        ObjectStoreKind::S3 => "AWS_ENDPOINT_URL",
        ObjectStoreKind::Azure => "AZURE_STORAGE_ENDPOINT",
        ObjectStoreKind::Gcs => "GOOGLE_BASE_URL",
    }
}

/// What to do about an answer.
fn advice(store: ObjectStoreKind, status: u16, code: &str) -> Option<String> {
    let advice = match (status, code) {
        (_, "NoSuchBucket" | "ContainerNotFound") => "make the bucket, or correct the url".to_owned(),
        (_, "RequestTimeTooSkewed") => "set this machine's clock".to_owned(),
        (_, "ExpiredToken" | "InvalidToken") => {
            "get new credentials: those of AWS_SESSION_TOKEN are over".to_owned()
        }
        (301 | 307 | 308, _) | (_, "AuthorizationHeaderMalformed" | "PermanentRedirect") => {
            "set AWS_REGION to the bucket's region".to_owned()
        }
        (
            _,
            "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "AuthenticationFailed" | "XAdminUserNotFound",
        )
        | (401, _) => {
            format!("are {} those of this store?", variables(store))
        }
        (403, _) => "whose credentials these are must be allowed to read and write it".to_owned(),
        (501, _) if store == ObjectStoreKind::S3 => {
            "a store without conditional writes needs AWS_CONDITIONAL_PUT=disabled".to_owned()
        }
        (404, _) => "is there such a bucket, and is the url right?".to_owned(),
        _ => return None,
    };
    Some(advice)
}
