//! Configuration in two layers: as written (strict TOML) and as resolved (every fault found in one run).
//!
//! [`resolve`] reads the text, lets the `EVENTLAKE_<SECTION>_<KEY>` variables win over it, compiles the schemas
//! it names, and gives a [`Config`] or every [`Fault`] at once. It does no I/O: files and variables come from
//! functions that the caller passes.

mod alerts;
mod fault;
mod named;
mod outputs;
mod paths;
mod properties;
mod reader;
mod resolve;
mod resolved;
mod settings;
mod source;
mod transform;
mod values;
mod views;
mod written;

use std::path::Path;
use std::time::Duration;

use toml::de::DeTable;

use crate::schema::DecodeRules;

pub use alerts::outputs::AlertOutputKind;
pub use alerts::{AlertConfig, AlertOutput, Severity, WebhookFormat};
pub use fault::{Fault, Place};
pub use outputs::secrets::Secret;
pub use properties::Properties;
pub use resolved::{
    Config, EventTimeUnit, HttpConfig, KafkaConfig, LakeConfig, ListenAddress, OnDataLoss, PartitionBy,
    Start, TopicConfig, TopicCreation,
};
pub use settings::{SETTINGS, Section, Setting, nearest};
pub use transform::{SqlText, TransformConfig, TransformFault, TransformPart};
pub use views::objects::{ObjectAddress, ObjectFormat, ObjectStoreKind};
pub use views::outputs::OutputKind;
pub use views::{OutputConfig, ViewConfig, ViewFault, ViewStart, WindowConfig};

use fault::Places;
use reader::Reader;

/// What a configuration is resolved against.
pub struct Surroundings<'a> {
    /// An environment variable's text.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// A file's text, or why it cannot be read.
    pub read: &'a dyn Fn(&Path) -> Result<String, String>,
    /// Whether librdkafka takes a property with this value, or why not. The reason must not repeat the value.
    pub property: &'a dyn Fn(&str, &str) -> Result<(), String>,
    /// What is wrong with a transform of events that are decoded by these rules.
    pub transform: &'a dyn Fn(&TransformConfig, &DecodeRules) -> Vec<TransformFault>,
    /// What is wrong with a view of the tables of these topics.
    pub view: &'a ViewCheck<'a>,
    /// What is wrong with the condition of an alert on this view of the tables of these topics.
    pub alert: &'a AlertCheck<'a>,
}

/// Says what is wrong with an alert's condition.
pub type AlertCheck<'a> = dyn Fn(&AlertConfig, &ViewConfig, &Defined<'_>) -> Vec<ViewFault> + 'a;

/// Says what is wrong with a view.
pub type ViewCheck<'a> = dyn Fn(&ViewConfig, &Defined<'_>) -> Vec<ViewFault> + 'a;

/// What SQL of the configuration can look at.
#[derive(Clone, Copy, Debug)]
pub struct Defined<'a> {
    pub topics: &'a [TopicConfig],
    pub views: &'a [ViewConfig],
    /// False when there may be other views: one could not be read.
    pub views_are_known: bool,
}

/// Reads a duration as the configuration writes it: `500ms`, `10s`, `1h30m`.
///
/// # Errors
/// With what is expected.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    values::duration(&values::Raw::Text(text))
        .map_err(|_| "expected a duration such as 500ms, 10s, 1h30m or 7d".to_owned())
}

/// Reads a configuration: its text, the `EVENTLAKE_...` variables over it, and the schemas and secrets it names.
/// Librdkafka's properties and SQL are not looked at; [`resolve_in`] can.
///
/// # Errors
/// Every fault at once, in the file's order; when the text is not TOML, where it stops being that.
pub fn resolve(
    text: &str,
    file: &Path,
    env: &dyn Fn(&str) -> Option<String>,
    read: &dyn Fn(&Path) -> Result<String, String>,
) -> Result<Config, Vec<Fault>> {
    resolve_in(
        text,
        file,
        &Surroundings {
            env,
            read,
            property: &|_, _| Ok(()),
            transform: &|_, _| Vec::new(),
            view: &|_, _| Vec::new(),
            alert: &|_, _, _| Vec::new(),
        },
    )
}

/// A size as the configuration writes it, `16MiB`, in bytes: for options that mean the same as a setting.
///
/// # Errors
/// What was expected.
pub fn parse_size(text: &str) -> Result<u64, String> {
    values::size(&values::Raw::Text(text)).map_err(|wrong| expected(wrong, "a size such as \"16MiB\""))
}

/// A time zone as the configuration writes it, `UTC` or `+02:00`, in seconds east of UTC.
///
/// # Errors
/// What was expected.
pub fn parse_time_zone(text: &str) -> Result<i32, String> {
    values::time_zone(&values::Raw::Text(text))
        .map_err(|wrong| expected(wrong, "an offset such as \"+02:00\""))
}

fn expected(wrong: values::Wrong, example: &str) -> String {
    match wrong {
        values::Wrong::Because(reason) => reason,
        values::Wrong::Unfit => format!("expected {example}"),
    }
}

/// Like [`resolve`], with all that a configuration can be held against.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_in(text: &str, file: &Path, around: &Surroundings<'_>) -> Result<Config, Vec<Fault>> {
    let mut reader = Reader::new(Places::new(file, text), around.env);
    let document = match DeTable::parse(text) {
        Ok(document) => document,
        Err(error) => {
            let place = error.span().map_or(
                Place::WholeFile {
                    file: file.to_owned(),
                },
                |span| Places::new(file, text).at(span.start),
            );
            let message = format!("not TOML: {}", error.message().replace('\n', ", "));
            return Err(vec![Fault { place, message }]);
        }
    };
    let written = written::read(&mut reader, document.get_ref());
    let config = resolve::resolve(&mut reader, written, around, file);
    let mut faults = reader.faults;
    if faults.is_empty() {
        return Ok(config);
    }
    // Sorting is stable: faults at one place stay in the order they were found.
    faults.sort_by(|a, b| report_order(a, file).cmp(&report_order(b, file)));
    Err(faults)
}

/// The configuration file's own faults come first, then its schemas', then the variables'.
fn report_order<'a>(fault: &'a Fault, file: &Path) -> (u8, &'a Place) {
    let rank = match &fault.place {
        Place::Variable { .. } => 2,
        Place::WholeFile { file: other } if other == file => 0,
        Place::File { .. } => 0,
        Place::Line { .. } | Place::WholeFile { .. } => 1,
    };
    (rank, &fault.place)
}

/// The known variable that a misspelt one most likely means, for variables that look like settings; `None` when
/// the variable is right or no setting's at all.
#[must_use]
pub fn misspelt_variable(name: &str, config: &Config) -> Option<Option<String>> {
    let prefixes = Section::ALL.map(settings::variable_prefix);
    if !prefixes.iter().any(|prefix| name.starts_with(prefix.as_str())) {
        return None;
    }
    let known = known_variables(config);
    if known.iter().any(|known| known == name) {
        return None;
    }
    Some(settings::nearest(name, known.iter().map(String::as_str)).map(str::to_owned))
}

/// Every variable that can override something of this configuration.
#[must_use]
pub fn known_variables(config: &Config) -> Vec<String> {
    let mut known = Vec::new();
    for setting in SETTINGS.into_iter().filter(settings::has_variable) {
        let (section, key) = (setting.section, settings::shouted(setting.key));
        let named = |name: &str| settings::named_variable_prefix(section, name) + &key;
        match section {
            Section::Topics => known.extend(config.topics.iter().map(|topic| named(topic.name.as_str()))),
            Section::Views => known.extend(config.views.iter().map(|view| named(view.name.as_str()))),
            Section::Alerts => known.extend(config.alerts.iter().map(|alert| named(alert.name.as_str()))),
            Section::Kafka | Section::Lake | Section::Http => {
                known.push(settings::variable_prefix(section) + &key);
            }
        }
    }
    known.extend(properties::BY_VARIABLE.map(properties::variable_of));
    known.extend(
        config
            .kafka
            .properties
            .iter()
            .map(|(name, _)| properties::variable_of(name)),
    );
    known
}
