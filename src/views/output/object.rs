//! A view in an object store: as one object that is replaced, as an object a window, or, of plain rows, as an object an emission.

mod client;
mod connector;
mod faults;
mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use chrono::DateTime;
use eventlake_core::config::{ObjectAddress, ObjectFormat};
use eventlake_query::Format;
use object_store::Attributes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::json_file::{newest, of_window, whole};
use super::post::hex;
use super::{Covers, Emission, Mark, Output};
use client::{Client, Known, Put, Verdict, noted};
use store::Environment;

/// An object's books: which view it shows, as of which commits of which logs, and of which beginning of the view it is. All stores
/// take names of letters alone.
const VIEW: &str = "eventlakeview";
const AS_OF: &str = "eventlakeasof";
const LAKE: &str = "eventlakelake";
const BEGUN: &str = "eventlakebegun";

/// A longer name of a lake is noted by its digest: books are small.
const LAKE_BYTES_MAX: usize = 128;
/// How long windows are put within one emission: a stop waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Object {
    address: ObjectAddress,
    format: ObjectFormat,
    client: Option<Client>,
    /// Of a view that is one object.
    known: Known,
    /// The windows that an emission that failed has shown: when each begins, and the digest of what it holds.
    shown: BTreeMap<i64, String>,
    /// The beginning whose remains of a crash are taken away.
    cleared: Option<String>,
}

/// The mark of a view of plain rows: a number a part, and an id that nothing before or elsewhere has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Parts {
    begun: String,
    next: u64,
}

/// Kept before the first part is put, so that after a crash a part is known as our own.
pub(super) fn beginning() -> Mark {
    Some(json!({ "begun": format!("{:016x}", rand::random::<u64>()), "next": 0 }))
}

impl Object {
    #[must_use]
    pub fn new(address: ObjectAddress, format: ObjectFormat) -> Object {
        Object {
            address,
            format,
            client: None,
            known: Known::Nothing,
            shown: BTreeMap::new(),
            cleared: None,
        }
    }

    fn show(&mut self, emission: &Emission<'_>, mark: Mark) -> anyhow::Result<Mark> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => Client::open(&self.address, Environment::of_process())?,
        };
        let outcome = self.show_by(&mut client, emission, mark);
        self.client = Some(client);
        outcome
    }

    fn show_by(&mut self, client: &mut Client, emission: &Emission<'_>, mark: Mark) -> anyhow::Result<Mark> {
        match (self.address.is_prefix(), emission.covers) {
            (false, Covers::Everything | Covers::Windows) => self.show_whole(client, emission, mark),
            (true, Covers::Windows) => self.show_windows(client, emission).map(|()| mark),
            (true, Covers::NewRows) => self.show_part(client, emission, mark),
            (false, Covers::NewRows) | (true, Covers::Everything) => {
                bail!(
                    "it does not fit the view, and was checked with the configuration: a defect of the program"
                )
            }
        }
    }

    /// All there is, or the newest window, as the one object. The mark of windows is when the newest one begins.
    fn show_whole(
        &mut self,
        client: &mut Client,
        emission: &Emission<'_>,
        mark: Mark,
    ) -> anyhow::Result<Mark> {
        let shown = mark.as_ref().and_then(Value::as_i64);
        let Some((rows, newest)) = newest(emission, shown)? else {
            return Ok(mark);
        };
        let bytes = whole(format(self.format), emission.columns, &rows)?;
        let object = client::Object::new(bytes, self.format, books(emission));
        let known = std::mem::take(&mut self.known);
        match client.put(&self.address.key, &object, known, &|found| {
            of_view(found, emission)
        })? {
            Put::Done(known) => self.known = known,
            Put::IsNewer => tell_newer(emission, &self.address.to_string()),
        }
        Ok(newest.map(Value::from).or(mark))
    }

    /// Each window as the object of its beginning: whole, however often it is shown.
    fn show_windows(&mut self, client: &mut Client, emission: &Emission<'_>) -> anyhow::Result<()> {
        let began = Instant::now();
        for (place, start) in emission.windows.iter().enumerate() {
            if began.elapsed() > PATIENCE {
                let all = emission.windows.len();
                bail!("the store is slow: {place} of {all} windows are shown, the others follow");
            }
            let rows = of_window(emission.rows, *start)?;
            let bytes = whole(format(self.format), emission.columns, &rows)?;
            let digest = hex(&Sha256::digest(&bytes));
            if self.shown.get(start) == Some(&digest) {
                continue;
            }
            let key = format!("{}{}", self.address.key, name_of_window(*start, self.format));
            let object = client::Object::new(bytes, self.format, books(emission));
            // One that is shown for the first time, as nearly all are, is not looked for.
            let put = client.put(&key, &object, Known::Absent, &|found| of_view(found, emission))?;
            if matches!(put, Put::IsNewer) {
                tell_newer(emission, &key);
            }
            self.shown.insert(*start, digest);
        }
        self.shown.clear();
        Ok(())
    }

    /// The rows as the object of the next number. Shown once more after a crash, they take the place of what was put then.
    fn show_part(
        &mut self,
        client: &mut Client,
        emission: &Emission<'_>,
        mark: Mark,
    ) -> anyhow::Result<Mark> {
        if emission.rows.iter().all(|batch| batch.num_rows() == 0) {
            return Ok(mark);
        }
        let mark = mark.context("the view's beginning was not kept: a defect of the program")?;
        let mut parts: Parts = serde_json::from_value(mark).context("the kept mark")?;
        let key = |number: u64| format!("{}{}", self.address.key, name_of_part(number, self.format));
        let is_ours = |found: &Attributes| {
            match noted(found, BEGUN) == Some(parts.begun.as_str()) {
            true => Verdict::Replace,
            false => Verdict::Keep(
                "there are parts already that this view has not put since it began: it began anew, or they are another's. \
                 hint: set the url to a prefix of its own, or move away what is there"
                    .to_owned(),
            ),
        }
        };
        if self.cleared.as_ref() != Some(&parts.begun) {
            client.clear(key, parts.next, &is_ours)?;
            self.cleared = Some(parts.begun.clone());
        }
        let bytes = whole(format(self.format), emission.columns, emission.rows)?;
        let begun = (BEGUN, parts.begun.clone());
        let object = client::Object::new(bytes, self.format, books(emission).into_iter().chain([begun]));
        client.put(&key(parts.next), &object, Known::Absent, &is_ours)?;
        parts.next += 1;
        Ok(Some(serde_json::to_value(parts).expect("plain data")))
    }
}

impl Output for Object {
    fn emit(&mut self, emission: &Emission<'_>, mark: Mark) -> anyhow::Result<Mark> {
        let outcome = self.show(emission, mark);
        outcome.with_context(|| format!("view {}: {}", emission.view, self.address))
    }
}

fn format(format: ObjectFormat) -> Format {
    match format {
        ObjectFormat::JsonLines => Format::JsonLines,
        ObjectFormat::Csv => Format::Csv,
        ObjectFormat::Parquet => Format::Parquet,
    }
}

fn ending(format: ObjectFormat) -> &'static str {
    match format {
        ObjectFormat::JsonLines => "jsonl",
        ObjectFormat::Csv => "csv",
        ObjectFormat::Parquet => "parquet",
    }
}

fn name_of_part(number: u64, format: ObjectFormat) -> String {
    format!("part-{number:020}.{}", ending(format))
}

/// By when it begins: in order by name, and without a character that a tool might stumble over.
fn name_of_window(start: i64, format: ObjectFormat) -> String {
    let time = DateTime::from_timestamp_micros(start).unwrap_or_default();
    format!("window-{}.{}", time.format("%Y%m%dT%H%M%S%.fZ"), ending(format))
}

fn books(emission: &Emission<'_>) -> [(&'static str, String); 3] {
    [
        (VIEW, emission.view.to_string()),
        (AS_OF, emission.as_of.to_string()),
        (LAKE, lake(emission)),
    ]
}

fn lake(emission: &Emission<'_>) -> String {
    match emission.lake.len() > LAKE_BYTES_MAX {
        true => hex(&Sha256::digest(emission.lake)),
        false => emission.lake.to_owned(),
    }
}

/// Whether an emission may take the place of an object.
fn of_view(found: &Attributes, emission: &Emission<'_>) -> Verdict {
    if let Some(owner) = noted(found, VIEW)
        && owner != emission.view.as_str()
    {
        return Verdict::Keep(format!(
            "it shows the view {owner}. hint: each view needs an object of its own; delete it if the view has another name now"
        ));
    }
    let stored: Option<u64> = noted(found, AS_OF).and_then(|number| number.parse().ok());
    let is_same_lake = noted(found, LAKE) == Some(lake(emission).as_str());
    match stored {
        // The numbers of another lake say nothing about this one's.
        Some(stored) if is_same_lake && stored > emission.as_of => Verdict::IsNewer,
        _ => Verdict::Replace,
    }
}

fn tell_newer(emission: &Emission<'_>, object: &str) {
    tracing::info!(
        view = %emission.view,
        "{object} shows a newer state than that of commit {}, and stays as it is",
        emission.as_of
    );
}
