//! What an output of a view is told, and what it promises; and the outputs there are.

mod alert;
mod console;
mod json_file;
mod lines;
#[cfg(feature = "mongodb")]
mod mongodb;
mod object;
mod post;
mod postgres;
#[cfg(test)]
mod receiver;
mod webhook;

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use chrono::{DateTime, SecondsFormat};
use eventlake_core::config::{OutputConfig, Secret};
use eventlake_core::names::ViewName;
use eventlake_query::Format;
use serde_json::Value;

pub use alert::Alert;

/// What an output is to show from now on.
#[derive(Clone, Copy, Debug)]
pub struct Emission<'e> {
    pub view: &'e ViewName,
    /// A number that grows with every commit of the view's tables: an older one is never shown over a newer one.
    pub as_of: u64,
    /// Which commit logs it counts. In others it begins anew.
    pub lake: &'e str,
    pub columns: &'e SchemaRef,
    /// Positions in `columns` of those that no two rows share. None: a view of one row.
    pub key: &'e [usize],
    pub rows: &'e [RecordBatch],
    pub covers: Covers,
    /// Of windows: when each begins whose rows these are, in microseconds since 1970. One of them may have none.
    pub windows: &'e [i64],
}

/// What rows of an emission stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covers {
    /// All that the view holds: what was shown before and is not among them is gone.
    Everything,
    /// Rows to be added, each in the place of one with its key, where there is one. Whole windows come at once, so what was
    /// shown of the same window and is not among them is gone.
    Windows,
    /// Rows that were never there before, or are the same as they were.
    NewRows,
}

/// Where an output stands after an emission, in its own words: kept with the view's state, and handed back to it.
pub type Mark = Option<Value>;

/// Where a view's rows go.
pub trait Output: Send {
    /// Shows these rows, durably. Afterwards a crash may hand it the same ones again, with the mark from before.
    ///
    /// # Errors
    /// When it cannot now; it is asked again later, with these rows and newer ones.
    fn emit(&mut self, emission: &Emission<'_>, mark: Mark) -> anyhow::Result<Mark>;
}

/// The output that is configured.
pub fn open(config: &OutputConfig) -> Box<dyn Output> {
    match config {
        OutputConfig::Console { rows_max } => Box::new(console::Console::new(*rows_max)),
        OutputConfig::Json { path } => Box::new(json_file::JsonFile::new(path.clone())),
        OutputConfig::JsonLines { path } => Box::new(lines::Lines::new(path.clone(), Format::JsonLines)),
        OutputConfig::Csv { path } => Box::new(lines::Lines::new(path.clone(), Format::Csv)),
        OutputConfig::Postgres { url, table } => {
            Box::new(postgres::Postgres::new(url.clone(), table.clone()))
        }
        OutputConfig::Mongodb {
            url,
            database,
            collection,
        } => open_mongodb(url, database.as_deref(), collection),
        OutputConfig::Webhook { url, secret } => Box::new(webhook::Webhook::new(url.clone(), secret.clone())),
        OutputConfig::Object { address, format } => Box::new(object::Object::new(address.clone(), *format)),
    }
}

/// Makes the mark that an output begins with: kept before it is shown anything, so that after a crash it knows its own.
pub type Beginning = fn() -> Mark;

pub fn beginning(config: &OutputConfig) -> Beginning {
    match config {
        OutputConfig::Object { .. } => object::beginning,
        _ => || None,
    }
}

#[cfg(feature = "mongodb")]
fn open_mongodb(url: &Secret, database: Option<&str>, collection: &str) -> Box<dyn Output> {
    let database = database.map(str::to_owned);
    Box::new(mongodb::Mongo::new(url.clone(), database, collection.to_owned()))
}

#[cfg(not(feature = "mongodb"))]
fn open_mongodb(_: &Secret, _: Option<&str>, _: &str) -> Box<dyn Output> {
    unreachable!("such a configuration is refused: see refusal_of_mongodb")
}

/// Why no view can be shown in PostgreSQL by this URL.
pub fn refusal_of_postgres(url: &Secret) -> Option<String> {
    postgres::refusal(url)
}

/// Why a view with these columns cannot be shown in MongoDB.
#[cfg(feature = "mongodb")]
pub fn refusal_of_mongodb(url: &Secret, columns: &SchemaRef) -> Option<String> {
    mongodb::refusal(url, columns)
}

/// Why no view can be shown in MongoDB.
#[cfg(not(feature = "mongodb"))]
pub fn refusal_of_mongodb(_: &Secret, _: &SchemaRef) -> Option<String> {
    Some(
        "an output to \"mongodb\" needs MongoDB's driver, which this program was built without; \
         hint: build it with `--features mongodb`; the container image has it"
            .to_owned(),
    )
}

/// A time in microseconds since 1970, as rows have it.
fn iso(micros: i64) -> String {
    let time = DateTime::from_timestamp_micros(micros).unwrap_or_default();
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

fn create_folder_of(path: &Path) -> anyhow::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())
        }
        _ => Ok(()),
    }
}
