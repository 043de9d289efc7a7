//! Which rejected records are meant, as the options of `list` and `replay` say.

use eventlake_core::violation::Code;
use eventlake_engine::ingest::rejected::RejectedFilter;

use crate::cli::{time, usage};

#[derive(Debug, clap::Args)]
pub struct Filter {
    /// Only with this reason: a schema keyword such as minimum, or malformed_json, too_large, ...
    #[arg(long, visible_alias = "reason", value_name = "CODE")]
    code: Option<String>,

    /// Only from this time on, by Kafka's timestamp: 2026-11-21T01:02:03Z, 2026-11-21, or 1h (ago)
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// Only before this time, by Kafka's timestamp
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

impl Filter {
    /// # Errors
    /// When there is no such code, a time cannot be read, or no time lies between the two.
    pub fn resolve(&self, now_micros: i64) -> anyhow::Result<RejectedFilter> {
        let at = |option: &str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => {
                let parsed = time::parse(text, now_micros);
                parsed
                    .map(Some)
                    .map_err(|expected| usage(format!("{option} {text:?}: {expected}")))
            }
        };
        let unknown = self
            .code
            .as_deref()
            .filter(|code| Code::from_text(code).is_none());
        if let Some(code) = unknown {
            let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
            return Err(usage(format!(
                "--code {code:?} is none of the codes\nhint: they are {}",
                codes.join(", ")
            )));
        }
        let (since_micros, until_micros) = (at("--since", &self.since)?, at("--until", &self.until)?);
        let span = since_micros.zip(until_micros);
        if span.is_some_and(|(since, until)| since >= until) {
            return Err(usage("--since must lie before --until"));
        }
        Ok(RejectedFilter {
            code: self.code.clone(),
            since_micros,
            until_micros,
        })
    }
}
