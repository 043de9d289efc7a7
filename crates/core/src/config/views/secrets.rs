//! Texts of an output that may be secrets, as written: by which key they are given. No message repeats one.

use toml::de::{DeTable, DeValue};

use crate::config::fault::Place;
use crate::config::reader::{Given, Reader};
use crate::config::source::Source;
use crate::config::values::Raw;

/// The keys that give one secret, of which one may be there.
pub(super) struct SecretKeys {
    plain: &'static str,
    variable: &'static str,
    file: &'static str,
}

pub(super) const URL: SecretKeys = SecretKeys {
    plain: "url",
    variable: "url_env",
    file: "url_file",
};
pub(super) const SECRET: SecretKeys = SecretKeys {
    plain: "secret",
    variable: "secret_env",
    file: "secret_file",
};

pub(in crate::config) struct WrittenSecret {
    /// The key it was given by.
    pub key: &'static str,
    pub source: Source,
}

impl SecretKeys {
    /// Reads the secret of an output's table.
    pub fn read(&self, reader: &mut Reader<'_>, output: &DeTable<'_>) -> Given<WrittenSecret> {
        let keys = [self.plain, self.variable, self.file];
        let mut given = keys
            .into_iter()
            .filter_map(|key| Some((key, output.get_key_value(key)?)));
        let Some((key, (_, value))) = given.next() else {
            return Given::Absent;
        };
        let mut is_one = true;
        for (other, (written, value)) in given {
            let place = reader.place_of_key(written, value);
            let expected = self.expected();
            let message = format!("views.outputs.{other}: {key} is there too; expected one of {expected}");
            reader.fault(place, message);
            is_one = false;
        }
        let place = reader.places.at(value.span().start);
        match self.source(key, value.get_ref()) {
            Ok(_) if !is_one => Given::Refused,
            Ok(source) => Given::Value {
                value: WrittenSecret { key, source },
                place,
            },
            Err(reason) => {
                reader.fault(place, format!("views.outputs.{key}: {reason}"));
                Given::Refused
            }
        }
    }

    /// Like [`SecretKeys::read`], and refused when there is none.
    pub fn require(
        &self,
        reader: &mut Reader<'_>,
        output: &DeTable<'_>,
        place: &Place,
    ) -> Given<WrittenSecret> {
        let given = self.read(reader, output);
        if !matches!(given, Given::Absent) {
            return given;
        }
        let (plain, expected) = (self.plain, self.expected());
        let message = format!("views.outputs.{plain} is missing: expected one of {expected}");
        reader.fault(place.clone(), message);
        Given::Refused
    }

    fn expected(&self) -> String {
        format!("{}, {} and {}", self.plain, self.variable, self.file)
    }

    /// Where the text comes from. What stands in the wrong key may be the secret itself.
    fn source(&self, key: &str, value: &DeValue<'_>) -> Result<Source, &'static str> {
        let text = match (value.as_str(), Raw::of(value)) {
            (Some(text), _) if text.trim().is_empty() => return Err("expected a text, found an empty one"),
            (Some(text), _) => text,
            (None, Raw::Array | Raw::Table) => return Err("expected a text, found an array or a table"),
            (None, _) => return Err("expected a text; write it in quotes"),
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if key == self.plain {
            Ok(Source::Plain(text.to_owned()))
        } else if key == self.file {
            let is_path = !text.contains("://") && !text.contains(char::is_control);
            let source = is_path.then(|| Source::File(text.into()));
            source.ok_or("expected the path of a file that holds it, relative to this file")
        } else {
            let source = text
                .bytes()
                .all(is_name)
                .then(|| Source::Variable(text.to_owned()));
            source.ok_or("expected the name of a variable: letters, digits and '_'")
        }
    }
}
