//! Texts of an output that may be secrets: by which key they are given, and what they are. No message repeats one.

use std::fmt;
use std::path::Path;

use toml::de::DeValue;

use super::OutputTable;
use crate::config::Surroundings;
use crate::config::fault::Place;
use crate::config::reader::{Given, Reader};
use crate::config::settings::Section;
use crate::config::source::Source;
use crate::config::values::Raw;

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    #[must_use]
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    /// The text itself, for whoever it is meant for.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// The keys that give one secret, of which one may be there.
pub(in crate::config) struct SecretKeys {
    plain: &'static str,
    variable: &'static str,
    file: &'static str,
    /// What the text begins with, one of these; none: with anything.
    schemes: &'static [&'static str],
}

const fn url(schemes: &'static [&'static str]) -> SecretKeys {
    SecretKeys {
        plain: "url",
        variable: "url_env",
        file: "url_file",
        schemes,
    }
}

pub(in crate::config) const WEBHOOK_URL: SecretKeys = url(&["http://", "https://"]);
pub(in crate::config) const POSTGRES_URL: SecretKeys = url(&["postgres://", "postgresql://"]);
pub(in crate::config) const MONGODB_URL: SecretKeys = url(&["mongodb://", "mongodb+srv://"]);
pub(in crate::config) const OBJECT_URL: SecretKeys = url(&["s3://", "gs://", "az://", "abfs://", "abfss://"]);
pub(in crate::config) const SECRET: SecretKeys = SecretKeys {
    plain: "secret",
    variable: "secret_env",
    file: "secret_file",
    schemes: &[],
};

pub(in crate::config) struct WrittenSecret {
    section: Section,
    /// The key it was given by.
    key: &'static str,
    source: Source,
    schemes: &'static [&'static str],
}

impl WrittenSecret {
    /// The text of a secret. A variable that is set to nothing, and a file with nothing in it, hold none.
    pub fn resolve(
        written: &Given<WrittenSecret>,
        reader: &mut Reader<'_>,
        around: &Surroundings<'_>,
        file: &Path,
    ) -> Given<Secret> {
        Self::resolve_as(written, reader, around, file, |text| {
            Ok(Secret::new(text.to_owned()))
        })
    }

    /// Like [`WrittenSecret::resolve`], as what the text stands for. What is wrong with it repeats nothing of it.
    pub fn resolve_as<T>(
        written: &Given<WrittenSecret>,
        reader: &mut Reader<'_>,
        around: &Surroundings<'_>,
        file: &Path,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Given<T> {
        let (secret, place) = match written {
            Given::Value { value, place } => (value, place.clone()),
            Given::Absent => return Given::Absent,
            Given::Refused => return Given::Refused,
        };
        let text = secret.source.text(around, file);
        match text.and_then(|text| parse(secret.checked(&text)?)) {
            Ok(value) => Given::Value { value, place },
            Err(reason) => secret_fault(reader, secret.section, place, secret.key, &reason),
        }
    }

    fn checked<'t>(&self, text: &'t str) -> Result<&'t str, String> {
        if text.trim().is_empty() {
            Err("it is empty".to_owned())
        } else if text.contains(char::is_control) {
            Err("a control character cannot stand there".to_owned())
        } else if !self.schemes.is_empty() && !self.schemes.iter().any(|scheme| text.starts_with(scheme)) {
            let schemes = self.schemes.join(" or ");
            Err(format!("expected an address that begins with {schemes}"))
        } else {
            Ok(text)
        }
    }
}

impl SecretKeys {
    /// Reads the secret of an output's table.
    pub fn read(&self, reader: &mut Reader<'_>, output: &OutputTable<'_, '_>) -> Given<WrittenSecret> {
        let keys = [self.plain, self.variable, self.file];
        let mut given = keys
            .into_iter()
            .filter_map(|key| Some((key, output.entries.get_key_value(key)?)));
        let Some((key, (_, value))) = given.next() else {
            return Given::Absent;
        };
        let section = output.section;
        let mut is_one = true;
        for (other, (written, value)) in given {
            let place = reader.place_of_key(written, value);
            let reason = format!("{key} is there too; expected one of {}", self.expected());
            secret_fault::<()>(reader, section, place, other, &reason);
            is_one = false;
        }
        let place = reader.places.at(value.span().start);
        match self.source(key, value.get_ref()) {
            Ok(_) if !is_one => Given::Refused,
            Ok(source) => {
                let schemes = self.schemes;
                let value = WrittenSecret {
                    section,
                    key,
                    source,
                    schemes,
                };
                Given::Value { value, place }
            }
            Err(reason) => secret_fault(reader, section, place, key, reason),
        }
    }

    /// Like [`SecretKeys::read`], and refused when there is none.
    pub fn require(&self, reader: &mut Reader<'_>, output: &OutputTable<'_, '_>) -> Given<WrittenSecret> {
        let given = self.read(reader, output);
        if !matches!(given, Given::Absent) {
            return given;
        }
        let (section, plain, expected) = (output.section.key(), self.plain, self.expected());
        let message = format!("{section}.outputs.{plain} is missing: expected one of {expected}");
        reader.fault(output.place.clone(), message);
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

fn secret_fault<T>(
    reader: &mut Reader<'_>,
    section: Section,
    place: Place,
    key: &str,
    reason: &str,
) -> Given<T> {
    reader.fault(place, format!("{}.outputs.{key}: {reason}", section.key()));
    Given::Refused
}
