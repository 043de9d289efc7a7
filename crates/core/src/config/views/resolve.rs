//! From views as written to views resolved: names, windows, files apart from each other, secrets, SQL.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::objects::Objects;
use super::outputs::{DATABASE, FileFormat, PATH, WrittenOutput};
use super::written::{WrittenView, WrittenViews, WrittenWindow};
use super::{OutputConfig, ViewConfig, WindowConfig};
use crate::config::fault::Place;
use crate::config::named::Names;
use crate::config::outputs::mongodb;
use crate::config::outputs::secrets::WrittenSecret;
use crate::config::outputs::webhook::Webhook;
use crate::config::paths::{Overlap, overlap};
use crate::config::reader::{Given, Reader};
use crate::config::resolve::Topics;
use crate::config::{Defined, LakeConfig, Surroundings, ViewStart, settings, values};
use crate::names::ViewName;

const GROUPS_MAX_DEFAULT: u64 = 100_000;
const ROWS_MAX_DEFAULT: u64 = 20;
const LATENESS_DEFAULT: Duration = Duration::from_secs(60);

/// Windows that one row may be in.
const WINDOWS_OF_A_ROW_MAX: u32 = 1440;

/// What views are held against.
pub(in crate::config) struct Known<'a> {
    pub around: &'a Surroundings<'a>,
    pub file: &'a Path,
    pub lake: &'a LakeConfig,
    pub topics: &'a Topics,
}

/// The views, and what alerts must know of them.
pub(in crate::config) struct Views {
    pub configs: Vec<ViewConfig>,
    /// By the names as written: which of the configs it is, where there is no fault in it.
    pub by_name: BTreeMap<String, Option<usize>>,
    /// False when there may be one of another name.
    pub names_are_known: bool,
}

/// Resolves the views. Every fault ends up in the reader; the result counts only when there is none.
pub(in crate::config) fn resolve(reader: &mut Reader<'_>, written: WrittenViews, known: &Known<'_>) -> Views {
    let mut names = Names::new(settings::VIEW_NAME, "view").apart_from(&known.topics.tables);
    let mut files = Files {
        lake: known.lake,
        taken: Vec::new(),
        objects: Objects::default(),
    };
    let mut views = Views {
        configs: Vec::new(),
        by_name: BTreeMap::new(),
        names_are_known: written.names_are_known,
    };
    let mut read = Vec::new();
    for view in written.views {
        let faults_before = reader.faults.len();
        let (name, was_at_fault) = (view.name.clone(), view.is_at_fault);
        let resolved = resolve_view(reader, view, &mut names, &mut files, known);
        let is_sound = !was_at_fault && reader.faults.len() == faults_before;
        let window_is_known = resolved.as_ref().is_some_and(|(_, is_known)| *is_known);
        views.configs.extend(resolved.map(|(view, _)| view));
        read.push(Read {
            name: name.ok(),
            index: views.configs.len().wrapping_sub(1),
            is_sound,
            window_is_known,
        });
    }
    // A view may look at one that comes later.
    let views_are_known = written.names_are_known && read.iter().all(|read| read.is_sound);
    for read in read {
        let defined = Defined {
            topics: &known.topics.configs,
            views: &views.configs,
            views_are_known,
        };
        let faults_before = reader.faults.len();
        if read.window_is_known && known.topics.are_known {
            check_sql(reader, &views.configs[read.index], &defined, known);
        }
        if let Some(name) = read.name {
            // The second of two of one name is at fault, and which is meant cannot be told.
            let is_sound = read.is_sound && reader.faults.len() == faults_before;
            let index = is_sound.then_some(read.index);
            views.by_name.insert(name, index);
        }
    }
    views
}

/// A view that was read, before its SQL is looked at.
struct Read {
    name: Option<String>,
    /// Which of the configs it is, where it is one.
    index: usize,
    is_sound: bool,
    /// It is one of the configs, and what its window is can be said.
    window_is_known: bool,
}

/// The view, and whether its window is known.
fn resolve_view(
    reader: &mut Reader<'_>,
    view: WrittenView,
    names: &mut Names<'_>,
    files: &mut Files<'_>,
    known: &Known<'_>,
) -> Option<(ViewConfig, bool)> {
    let name = names.take(reader, &view.place, &view.name, ViewName::new);
    let window = window_of(reader, &view.window);
    if matches!(view.sql, Given::Absent) {
        reader.missing(&view.place, &settings::SQL);
    }
    let outputs = outputs_of(reader, &view, files, known);
    let sql = view.sql.ok()?;
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
    Some((view, window_is_known))
}

fn check_sql(reader: &mut Reader<'_>, view: &ViewConfig, defined: &Defined<'_>, known: &Known<'_>) {
    for fault in (known.around.view)(view, defined) {
        let message = format!("{}: {}", settings::SQL, fault.message);
        reader.fault(view.sql.place_of(fault.at), message);
    }
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
        let lateness = written.lateness.clone().or(LATENESS_DEFAULT);
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
            url: WrittenSecret::resolve(url, reader, known.around, known.file).ok()?,
            table: table.value()?.clone(),
        }),
        WrittenOutput::Mongodb {
            url,
            database,
            collection,
        } => {
            let url = WrittenSecret::resolve(url, reader, known.around, known.file);
            if let (Given::Value { value, place }, Given::Absent) = (&url, database)
                && !mongodb::names_a_database(value.reveal())
            {
                let message = format!(
                    "{DATABASE} is missing: expected {}, as the url names none",
                    DATABASE.expected
                );
                reader.fault(place.clone(), message);
                return None;
            }
            let is_known = !matches!(database, Given::Refused);
            Some(OutputConfig::Mongodb {
                url: url.ok().filter(|_| is_known)?,
                database: database.clone().ok(),
                collection: collection.value()?.clone(),
            })
        }
        WrittenOutput::Webhook(webhook) => {
            let Webhook { url, secret } = webhook.resolve(reader, known.around, known.file)?;
            Some(OutputConfig::Webhook { url, secret })
        }
        WrittenOutput::Object(object) => {
            let (address, format) = files.objects.take(reader, object, known)?;
            Some(OutputConfig::Object { address, format })
        }
    }
}

/// The files that outputs write: each by one output, and none where the lake has its own. And the objects.
struct Files<'a> {
    lake: &'a LakeConfig,
    taken: Vec<(PathBuf, Place)>,
    objects: Objects,
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
