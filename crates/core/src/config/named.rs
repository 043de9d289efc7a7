//! Sections that stand once for each topic, view or alert: their tables, and the variables that their names find.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::Place;
use super::reader::{Given, Reader, Table};
use super::resolve::Taken;
use super::settings::{self, Section, Setting};
use super::values::{self, Raw};
use crate::names::BadName;

/// One table of such a section, read as far as its name.
pub(super) struct Named<'t, 'i> {
    /// Where it begins.
    pub place: Place,
    /// True when its name is refused, or a key of it is not known.
    pub is_at_fault: bool,
    pub name: Given<String>,
    pub table: Table<'t, 'i>,
}

/// Reads the tables of a section, in the file's order.
pub(super) fn read<'t, 'i>(
    reader: &mut Reader<'_>,
    document: &'t DeTable<'i>,
    section: Section,
    name: &Setting,
) -> Vec<Named<'t, 'i>> {
    let Some(value) = document.get(section.key()) else {
        return Vec::new();
    };
    let DeValue::Array(array) = value.get_ref() else {
        let advice = match value.get_ref() {
            DeValue::Table(_) => "; write it with two brackets on each side, once for each of them",
            _ => "",
        };
        no_tables(reader, section, value, advice);
        return Vec::new();
    };
    let mut named = Vec::new();
    let mut prefixes = Prefixes::default();
    for value in array {
        match value.get_ref() {
            DeValue::Table(entries) => {
                let place = reader.places.at(value.span().start);
                named.push(read_one(reader, place, entries, name, &mut prefixes));
            }
            _ => no_tables(reader, section, value, ""),
        }
    }
    named
}

/// Whether nothing else stands there: else some that were meant are not known.
pub(super) fn are_tables(document: &DeTable<'_>, section: Section) -> bool {
    document.get(section.key()).is_none_or(|value| {
        let array = value.get_ref().as_array();
        array.is_some_and(|array| array.iter().all(|value| value.get_ref().is_table()))
    })
}

fn no_tables(reader: &mut Reader<'_>, section: Section, value: &Spanned<DeValue<'_>>, advice: &str) {
    let place = reader.places.at(value.span().start);
    let (key, found) = (section.key(), Raw::of(value.get_ref()));
    let message = format!("{key}: expected {section} tables, found {found}{advice}");
    reader.fault(place, message);
}

fn read_one<'t, 'i>(
    reader: &mut Reader<'_>,
    place: Place,
    entries: &'t DeTable<'i>,
    name: &Setting,
    prefixes: &mut Prefixes,
) -> Named<'t, 'i> {
    let faults_before = reader.faults.len();
    let mut table = Table {
        section: name.section,
        entries: Some(entries),
        variable_prefix: None,
    };
    reader.unknown_keys(&table);
    let name = reader.setting(&table, name, values::text);
    if let Some(name) = name.value() {
        table.variable_prefix = prefixes.of(reader, table.section, name);
    }
    Named {
        place,
        is_at_fault: reader.faults.len() > faults_before,
        name,
        table,
    }
}

/// Names of one section. Each is taken in any case: variables and SQL do not tell cases apart, and folders may not.
pub(super) struct Names<'a> {
    setting: Setting,
    /// What a message calls one of the section.
    what: &'static str,
    taken: Taken,
    /// Tables of topics, where none may have the name of one.
    tables: Option<&'a Taken>,
}

impl<'a> Names<'a> {
    pub fn new(setting: Setting, what: &'static str) -> Self {
        Self {
            setting,
            what,
            taken: Taken::new(),
            tables: None,
        }
    }

    pub fn apart_from(self, tables: &'a Taken) -> Self {
        Self {
            tables: Some(tables),
            ..self
        }
    }

    /// The name of the table at `table`; none when there is a fault, which is then recorded.
    pub fn take<N>(
        &mut self,
        reader: &mut Reader<'_>,
        table: &Place,
        written: &Given<String>,
        parse: fn(&str) -> Result<N, BadName>,
    ) -> Option<N> {
        let setting = self.setting;
        let (text, place) = match written {
            Given::Value { value, place } => (value, place),
            Given::Refused => return None,
            Given::Absent => {
                reader.missing(table, &setting);
                return None;
            }
        };
        let name = match parse(text) {
            Ok(name) => name,
            Err(bad) => {
                reader.fault(place.clone(), format!("{setting}: {bad}"));
                return None;
            }
        };
        if let Some(taken) = self.taken_by(&text.to_lowercase()) {
            let message = format!("{setting}: {text:?} is already the {taken}; expected another name");
            reader.fault(place.clone(), message);
            return None;
        }
        self.taken.insert(text.to_lowercase(), place.clone());
        Some(name)
    }

    fn taken_by(&self, folded: &str) -> Option<String> {
        if let Some(first) = self.taken.get(folded) {
            return Some(format!("name of the {} at {}", self.what, first.short()));
        }
        let topic = self.tables?.get(folded)?;
        Some(format!("table of the topic at {}", topic.short()))
    }
}

/// The prefixes of variables that are taken, each with the name it was made from.
#[derive(Default)]
struct Prefixes(Vec<(String, String)>);

impl Prefixes {
    /// The prefix of one name's variables. Two names may come to one (`a.b` and `a_b`): a variable that is set then
    /// says nothing about either.
    fn of(&mut self, reader: &mut Reader<'_>, section: Section, name: &str) -> Option<String> {
        let prefix = settings::named_variable_prefix(section, name);
        let taken = |(known, other): &&(String, String)| *known == prefix && other != name;
        let Some((_, other)) = self.0.iter().find(taken) else {
            self.0.push((prefix.clone(), name.to_owned()));
            return Some(prefix);
        };
        for setting in settings::of_section(section).filter(settings::has_variable) {
            let variable = prefix.clone() + &settings::shouted(setting.key);
            if reader.variable(&variable).is_some() {
                let place = Place::Variable { name: variable };
                let section = section.key();
                reader.fault(
                    place,
                    format!("{section} {other:?} and {name:?} both answer to it; set it in the file"),
                );
            }
        }
        None
    }
}
