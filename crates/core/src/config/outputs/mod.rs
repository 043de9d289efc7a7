//! Outputs of a view or an alert: their tables as written, and what each of them shares with the others.

pub(super) mod mongodb;
pub(super) mod secrets;
pub(super) mod webhook;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::fault::Place;
use super::reader::{Given, Reader, Table, not_in_this_version};
use super::settings::{self, Section, Setting};
use super::values::{self, Raw, Wrong};

/// What outputs of one section may be.
pub(super) trait Kind: Copy + 'static {
    const SECTION: Section;
    /// What a message calls who has the outputs.
    const OWNER: &'static str;
    const OUTPUTS: Setting;
    const TO: Setting;
    const KINDS: &'static [Self];
    /// Those that later versions may have, with what a message calls them.
    const NOT_YET: &'static [(&'static str, &'static str)];

    /// As the configuration calls it.
    fn name(self) -> &'static str;

    /// What may stand beside its `to`.
    fn keys(self) -> &'static [&'static str];
}

/// Reads `outputs`: those that nothing is wrong with, each as `read_one` does where its kind is known.
pub(super) fn read<K: Kind, W>(
    reader: &mut Reader<'_>,
    table: &Table<'_, '_>,
    read_one: impl Fn(&mut Reader<'_>, &OutputTable<'_, '_>, K) -> W,
) -> Given<Vec<W>> {
    let Some(value) = table.entries.and_then(|entries| entries.get(K::OUTPUTS.key)) else {
        return Given::Absent;
    };
    let place = reader.places.at(value.span().start);
    let array = match value.get_ref() {
        DeValue::Array(array) if !array.is_empty() => Ok(array),
        DeValue::Array(_) => Err(format!("none; {} without outputs would do nothing", K::OWNER)),
        DeValue::Table(_) => Err("a table; write it in brackets, [{ ... }]".to_owned()),
        other => Err(Raw::of(other).kind().to_owned()),
    };
    let array = match array {
        Ok(array) => array,
        Err(found) => {
            no_outputs(reader, place, &K::OUTPUTS, &found);
            return Given::Refused;
        }
    };
    let mut outputs = Vec::new();
    for value in array {
        let place = reader.places.at(value.span().start);
        match value.get_ref() {
            DeValue::Table(entries) => {
                let output = OutputTable {
                    section: K::SECTION,
                    place,
                    entries,
                };
                let kind = output.kind(reader);
                outputs.extend(kind.map(|kind| read_one(reader, &output, kind)));
            }
            other => no_outputs(reader, place, &K::OUTPUTS, Raw::of(other).kind()),
        }
    }
    Given::Value {
        value: outputs,
        place,
    }
}

/// What stands where outputs belong may be an address: only its type is named.
fn no_outputs(reader: &mut Reader<'_>, place: Place, setting: &Setting, found: &str) {
    let message = format!("{setting}: expected {}, found {found}", setting.expected);
    reader.fault(place, message);
}

/// The table of one output.
pub(super) struct OutputTable<'t, 'i> {
    pub section: Section,
    pub place: Place,
    entries: &'t DeTable<'i>,
}

impl OutputTable<'_, '_> {
    /// Which output it is; none when that cannot be told. Faults of it and of the keys beside it are recorded.
    fn kind<K: Kind>(&self, reader: &mut Reader<'_>) -> Option<K> {
        let kind = match self.entries.get("to") {
            None => {
                reader.missing(&self.place, &K::TO);
                None
            }
            Some(value) => {
                let name = value.get_ref().as_str();
                if let Some((_, what)) = K::NOT_YET.iter().find(|(not_yet, _)| Some(*not_yet) == name) {
                    let place = reader.places.at(value.span().start);
                    reader.fault(place, not_in_this_version(what));
                    // Its keys are not known either.
                    return None;
                }
                parse_value(reader, &K::TO, value, kind_named).ok()
            }
        };
        self.check_keys(reader, kind);
        kind
    }

    /// Refuses keys that do not belong to this kind, or, where that is not known, to any.
    fn check_keys<K: Kind>(&self, reader: &mut Reader<'_>, kind: Option<K>) {
        let known = match kind {
            Some(kind) => kind.keys().to_vec(),
            None => K::KINDS.iter().flat_map(|kind| kind.keys()).copied().collect(),
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
            let advice = key_advice::<K>(name, &known);
            reader.fault(place, format!("unknown key {name:?} in {output}; {advice}"));
        }
    }

    /// Refused, too, when it is not there.
    pub fn require<T>(
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

    pub fn setting<T>(
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

fn kind_named<K: Kind>(raw: &Raw<'_>) -> Result<K, Wrong> {
    let names = K::KINDS.iter().map(|kind| kind.name());
    let text = values::text(raw)?;
    let found = K::KINDS.iter().find(|kind| kind.name() == text);
    found.copied().ok_or_else(|| {
        settings::nearest(&text, names).map_or(Wrong::Unfit, |near| {
            Wrong::Because(format!("did you mean {near:?}?"))
        })
    })
}

fn key_advice<K: Kind>(name: &str, known: &[&str]) -> String {
    let candidates = known.iter().copied().chain(["to"]);
    if let Some(near) = settings::nearest(name, candidates) {
        return format!("did you mean {near:?}?");
    }
    let homes = K::KINDS.iter().filter(|kind| kind.keys().contains(&name));
    let homes: Vec<String> = homes.map(|kind| format!("{:?}", kind.name())).collect();
    match homes.is_empty() {
        true => format!("expected to, {}", known.join(", ")),
        false => format!("it belongs to {}", homes.join(", ")),
    }
}
