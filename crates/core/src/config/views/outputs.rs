//! A view's outputs as written: which there are, and the keys of each.

use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::secrets::{SECRET, URL, WrittenSecret};
use crate::config::fault::Place;
use crate::config::reader::{Given, Reader, Table, not_in_this_version};
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
    Webhook,
}

impl OutputKind {
    pub const ALL: [Self; 6] = [
        Self::Console,
        Self::Json,
        Self::JsonLines,
        Self::Csv,
        Self::Postgres,
        Self::Webhook,
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
            Self::Webhook => "webhook",
        }
    }

    /// What may stand beside its `to`.
    #[must_use]
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Console => &["rows"],
            Self::Json | Self::JsonLines | Self::Csv => &["path"],
            Self::Postgres => &["url", "url_env", "url_file", "table"],
            Self::Webhook => &[
                "url",
                "url_env",
                "url_file",
                "secret",
                "secret_env",
                "secret_file",
            ],
        }
    }
}

/// Kinds that later versions may have, with what a message calls them.
const NOT_YET: [(&str, &str); 2] = [
    ("object", "an output to an object store"),
    ("mongodb", "an output to MongoDB"),
];

const fn output(key: &'static str, expected: &'static str) -> Setting {
    Setting {
        section: Section::Views,
        key,
        expected,
    }
}

const TO: Setting = output(
    "outputs.to",
    "\"console\", \"json\", \"jsonl\", \"csv\", \"postgres\" or \"webhook\"",
);
const ROWS: Setting = output("outputs.rows", "a number of rows from 1 to 10000");
pub(super) const PATH: Setting = output("outputs.path", "the path of a file on this machine");
const TABLE: Setting = output("outputs.table", "the name of a table in the database");

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
    Webhook {
        url: Given<WrittenSecret>,
        secret: Given<WrittenSecret>,
    },
}

#[derive(Clone, Copy)]
pub(in crate::config) enum FileFormat {
    Json,
    JsonLines,
    Csv,
}

/// Reads a view's `outputs`.
pub(super) fn read(reader: &mut Reader<'_>, view: &Table<'_, '_>) -> Given<Vec<WrittenOutput>> {
    let setting = settings::OUTPUTS;
    let Some(value) = view.entries.and_then(|entries| entries.get(setting.key)) else {
        return Given::Absent;
    };
    let place = reader.places.at(value.span().start);
    let array = match value.get_ref() {
        DeValue::Array(array) if !array.is_empty() => Ok(array),
        DeValue::Array(_) => Err("none; a view without outputs would do nothing"),
        DeValue::Table(_) => Err("a table; write it in brackets, [{ ... }]"),
        other => Err(Raw::of(other).kind()),
    };
    let array = match array {
        Ok(array) => array,
        Err(found) => {
            no_outputs(reader, place, found);
            return Given::Refused;
        }
    };
    let mut outputs = Vec::new();
    for value in array {
        let place = reader.places.at(value.span().start);
        match value.get_ref() {
            DeValue::Table(entries) => outputs.extend(OutputTable { place, entries }.read(reader)),
            other => no_outputs(reader, place, Raw::of(other).kind()),
        }
    }
    Given::Value {
        value: outputs,
        place,
    }
}

/// What stands where outputs belong may be an address: only its type is named.
fn no_outputs(reader: &mut Reader<'_>, place: Place, found: &str) {
    let setting = settings::OUTPUTS;
    let message = format!("{setting}: expected {}, found {found}", setting.expected);
    reader.fault(place, message);
}

/// The table of one output.
struct OutputTable<'t, 'i> {
    place: Place,
    entries: &'t DeTable<'i>,
}

impl OutputTable<'_, '_> {
    /// The output; none when it cannot be told which one, and that is then recorded.
    fn read(&self, reader: &mut Reader<'_>) -> Option<WrittenOutput> {
        match self.kind(reader) {
            Kind::Known(kind) => {
                self.check_keys(reader, Some(kind));
                Some(self.of_kind(reader, kind))
            }
            Kind::Unknown => {
                self.check_keys(reader, None);
                None
            }
            Kind::NotYet => None,
        }
    }

    fn kind(&self, reader: &mut Reader<'_>) -> Kind {
        let Some(value) = self.entries.get("to") else {
            reader.missing(&self.place, &TO);
            return Kind::Unknown;
        };
        let name = value.get_ref().as_str();
        if let Some((_, what)) = NOT_YET.iter().find(|(not_yet, _)| Some(*not_yet) == name) {
            let place = reader.places.at(value.span().start);
            reader.fault(place, not_in_this_version(what));
            return Kind::NotYet;
        }
        let kind = parse_value(reader, &TO, value, output_kind);
        kind.ok().map_or(Kind::Unknown, Kind::Known)
    }

    /// Refuses keys that do not belong to this kind, or, where that is not known, to any.
    fn check_keys(&self, reader: &mut Reader<'_>, kind: Option<OutputKind>) {
        let known = match kind {
            Some(kind) => kind.keys().to_vec(),
            None => OutputKind::ALL
                .iter()
                .flat_map(|kind| kind.keys())
                .copied()
                .collect(),
        };
        for (key, value) in self.entries {
            let name: &str = key.get_ref();
            if name == "to" || known.contains(&name) {
                continue;
            }
            let place = reader.place_of_key(key, value);
            let output = kind.map_or("an output".to_owned(), |kind| {
                format!("an output to {:?}", kind.name())
            });
            let advice = key_advice(name, &known);
            reader.fault(place, format!("unknown key {name:?} in {output}; {advice}"));
        }
    }

    fn of_kind(&self, reader: &mut Reader<'_>, kind: OutputKind) -> WrittenOutput {
        match kind {
            OutputKind::Console => WrittenOutput::Console {
                rows_max: self.setting(reader, &ROWS, |raw| values::whole_number(raw, 1, 10_000)),
            },
            OutputKind::Json => self.file(reader, FileFormat::Json),
            OutputKind::JsonLines => self.file(reader, FileFormat::JsonLines),
            OutputKind::Csv => self.file(reader, FileFormat::Csv),
            OutputKind::Postgres => WrittenOutput::Postgres {
                url: URL.require(reader, self.entries, &self.place),
                table: self.require(reader, &TABLE, values::text),
            },
            OutputKind::Webhook => WrittenOutput::Webhook {
                url: URL.require(reader, self.entries, &self.place),
                secret: SECRET.read(reader, self.entries),
            },
        }
    }

    fn file(&self, reader: &mut Reader<'_>, format: FileFormat) -> WrittenOutput {
        let path = self.require(reader, &PATH, file_path);
        WrittenOutput::File { format, path }
    }

    /// Refused, too, when it is not there.
    fn require<T>(
        &self,
        reader: &mut Reader<'_>,
        setting: &Setting,
        parse: impl Fn(&Raw<'_>) -> Result<T, Wrong>,
    ) -> Given<T> {
        let given = self.setting(reader, setting, parse);
        if !matches!(given, Given::Absent) {
            return given;
        }
        reader.missing(&self.place, setting);
        Given::Refused
    }

    fn setting<T>(
        &self,
        reader: &mut Reader<'_>,
        setting: &Setting,
        parse: impl Fn(&Raw<'_>) -> Result<T, Wrong>,
    ) -> Given<T> {
        let key = setting.key.rsplit('.').next().expect("a split has a last part");
        let Some(value) = self.entries.get(key) else {
            return Given::Absent;
        };
        parse_value(reader, setting, value, parse)
    }
}

enum Kind {
    Known(OutputKind),
    Unknown,
    NotYet,
}

/// An address may hold a password, and may stand in the wrong key: it is not repeated.
fn parse_value<T>(
    reader: &mut Reader<'_>,
    setting: &Setting,
    value: &Spanned<DeValue<'_>>,
    parse: impl Fn(&Raw<'_>) -> Result<T, Wrong>,
) -> Given<T> {
    let place = reader.places.at(value.span().start);
    if value.get_ref().as_str().is_some_and(|text| text.contains("://")) {
        reader.fault(
            place,
            format!("{setting}: expected {}, found an address", setting.expected),
        );
        return Given::Refused;
    }
    reader.parse(place, setting, &Raw::of(value.get_ref()), &parse)
}

fn output_kind(raw: &Raw<'_>) -> Result<OutputKind, Wrong> {
    let names = || OutputKind::ALL.map(OutputKind::name);
    let text = values::text(raw)?;
    let found = OutputKind::ALL.into_iter().find(|kind| kind.name() == text);
    found.ok_or_else(|| {
        settings::nearest(&text, names()).map_or(Wrong::Unfit, |near| {
            Wrong::Because(format!("did you mean {near:?}?"))
        })
    })
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

fn key_advice(name: &str, known: &[&str]) -> String {
    let candidates = known.iter().copied().chain(["to"]);
    if let Some(near) = settings::nearest(name, candidates) {
        return format!("did you mean {near:?}?");
    }
    let homes: Vec<String> = OutputKind::ALL
        .into_iter()
        .filter(|kind| kind.keys().contains(&name))
        .map(|kind| format!("{:?}", kind.name()))
        .collect();
    match homes.is_empty() {
        true => format!("expected to, {}", known.join(", ")),
        false => format!("it belongs to {}", homes.join(", ")),
    }
}
