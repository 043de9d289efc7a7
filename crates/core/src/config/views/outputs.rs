//! A view's outputs as written: which there are, and the keys of each.

use std::path::PathBuf;

use super::objects::WrittenObject;
use crate::config::outputs::secrets::{MONGODB_URL, POSTGRES_URL, WrittenSecret};
use crate::config::outputs::webhook::WrittenWebhook;
use crate::config::outputs::{self, Kind, OutputTable, mongodb};
use crate::config::reader::{Given, Reader, Table};
use crate::config::settings::{self, Section, Setting};
use crate::config::values::{self, Raw, Wrong};

/// What an output may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputKind {
    Console,
    Json,
    JsonLines,
    Csv,
    Postgres,
    Mongodb,
    Webhook,
    Object,
}

impl OutputKind {
    pub const ALL: [Self; 8] = [
        Self::Console,
        Self::Json,
        Self::JsonLines,
        Self::Csv,
        Self::Postgres,
        Self::Mongodb,
        Self::Webhook,
        Self::Object,
    ];

    /// As the configuration calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Json => "json",
            Self::JsonLines => "jsonl",
            Self::Csv => "csv",
            Self::Postgres => "postgres",
            Self::Mongodb => "mongodb",
            Self::Webhook => "webhook",
            Self::Object => "object",
        }
    }

    /// What may stand beside its `to`.
    #[must_use]
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Console => &["rows"],
            Self::Json | Self::JsonLines | Self::Csv => &["path"],
            Self::Postgres => &["url", "url_env", "url_file", "table"],
            Self::Mongodb => &["url", "url_env", "url_file", "database", "collection"],
            Self::Webhook => &[
                "url",
                "url_env",
                "url_file",
                "secret",
                "secret_env",
                "secret_file",
            ],
            Self::Object => &["url", "url_env", "url_file", "format"],
        }
    }
}

impl Kind for OutputKind {
    const SECTION: Section = Section::Views;
    const OWNER: &'static str = "a view";
    const OUTPUTS: Setting = settings::OUTPUTS;
    const TO: Setting = TO;
    const KINDS: &'static [Self] = &OutputKind::ALL;
    const NOT_YET: &'static [(&'static str, &'static str)] = &[];

    fn name(self) -> &'static str {
        OutputKind::name(self)
    }

    fn keys(self) -> &'static [&'static str] {
        OutputKind::keys(self)
    }
}

const TO: Setting = settings::views(
    "outputs.to",
    "\"console\", \"json\", \"jsonl\", \"csv\", \"postgres\", \"mongodb\", \"webhook\" or \"object\"",
);
const ROWS: Setting = settings::views("outputs.rows", "a number of rows from 1 to 10000");
pub(super) const PATH: Setting = settings::views("outputs.path", "the path of a file on this machine");
const TABLE: Setting = settings::views(
    "outputs.table",
    "the name of a table in the database, or \"schema.table\"",
);
pub(super) const DATABASE: Setting = settings::views("outputs.database", "the name of a database");
const COLLECTION: Setting = settings::views("outputs.collection", "the name of a collection in the database");

/// An output, whose keys that are missing are refused already.
pub(in crate::config) enum WrittenOutput {
    Console {
        rows_max: Given<u64>,
    },
    File {
        format: FileFormat,
        path: Given<PathBuf>,
    },
    Postgres {
        url: Given<WrittenSecret>,
        table: Given<String>,
    },
    Mongodb {
        url: Given<WrittenSecret>,
        /// Absent: the one that the URL names.
        database: Given<String>,
        collection: Given<String>,
    },
    Webhook(WrittenWebhook),
    Object(WrittenObject),
}

#[derive(Clone, Copy)]
pub(in crate::config) enum FileFormat {
    Json,
    JsonLines,
    Csv,
}

/// Reads a view's `outputs`.
pub(super) fn read(reader: &mut Reader<'_>, view: &Table<'_, '_>) -> Given<Vec<WrittenOutput>> {
    outputs::read(reader, view, read_one)
}

fn read_one(reader: &mut Reader<'_>, output: &OutputTable<'_, '_>, kind: OutputKind) -> WrittenOutput {
    let mut file = |format| WrittenOutput::File {
        format,
        path: output.require(reader, &PATH, file_path),
    };
    match kind {
        OutputKind::Console => WrittenOutput::Console {
            rows_max: output.setting(reader, &ROWS, |raw| values::whole_number(raw, 1, 10_000)),
        },
        OutputKind::Json => file(FileFormat::Json),
        OutputKind::JsonLines => file(FileFormat::JsonLines),
        OutputKind::Csv => file(FileFormat::Csv),
        OutputKind::Postgres => WrittenOutput::Postgres {
            url: POSTGRES_URL.require(reader, output),
            table: output.require(reader, &TABLE, table_in_a_database),
        },
        OutputKind::Mongodb => WrittenOutput::Mongodb {
            url: MONGODB_URL.require(reader, output),
            database: output.setting(reader, &DATABASE, mongodb::database),
            collection: output.require(reader, &COLLECTION, mongodb::collection),
        },
        OutputKind::Webhook => WrittenOutput::Webhook(WrittenWebhook::read(reader, output)),
        OutputKind::Object => WrittenOutput::Object(WrittenObject::read(reader, output)),
    }
}

/// The longest name PostgreSQL keeps whole.
const IDENTIFIER_BYTES_MAX: usize = 63;

/// A table's name, or its schema's and its own.
fn table_in_a_database(raw: &Raw<'_>) -> Result<String, Wrong> {
    let text = values::text(raw)?;
    let names: Vec<&str> = text.split('.').collect();
    let reason = if names.len() > 2 {
        "there is more than one '.'".to_owned()
    } else if names.iter().any(|name| name.trim().is_empty()) {
        "a name in it is empty".to_owned()
    } else if names.iter().any(|name| name.len() > IDENTIFIER_BYTES_MAX) {
        format!("a name in it is longer than {IDENTIFIER_BYTES_MAX} bytes")
    } else {
        return Ok(text);
    };
    Err(Wrong::Because(reason))
}

/// A file on a local file system.
fn file_path(raw: &Raw<'_>) -> Result<PathBuf, Wrong> {
    let path = PathBuf::from(values::text(raw)?);
    let written = path.as_os_str().as_encoded_bytes();
    let names_a_folder = written.ends_with(b"/") || written.ends_with(b"/.") || path.file_name().is_none();
    match names_a_folder {
        true => Err(Wrong::Because("it names a folder".to_owned())),
        false => Ok(path),
    }
}
