//! Sections that stand once for each topic or view: their tables, and the variables that their names find.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::Place;
use super::reader::{Given, Reader, Table};
use super::settings::{self, Section, Setting};
use super::values::{self, Raw};

/// One table of such a section, read as far as its name.
pub(super) struct Named<'t, 'i> {
    /// Where it begins.
    pub place: Place,
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
    Named { place, name, table }
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
