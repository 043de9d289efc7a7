//! `[[views]]` as written: every value has its type and its place.

use std::time::Duration;

use toml::de::DeTable;

use super::outputs::{self, WrittenOutput};
use crate::config::ViewStart;
use crate::config::fault::Place;
use crate::config::named::{self, Named};
use crate::config::reader::{Given, Reader};
use crate::config::settings::{self, Section, Setting};
use crate::config::transform::SqlText;
use crate::config::values;

pub(in crate::config) struct WrittenViews {
    pub views: Vec<WrittenView>,
    /// False when there may be one of a name that is not known.
    pub names_are_known: bool,
}

pub(in crate::config) struct WrittenView {
    /// Where its `[[views]]` stands.
    pub place: Place,
    /// True when something in it is refused or not known.
    pub is_at_fault: bool,
    pub name: Given<String>,
    pub sql: Given<SqlText>,
    pub every: Given<Duration>,
    pub start: Given<ViewStart>,
    pub groups_max: Given<u64>,
    pub window: WrittenWindow,
    /// Those that nothing is wrong with.
    pub outputs: Given<Vec<WrittenOutput>>,
}

pub(in crate::config) struct WrittenWindow {
    pub size: Given<Duration>,
    pub slide: Given<Duration>,
    pub lateness: Given<Duration>,
}

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);

pub(in crate::config) fn read(reader: &mut Reader<'_>, document: &DeTable<'_>) -> WrittenViews {
    let views = named::read(reader, document, Section::Views, &settings::VIEW_NAME);
    let views: Vec<WrittenView> = views.into_iter().map(|view| read_view(reader, view)).collect();
    let have_names = views.iter().all(|view| view.name.value().is_some());
    WrittenViews {
        views,
        names_are_known: have_names && named::are_tables(document, Section::Views),
    }
}

fn read_view(reader: &mut Reader<'_>, view: Named<'_, '_>) -> WrittenView {
    let Named {
        place,
        is_at_fault,
        name,
        table,
    } = view;
    let faults_before = reader.faults.len();
    let mut duration = |setting: &Setting, min: Duration, max: Duration| {
        reader.setting(&table, setting, |raw| values::duration_within(raw, min, max))
    };
    let every = duration(&settings::EVERY, Duration::from_millis(100), DAY);
    let window = WrittenWindow {
        size: duration(&settings::WINDOW_SIZE, SECOND, 31 * DAY),
        slide: duration(&settings::WINDOW_SLIDE, SECOND, 31 * DAY),
        lateness: duration(&settings::WINDOW_LATENESS, Duration::ZERO, 31 * DAY),
    };
    let mut view = WrittenView {
        place,
        is_at_fault,
        name,
        sql: reader.sql(&table, &settings::SQL),
        every,
        start: reader.setting(&table, &settings::VIEW_START, values::view_start),
        groups_max: reader.setting(&table, &settings::MAX_GROUPS, |raw| {
            values::whole_number(raw, 1, 10_000_000)
        }),
        window,
        outputs: outputs::read(reader, &table),
    };
    view.is_at_fault |= reader.faults.len() > faults_before;
    view
}
