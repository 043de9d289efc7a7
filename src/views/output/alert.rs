//! An alert on a view, told in one place: once for each key and window, with pauses, and once more when it is over.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use chrono::Utc;
use eventlake_core::config::{AlertConfig, AlertOutput, Severity, WebhookFormat};
use eventlake_query::{Condition, Format, Writer};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::post::{Letter, Post, hex};
use super::{Covers, Emission, Mark, Output, iso};
use crate::cli::visible;

/// Keys that an alert may be raised for at a time: what holds of more says nothing of any.
const KEYS_MAX: usize = 10_000;
/// Characters of a row in a message.
const ROW_CHARS: usize = 500;

pub struct Alert {
    config: AlertConfig,
    condition: Condition,
    sink: Sink,
    /// Ahead of what is kept while an emission is told in parts.
    raised: Option<Raised>,
    clock: fn() -> i64,
}

/// Where it is told.
enum Sink {
    Log,
    Webhook { post: Box<Post>, format: WebhookFormat },
}

/// What was told: the mark of this output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Raised {
    /// Messages so far: it tells one episode of a key from the next.
    told: u64,
    keys: BTreeMap<String, Told>,
}

/// What was told of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Told {
    /// The window it was told of, or passed over in a pause.
    window: Option<i64>,
    /// When, in milliseconds since 1970.
    at: i64,
    is_firing: bool,
    /// The row it was told of.
    row: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    Firing,
    Resolved,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Status::Firing => "firing",
            Status::Resolved => "resolved",
        }
    }
}

/// One thing to tell.
struct Message<'m> {
    status: Status,
    key: &'m str,
    window: Option<i64>,
    row: &'m Value,
}

/// A row that the condition holds for.
struct Holding {
    key: String,
    row: Value,
}

impl Alert {
    #[must_use]
    pub fn new(config: AlertConfig, condition: Condition, output: &AlertOutput) -> Alert {
        Alert {
            config,
            condition,
            sink: match output {
                AlertOutput::Log => Sink::Log,
                AlertOutput::Webhook { url, secret, format } => Sink::Webhook {
                    post: Box::new(Post::new(url.clone(), secret.clone())),
                    format: *format,
                },
            },
            raised: None,
            clock: || Utc::now().timestamp_millis(),
        }
    }

    /// All rows that there are: what is not among those that hold is over.
    fn judge_whole(&self, emission: &Emission<'_>, raised: &mut Raised) -> anyhow::Result<()> {
        let holding = self.holding(emission, emission.rows)?;
        self.judge(emission, &holding, None, raised)
    }

    fn judge_windows(&self, emission: &Emission<'_>, raised: &mut Raised) -> anyhow::Result<()> {
        let mut starts = emission.windows.to_vec();
        starts.sort_unstable();
        for start in starts {
            let of_window: Vec<RecordBatch> = emission
                .rows
                .iter()
                .flat_map(|batch| {
                    let times = batch.column(0).as_primitive::<TimestampMicrosecondType>();
                    let rows = (0..batch.num_rows()).filter(|row| times.value(*row) == start);
                    rows.map(|row| batch.slice(row, 1)).collect::<Vec<_>>()
                })
                .collect();
            let holding = self.holding(emission, &of_window)?;
            self.judge(emission, &holding, Some(start), raised)?;
        }
        Ok(())
    }

    /// Rows that come once have no end, and no other row is of the same key.
    fn judge_rows(&self, emission: &Emission<'_>, raised: &mut Raised) -> anyhow::Result<()> {
        for Holding { key, row } in self.holding(emission, emission.rows)? {
            let message = Message {
                status: Status::Firing,
                key: &key,
                window: None,
                row: &row,
            };
            self.tell(emission, &message, 0)?;
            raised.told += 1;
        }
        Ok(())
    }

    /// Tells what begins and what is over, given the rows that hold now, or in this window.
    fn judge(
        &self,
        emission: &Emission<'_>,
        holding: &[Holding],
        window: Option<i64>,
        raised: &mut Raised,
    ) -> anyhow::Result<()> {
        let now = (self.clock)();
        let pause = i64::try_from(self.config.cooldown.as_millis()).unwrap_or(i64::MAX);
        for Holding { key, row } in holding {
            let told = raised.keys.get(key);
            let is_told = told.is_some_and(|told| match window {
                None => told.is_firing,
                Some(_) => told.window >= window,
            });
            if is_told {
                continue;
            }
            let is_paused = told.is_some_and(|told| now < told.at.saturating_add(pause));
            if is_paused {
                // Of a window nothing more is told; a state is told when the pause is over, if it still holds.
                if let Some(told) = raised.keys.get_mut(key).filter(|_| window.is_some()) {
                    told.window = window;
                }
                continue;
            }
            if raised.keys.len() >= KEYS_MAX && told.is_none() {
                bail!(
                    "alert {} holds for more than {KEYS_MAX} keys at a time; narrow its condition",
                    self.config.name
                );
            }
            let message = Message {
                status: Status::Firing,
                key,
                window,
                row,
            };
            self.tell(emission, &message, raised.told)?;
            raised.told += 1;
            let told = Told {
                window,
                at: now,
                is_firing: true,
                row: row.clone(),
            };
            raised.keys.insert(key.clone(), told);
        }
        self.end(emission, holding, window, raised)?;
        raised
            .keys
            .retain(|_, told| told.is_firing || now < told.at.saturating_add(pause));
        Ok(())
    }

    /// Tells what no longer holds.
    fn end(
        &self,
        emission: &Emission<'_>,
        holding: &[Holding],
        window: Option<i64>,
        raised: &mut Raised,
    ) -> anyhow::Result<()> {
        let holds = |key: &String| holding.iter().any(|holding| holding.key == *key);
        let over: Vec<String> = raised
            .keys
            .iter()
            .filter(|(key, told)| told.is_firing && !holds(key))
            .filter(|(_, told)| window.is_none() || told.window < window)
            .map(|(key, _)| key.clone())
            .collect();
        for key in over {
            if self.config.resolve {
                let message = Message {
                    status: Status::Resolved,
                    key: &key,
                    window,
                    row: &raised.keys[&key].row,
                };
                self.tell(emission, &message, raised.told)?;
                raised.told += 1;
            }
            if let Some(told) = raised.keys.get_mut(&key) {
                told.is_firing = false;
            }
        }
        Ok(())
    }

    /// The rows that the condition holds for, each with its key: the view's, without the window.
    fn holding(&self, emission: &Emission<'_>, rows: &[RecordBatch]) -> anyhow::Result<Vec<Holding>> {
        let mut holding = Vec::new();
        let of_key = emission.key.iter().copied();
        let of_key: Vec<&String> = match emission.covers {
            Covers::Windows => of_key
                .filter(|column| *column != 0)
                .map(|column| emission.columns.field(column).name())
                .collect(),
            Covers::Everything | Covers::NewRows => of_key
                .map(|column| emission.columns.field(column).name())
                .collect(),
        };
        for batch in rows {
            let holds = self.condition.holds(batch)?;
            for row in (0..batch.num_rows()).filter(|row| holds.value(*row)) {
                let row = object(&batch.slice(row, 1))?;
                let key: Map<String, Value> = of_key
                    .iter()
                    .map(|name| ((*name).clone(), row[name.as_str()].clone()))
                    .collect();
                holding.push(Holding {
                    key: Value::Object(key).to_string(),
                    row,
                });
            }
        }
        Ok(holding)
    }

    fn tell(&self, emission: &Emission<'_>, message: &Message<'_>, number: u64) -> anyhow::Result<()> {
        match &self.sink {
            Sink::Log => {
                self.log(message);
                Ok(())
            }
            Sink::Webhook { post, format } => {
                let body = match format {
                    WebhookFormat::Json => self.as_json(emission, message),
                    WebhookFormat::Slack => json!({"text": self.as_text(message)}),
                };
                // Of a window there is one message of each kind; of a state, one an episode.
                let episode = message.window.unwrap_or(number as i64);
                let digest = Sha256::digest(message.key.as_bytes());
                let idempotency_key = format!(
                    "{}-{}-{episode}-{}",
                    self.config.name,
                    message.status.as_str(),
                    hex(&digest[..16])
                );
                let letter = Letter {
                    body: body.to_string().into_bytes(),
                    idempotency_key,
                };
                post.send(std::iter::once(Ok(letter)))
                    .with_context(|| format!("alert {}", self.config.name))
            }
        }
    }

    fn as_json(&self, emission: &Emission<'_>, message: &Message<'_>) -> Value {
        let key: Value = serde_json::from_str(message.key).unwrap_or_default();
        json!({
            "alert": self.config.name.as_str(),
            "status": message.status.as_str(),
            "severity": self.config.severity.to_string(),
            "view": emission.view.as_str(),
            "when": self.config.when.text,
            "as_of": emission.as_of,
            "key": key,
            "window_start": message.window.map(iso),
            "row": message.row,
        })
    }

    fn as_text(&self, message: &Message<'_>) -> String {
        let cells = message.row.as_object().into_iter().flatten();
        let cells: Vec<String> = cells
            .map(|(name, value)| match value {
                Value::String(text) => format!("{name}={text}"),
                other => format!("{name}={other}"),
            })
            .collect();
        let row = visible::cut(&visible::line(&cells.join(" ")), ROW_CHARS);
        format!(
            "[{}] {} {}: {row} ({} of view {})",
            self.config.severity,
            self.config.name,
            message.status.as_str(),
            self.config.when.text,
            self.config.view
        )
    }

    fn log(&self, message: &Message<'_>) {
        let text = self.as_text(message);
        match (message.status, self.config.severity) {
            (Status::Resolved, _) | (Status::Firing, Severity::Info) => tracing::info!("alert {text}"),
            (Status::Firing, Severity::Warning) => tracing::warn!("alert {text}"),
            (Status::Firing, Severity::Critical) => tracing::error!("alert {text}"),
        }
    }
}

impl Output for Alert {
    fn emit(&mut self, emission: &Emission<'_>, mark: Mark) -> anyhow::Result<Mark> {
        let kept = || mark.and_then(|mark| serde_json::from_value(mark).ok());
        let mut raised = self.raised.take().unwrap_or_else(|| kept().unwrap_or_default());
        let judged = match emission.covers {
            Covers::Everything => self.judge_whole(emission, &mut raised),
            Covers::Windows => self.judge_windows(emission, &mut raised),
            Covers::NewRows => self.judge_rows(emission, &mut raised),
        };
        // What was told is told, whatever came after it.
        let kept = serde_json::to_value(&raised).expect("plain data with text keys");
        self.raised = Some(raised);
        judged.map(|()| Some(kept))
    }
}

/// A row as an object.
fn object(row: &RecordBatch) -> anyhow::Result<Value> {
    let mut writer = Writer::new(Format::JsonLines, row.schema_ref())?;
    let mut bytes = writer.write(row)?;
    bytes.extend(writer.finish()?);
    Ok(serde_json::from_slice(&bytes)?)
}
