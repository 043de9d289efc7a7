//! A view as requests to a webhook: its rows as JSON, in parts, each known by a key of its own.

#[cfg(test)]
mod tests;

use anyhow::Context as _;
use arrow::array::RecordBatch;
use eventlake_core::config::Secret;
use eventlake_query::{Format, Writer};
use sha2::{Digest as _, Sha256};

use super::post::{Letter, Post, hex};
use super::{Covers, Emission, Mark, Output, iso};

/// Rows of one request.
const ROWS_MAX: usize = 1000;
/// Posts a view's rows.
pub struct Webhook {
    post: Post,
}

impl Webhook {
    #[must_use]
    pub fn new(url: Secret, secret: Option<Secret>) -> Webhook {
        Webhook {
            post: Post::new(url, secret),
        }
    }
}

impl Output for Webhook {
    fn emit(&mut self, emission: &Emission<'_>, _mark: Mark) -> anyhow::Result<Mark> {
        let parts = parts(emission);
        let all = parts.len();
        let letters = parts.iter().enumerate();
        let letters = letters.map(|(number, rows)| letter(emission, number + 1, all, rows));
        self.post
            .send(letters)
            .with_context(|| format!("view {}", emission.view))?;
        Ok(None)
    }
}

/// Rows by the request. No rows at all are told where that says something: the view holds none.
fn parts(emission: &Emission<'_>) -> Vec<Vec<RecordBatch>> {
    let mut parts: Vec<Vec<RecordBatch>> = Vec::new();
    let mut room = 0;
    for batch in emission.rows {
        let mut from = 0;
        while from < batch.num_rows() {
            if room == 0 {
                parts.push(Vec::new());
                room = ROWS_MAX;
            }
            let count = room.min(batch.num_rows() - from);
            let part = parts.last_mut().expect("one was pushed");
            part.push(batch.slice(from, count));
            from += count;
            room -= count;
        }
    }
    if parts.is_empty() && emission.covers != Covers::NewRows {
        parts.push(Vec::new());
    }
    parts
}

fn letter(
    emission: &Emission<'_>,
    number: usize,
    parts: usize,
    rows: &[RecordBatch],
) -> anyhow::Result<Letter> {
    let body = body(emission, number, parts, rows)?;
    let Emission { view, as_of, .. } = emission;
    let digest = hex(&Sha256::digest(&body)[..16]);
    Ok(Letter {
        idempotency_key: format!("{view}-{as_of}-{number}-{digest}"),
        body,
    })
}

fn body(
    emission: &Emission<'_>,
    number: usize,
    parts: usize,
    rows: &[RecordBatch],
) -> anyhow::Result<Vec<u8>> {
    let covers = match emission.covers {
        Covers::Everything => "everything",
        Covers::Windows => "windows",
        Covers::NewRows => "new_rows",
    };
    let name = |position: &usize| emission.columns.field(*position).name();
    let key: Vec<&String> = emission.key.iter().map(name).collect();
    let windows: Vec<String> = emission.windows.iter().map(|micros| iso(*micros)).collect();
    let mut body = format!(
        "{{\"view\":{},\"as_of\":{},\"covers\":\"{covers}\",\"windows\":{},\"part\":{number},\"parts\":{parts},\"key\":{},\"rows\":[",
        serde_json::to_string(emission.view.as_str())?,
        emission.as_of,
        serde_json::to_string(&windows)?,
        serde_json::to_string(&key)?,
    )
    .into_bytes();
    let mut writer = Writer::new(Format::JsonLines, emission.columns)?;
    let mut lines = Vec::new();
    for batch in rows {
        lines.extend(writer.write(batch)?);
    }
    lines.extend(writer.finish()?);
    // A line break within a value is escaped: each one is between two rows, or after the last.
    let rows = lines.trim_ascii_end();
    body.extend(rows.iter().map(|byte| if *byte == b'\n' { b',' } else { *byte }));
    body.extend_from_slice(b"]}");
    Ok(body)
}
