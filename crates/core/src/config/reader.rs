//! Reads settings out of a parsed TOML document and the variables over it, and gathers every fault on the way.

use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::fault::{Fault, Place, Places, on_one_line};
use super::settings::{self, Section, Setting};
use super::transform::SqlText;
use super::values::{self, Raw, Wrong};

/// A setting as it was read.
#[derive(Clone, Debug)]
pub(super) enum Given<T> {
    /// Written nowhere: the default holds.
    Absent,
    /// Written, and refused: its fault is already recorded, nothing may be concluded from it.
    Refused,
    Value {
        value: T,
        place: Place,
    },
}

impl<T> Given<T> {
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Value { value, .. } => Some(value),
            Self::Absent | Self::Refused => None,
        }
    }

    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Value { place, .. } => Some(place),
            Self::Absent | Self::Refused => None,
        }
    }

    /// The value, or the default; for a refused one the default too, which then only serves to find more faults.
    pub fn or(self, default: T) -> T {
        match self {
            Self::Value { value, .. } => value,
            Self::Absent | Self::Refused => default,
        }
    }

    pub fn ok(self) -> Option<T> {
        match self {
            Self::Value { value, .. } => Some(value),
            Self::Absent | Self::Refused => None,
        }
    }
}

/// One section of the file.
pub(super) struct Table<'t, 'i> {
    pub section: Section,
    /// None when the file has no such section.
    pub entries: Option<&'t DeTable<'i>>,
    /// What the variables of its settings begin with; none when no variable can name it.
    pub variable_prefix: Option<String>,
}

/// The file, the variables over it, and the faults found so far.
pub(super) struct Reader<'a> {
    pub places: Places<'a>,
    env: &'a dyn Fn(&str) -> Option<String>,
    pub faults: Vec<Fault>,
}

impl<'a> Reader<'a> {
    pub fn new(places: Places<'a>, env: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            places,
            env,
            faults: Vec::new(),
        }
    }

    pub fn fault(&mut self, place: Place, message: impl Into<String>) {
        self.faults.push(Fault {
            place,
            message: on_one_line(message.into()),
        });
    }

    /// A setting that has no default is not there.
    pub fn missing(&mut self, place: &Place, setting: &Setting) {
        let message = format!("{setting} is missing: expected {}", setting.expected);
        self.fault(place.clone(), message);
    }

    /// A variable's text; an empty one counts as not set, as it comes from an unset `${NAME:-}` of a script.
    pub fn variable(&self, name: &str) -> Option<String> {
        (self.env)(name).filter(|text| !text.is_empty())
    }

    /// Reads one setting. A variable wins over the file, yet a fault in the file is a fault all the same.
    pub fn setting<T>(
        &mut self,
        table: &Table<'_, '_>,
        setting: &Setting,
        parse: impl Fn(&Raw<'_>) -> Result<T, Wrong>,
    ) -> Given<T> {
        let written = match table.entries.and_then(|entries| find(entries, setting.key)) {
            None => Given::Absent,
            Some(value) => {
                let place = self.places.at(value.span().start);
                self.parse(place, setting, &Raw::of(value.get_ref()), &parse)
            }
        };
        let variable = table
            .variable_prefix
            .as_ref()
            .map(|prefix| prefix.clone() + &settings::shouted(setting.key));
        match variable.and_then(|name| self.variable(&name).map(|text| (name, text))) {
            None => written,
            Some((name, text)) => {
                self.parse(Place::Variable { name }, setting, &Raw::Variable(&text), &parse)
            }
        }
    }

    /// Reads a setting that is a piece of SQL.
    pub fn sql(&mut self, table: &Table<'_, '_>, setting: &Setting) -> Given<SqlText> {
        match self.setting(table, setting, values::sql) {
            Given::Absent => Given::Absent,
            Given::Refused => Given::Refused,
            Given::Value { value: text, place } => {
                let written = table.entries.and_then(|entries| find(entries, setting.key));
                let begins = match (&place, written) {
                    (Place::File { .. }, Some(value)) => self.places.of_text(value.span(), &text),
                    _ => None,
                };
                Given::Value {
                    value: SqlText::new(text, place.clone(), begins),
                    place,
                }
            }
        }
    }

    /// The value of a setting from what was found, or a fault at its place.
    pub fn parse<T>(
        &mut self,
        place: Place,
        setting: &Setting,
        raw: &Raw<'_>,
        parse: impl Fn(&Raw<'_>) -> Result<T, Wrong>,
    ) -> Given<T> {
        let reason = match parse(raw) {
            Ok(value) => return Given::Value { value, place },
            Err(Wrong::Unfit) => String::new(),
            Err(Wrong::Because(reason)) => format!("; {reason}"),
        };
        self.fault(
            place,
            format!("{setting}: expected {}, found {raw}{reason}", setting.expected),
        );
        Given::Refused
    }

    /// Refuses the keys of a section that it does not have, with the one that was probably meant.
    pub fn unknown_keys(&mut self, table: &Table<'_, '_>) {
        let section = table.section;
        let known = || settings::of_section(section).map(|setting| setting.key);
        for (key, value) in table.entries.into_iter().flatten() {
            let name: &str = key.get_ref();
            if known().any(|known| known == name) {
                continue;
            }
            let place = self.place_of_key(key, value);
            match (holds_settings(section, name), value.get_ref()) {
                (false, _) => self.unknown_key(place, section, name),
                (true, DeValue::Table(inner)) => {
                    for (key, value) in inner {
                        let name = format!("{name}.{}", key.get_ref());
                        if !known().any(|known| known == name) {
                            let place = self.place_of_key(key, value);
                            self.unknown_key(place, section, &name);
                        }
                    }
                }
                (true, other) => {
                    let found = Raw::of(other);
                    let message = format!("{}.{name}: expected a table, found {found}", section.key());
                    self.fault(place, message);
                }
            }
        }
    }

    fn unknown_key(&mut self, place: Place, section: Section, name: &str) {
        let known = || settings::of_section(section).map(|setting| setting.key);
        let elsewhere = settings::SETTINGS.iter().find(|setting| setting.key == name);
        let advice = match (settings::nearest(name, known()), elsewhere) {
            (Some(near), _) => format!("did you mean {near:?}?"),
            (None, Some(home)) => format!("it belongs in {}", home.section),
            (None, None) => format!("expected one of {}", known().collect::<Vec<_>>().join(", ")),
        };
        self.fault(place, format!("unknown key {name:?} in {section}; {advice}"));
    }

    /// Refuses the sections that a configuration does not have.
    pub fn unknown_sections(&mut self, document: &DeTable<'_>) {
        for (key, value) in document {
            let name: &str = key.get_ref();
            if Section::ALL.iter().any(|section| section.key() == name) {
                continue;
            }
            let place = self.place_of_key(key, value);
            let near = settings::nearest(name, Section::ALL.map(Section::key));
            let near = Section::ALL
                .into_iter()
                .find(|section| Some(section.key()) == near);
            let setting = settings::SETTINGS.iter().find(|setting| setting.key == name);
            let advice = match (near, setting) {
                (Some(section), _) => format!("did you mean {section}?"),
                (None, Some(home)) => format!("it belongs in {}", home.section),
                (None, None) => {
                    "expected [kafka], [lake], [http], [[topics]], [[views]] or [[alerts]]".to_owned()
                }
            };
            self.fault(place, format!("unknown key {name:?} at the top level; {advice}"));
        }
    }

    /// The section's table; a fault when something else has its name.
    pub fn section<'t, 'i>(&mut self, document: &'t DeTable<'i>, section: Section) -> Table<'t, 'i> {
        let entries = match document.get(section.key()) {
            None => None,
            Some(value) => match value.get_ref() {
                DeValue::Table(entries) => Some(entries),
                other => {
                    let place = self.places.at(value.span().start);
                    let found = Raw::of(other);
                    self.fault(
                        place,
                        format!("{}: expected a table, {section}, found {found}", section.key()),
                    );
                    None
                }
            },
        };
        Table {
            section,
            entries,
            variable_prefix: Some(settings::variable_prefix(section)),
        }
    }

    /// The place of a key as written; of a table with a header of its own, where the header begins.
    pub fn place_of_key(&self, key: &Spanned<DeString<'_>>, value: &Spanned<DeValue<'_>>) -> Place {
        let spans = [key.span(), value.span()];
        let starts = spans
            .iter()
            .filter(|span| !span.is_empty())
            .map(|span| span.start);
        self.places.at(starts.min().unwrap_or(0))
    }
}

/// The value of a key that may lie in tables inside: `transform.select`.
fn find<'t, 'i>(entries: &'t DeTable<'i>, key: &str) -> Option<&'t Spanned<DeValue<'i>>> {
    match key.split_once('.') {
        None => entries.get(key),
        Some((first, rest)) => match entries.get(first)?.get_ref() {
            DeValue::Table(inner) => find(inner, rest),
            _ => None,
        },
    }
}

/// Whether settings of the section lie in a table of this name inside of it.
fn holds_settings(section: Section, name: &str) -> bool {
    settings::of_section(section).any(|setting| {
        let inner = setting.key.strip_prefix(name);
        inner.is_some_and(|rest| rest.starts_with('.'))
    })
}

/// The fault of a part that a later version may have.
pub(super) fn not_in_this_version(what: &str) -> String {
    format!("{what} is not in this version; take it out")
}
