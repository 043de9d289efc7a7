//! From views as written to views resolved: names, windows, files apart from each other, secrets, SQL.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::outputs::{FileFormat, PATH, WrittenOutput};
use super::secrets::WrittenSecret;
use super::written::{WrittenView, WrittenWindow};
use super::{OutputConfig, Secret, ViewConfig, WindowConfig};
use crate::config::fault::Place;
use crate::config::paths::{Overlap, overlap};
use crate::config::reader::{Given, Reader};
use crate::config::resolve::{Taken, Topics};
use crate::config::{LakeConfig, Surroundings, ViewStart, settings, values};
use crate::names::ViewName;

const GROUPS_MAX_DEFAULT: u64 = 100_000;
const ROWS_MAX_DEFAULT: u64 = 20;

/// Windows that one row may be in.
const WINDOWS_OF_A_ROW_MAX: u32 = 1440;

/// What views are held against.
pub(in crate::config) struct Known<'a> {
    pub around: &'a Surroundings<'a>,
    pub file: &'a Path,
    pub lake: &'a LakeConfig,
    pub topics: &'a Topics,
}

/// Resolves the views. Every fault ends up in the reader; the result counts only when there is none.
pub(in crate::config) fn resolve(
    reader: &mut Reader<'_>,
    written: Vec<WrittenView>,
    known: &Known<'_>,
) -> Vec<ViewConfig> {
    let mut names = Taken::new();
    let mut files = Files {
        lake: known.lake,
        taken: Vec::new(),
    };
    let mut views = Vec::new();
    for view in written {
        let name = view_name(reader, &view, &mut names, &known.topics.tables);
        let window = window_of(reader, &view.window);
        if matches!(view.sql, Given::Absent) {
            reader.missing(&view.place, &settings::SQL);
        }
        let outputs = outputs_of(reader, &view, &mut files, known);
        let Some(sql) = view.sql.ok() else {
            continue;
        };
        let window_is_known = !matches!(window, Given::Refused);
        let view = ViewConfig {
            // A name that is refused hides no fault of the SQL.
            name: name.unwrap_or_else(|| ViewName::new("unnamed").expect("it is a name")),
            sql,
            window: window.ok(),
            every: view.every.ok(),
            start: view.start.or(ViewStart::Lake),
            groups_max: view.groups_max.or(GROUPS_MAX_DEFAULT),
            outputs,
        };
        if window_is_known && known.topics.are_known {
            check_sql(reader, &view, known);
        }
        views.push(view);
    }
    views
}

fn check_sql(reader: &mut Reader<'_>, view: &ViewConfig, known: &Known<'_>) {
    for fault in (known.around.view)(view, &known.topics.configs) {
        let message = format!("{}: {}", settings::SQL, fault.message);
        reader.fault(view.sql.place_of(fault.at), message);
    }
}

/// A view's name is taken in any case: its state is a folder, and SQL does not tell cases apart.
fn view_name(
    reader: &mut Reader<'_>,
    view: &WrittenView,
    names: &mut Taken,
    tables: &Taken,
) -> Option<ViewName> {
    let setting = settings::VIEW_NAME;
    let (text, place) = match &view.name {
        Given::Value { value, place } => (value, place),
        Given::Refused => return None,
        Given::Absent => {
            reader.missing(&view.place, &setting);
            return None;
        }
    };
    let name = match ViewName::new(text) {
        Ok(name) => name,
        Err(bad) => {
            reader.fault(place.clone(), format!("{setting}: {bad}"));
            return None;
        }
    };
    let folded = text.to_lowercase();
    let taken = match (names.get(&folded), tables.get(&folded)) {
        (Some(first), _) => Some(("name of the view", first)),
        (None, Some(topic)) => Some(("table of the topic", topic)),
        (None, None) => None,
    };
    if let Some((what, first)) = taken {
        let first = first.short();
        let message = format!("{setting}: {text:?} is already the {what} at {first}; expected another name");
        reader.fault(place.clone(), message);
        return None;
    }
    names.insert(folded, place.clone());
    Some(name)
}

fn window_of(reader: &mut Reader<'_>, written: &WrittenWindow) -> Given<WindowConfig> {
    let (size, place) = match &written.size {
        Given::Value { value, place } => (*value, place.clone()),
        Given::Refused => return Given::Refused,
        Given::Absent => return no_window(reader, written),
    };
    if matches!(written.slide, Given::Refused) || matches!(written.lateness, Given::Refused) {
        return Given::Refused;
    }
    let slide = written.slide.clone().or(size);
    let slide_place = written.slide.place().unwrap_or(&place);
    let (shown_size, shown) = (values::show_duration(size), values::show_duration(slide));
    let setting = settings::WINDOW_SLIDE;
    let reason = if slide > size {
        format!("{shown} is longer than window.size ({shown_size}): rows in between would be in no window")
    } else if size > slide * WINDOWS_OF_A_ROW_MAX {
        format!(
            "a row would be in more than {WINDOWS_OF_A_ROW_MAX} windows of {shown_size}, one every {shown}"
        )
    } else {
        let lateness = written.lateness.clone().or(Duration::ZERO);
        let value = WindowConfig {
            size,
            slide,
            lateness,
        };
        return Given::Value { value, place };
    };
    reader.fault(slide_place.clone(), format!("{setting}: {reason}"));
    Given::Refused
}

/// Without a size there is no window, and nothing else may be said about one.
fn no_window(reader: &mut Reader<'_>, written: &WrittenWindow) -> Given<WindowConfig> {
    let others = [
        (settings::WINDOW_SLIDE, &written.slide),
        (settings::WINDOW_LATENESS, &written.lateness),
    ];
    let mut window = Given::Absent;
    for (setting, given) in others {
        if let Some(place) = given.place() {
            reader.fault(
                place.clone(),
                format!("{setting}: it needs window.size, which is not there"),
            );
        }
        if !matches!(given, Given::Absent) {
            window = Given::Refused;
        }
    }
    window
}

fn outputs_of(
    reader: &mut Reader<'_>,
    view: &WrittenView,
    files: &mut Files<'_>,
    known: &Known<'_>,
) -> Vec<OutputConfig> {
    let outputs = match &view.outputs {
        Given::Value { value, .. } => value,
        Given::Refused => return Vec::new(),
        Given::Absent => {
            reader.missing(&view.place, &settings::OUTPUTS);
            return Vec::new();
        }
    };
    let resolved = outputs
        .iter()
        .filter_map(|output| output_of(reader, output, files, known));
    resolved.collect()
}

/// The output; none when there is a fault, which is then recorded.
fn output_of(
    reader: &mut Reader<'_>,
    written: &WrittenOutput,
    files: &mut Files<'_>,
    known: &Known<'_>,
) -> Option<OutputConfig> {
    match written {
        WrittenOutput::Console { rows_max } => Some(OutputConfig::Console {
            rows_max: rows_max.clone().or(ROWS_MAX_DEFAULT),
        }),
        WrittenOutput::File { format, path } => {
            let path = files.take(reader, path)?;
            Some(match format {
                FileFormat::Json => OutputConfig::Json { path },
                FileFormat::JsonLines => OutputConfig::JsonLines { path },
                FileFormat::Csv => OutputConfig::Csv { path },
            })
        }
        WrittenOutput::Postgres { url, table } => Some(OutputConfig::Postgres {
            url: secret_of(reader, url, known).ok()?,
            table: table.value()?.clone(),
        }),
        WrittenOutput::Webhook { url, secret } => {
            let url = secret_of(reader, url, known);
            let secret = secret_of(reader, secret, known);
            let is_known = !matches!(secret, Given::Refused);
            let secret = secret.ok();
            url.ok()
                .filter(|_| is_known)
                .map(|url| OutputConfig::Webhook { url, secret })
        }
    }
}

/// The text of a secret. A variable that is set to nothing, and a file with nothing in it, hold none.
fn secret_of(reader: &mut Reader<'_>, written: &Given<WrittenSecret>, known: &Known<'_>) -> Given<Secret> {
    let (secret, place) = match written {
        Given::Value { value, place } => (value, place.clone()),
        Given::Absent => return Given::Absent,
        Given::Refused => return Given::Refused,
    };
    let reason = match secret.source.text(known.around, known.file) {
        Ok(text) if text.trim().is_empty() => "it is empty".to_owned(),
        Ok(text) if text.contains(char::is_control) => "a control character cannot stand there".to_owned(),
        Ok(text) => {
            let value = Secret::new(text);
            return Given::Value { value, place };
        }
        Err(reason) => reason,
    };
    reader.fault(place, format!("views.outputs.{}: {reason}", secret.key));
    Given::Refused
}

/// The files that outputs write: each by one output, and none where the lake has its own.
struct Files<'a> {
    lake: &'a LakeConfig,
    taken: Vec<(PathBuf, Place)>,
}

impl Files<'_> {
    fn take(&mut self, reader: &mut Reader<'_>, written: &Given<PathBuf>) -> Option<PathBuf> {
        let (path, place) = (written.value()?, written.place()?);
        let shown = path.display();
        let folders = [
            (settings::DATA, &self.lake.data),
            (settings::REJECTED, &self.lake.rejected),
            (settings::CHECKPOINTS, &self.lake.checkpoints),
        ];
        for (setting, folder) in folders {
            if let Some(overlap) = overlap(path, folder) {
                let (relation, folder) = (relation(overlap), folder.display());
                let message = format!(
                    "{PATH}: {shown} {relation} {setting} ({folder}); expected a file apart from the lake"
                );
                reader.fault(place.clone(), message);
            }
        }
        for (other, first) in &self.taken {
            if let Some(overlap) = overlap(path, other) {
                let (relation, first) = (relation(overlap), first.short());
                let message = format!(
                    "{PATH}: {shown} {relation} the path of the output at {first}; expected a file for each output"
                );
                reader.fault(place.clone(), message);
            }
        }
        self.taken.push((path.clone(), place.clone()));
        Some(path.clone())
    }
}

fn relation(overlap: Overlap) -> &'static str {
    match overlap {
        Overlap::Same => "is",
        Overlap::Inside => "lies inside",
        Overlap::Around => "contains",
    }
}
