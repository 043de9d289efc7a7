//! Where an output to an object store writes: the store, the bucket, and an object or a prefix in it; and in which format.

use std::fmt;

use crate::config::fault::Place;
use crate::config::outputs::OutputTable;
use crate::config::outputs::secrets::{OBJECT_URL, WrittenSecret};
use crate::config::reader::{Given, Reader};
use crate::config::settings::{self, Setting};
use crate::config::values::{self, Raw, Wrong};

use super::resolve::Known;

pub(super) const URL: Setting = settings::views("outputs.url", "the url of an object or a prefix");
const FORMAT: Setting = settings::views("outputs.format", "\"json\", \"jsonl\", \"csv\" or \"parquet\"");

/// A longer key is taken by no store. A prefix leaves room for the names of the objects below it.
const KEY_BYTES_MAX: usize = 1024;
const NAME_BYTES_MAX: usize = 64;

/// Stores that objects are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectStoreKind {
    S3,
    Azure,
    Gcs,
}

impl ObjectStoreKind {
    /// As a message calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::S3 => "S3",
            Self::Azure => "Azure Blob Storage",
            Self::Gcs => "Google Cloud Storage",
        }
    }
}

/// What an object holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectFormat {
    /// One object a row and line.
    JsonLines,
    Csv,
    Parquet,
}

/// An object, or a prefix that objects are put below. Nothing secret is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectAddress {
    pub store: ObjectStoreKind,
    /// Scheme and bucket, as they are written.
    pub root: String,
    /// As it is called in the store, without a '/' before it. A prefix is empty or ends with a '/'.
    pub key: String,
}

impl ObjectAddress {
    /// # Errors
    /// What is wrong with it; not a word of it is repeated.
    pub fn parse(text: &str) -> Result<ObjectAddress, String> {
        let (scheme, rest) = text.split_once("://").ok_or("there is no scheme")?;
        let store = match scheme {
            "s3" => ObjectStoreKind::S3,
            "az" | "abfs" | "abfss" => ObjectStoreKind::Azure,
            "gs" => ObjectStoreKind::Gcs,
            _ => return Err("its scheme is not known".to_owned()),
        };
        if rest.contains(['?', '#']) {
            return Err("there is a '?' or a '#' in it; what gives access stands in variables".to_owned());
        }
        let (bucket, key) = rest
            .split_once('/')
            .ok_or("it names a bucket alone; expected an object, or a prefix that ends with '/'")?;
        check_bucket(store, bucket)?;
        check_key(key)?;
        Ok(ObjectAddress {
            store,
            root: format!("{scheme}://{bucket}"),
            key: key.to_owned(),
        })
    }

    /// Whether objects are put below it, or it is one.
    #[must_use]
    pub fn is_prefix(&self) -> bool {
        self.key.is_empty() || self.key.ends_with('/')
    }

    fn holds(&self, other: &ObjectAddress) -> bool {
        self.root == other.root && self.is_prefix() && other.key.starts_with(&self.key)
    }
}

impl fmt::Display for ObjectAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.root, self.key)
    }
}

fn check_bucket(store: ObjectStoreKind, bucket: &str) -> Result<(), String> {
    let is_name = |name: &str, others: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || others.contains(c);
        !name.is_empty() && name.chars().all(fits)
    };
    if store == ObjectStoreKind::Azure {
        let (container, is_host) = match bucket.split_once('@') {
            Some((container, host)) => (container, is_name(host, "-.") && host.contains('.')),
            None => (bucket, true),
        };
        return match is_name(container, "-$") && is_host {
            true => Ok(()),
            false => Err(
                "expected az://container/... or abfss://container@account.dfs.core.windows.net/..."
                    .to_owned(),
            ),
        };
    }
    if bucket.contains('@') {
        return Err("there is an '@' before the bucket; what gives access stands in variables".to_owned());
    }
    if bucket.contains(':') {
        return Err(
            "there is a ':' in the bucket's name; where the store is stands in AWS_ENDPOINT_URL".to_owned(),
        );
    }
    match is_name(bucket, "-._") {
        true => Ok(()),
        false => Err("expected a bucket's name of letters, digits, '-', '_' and '.'".to_owned()),
    }
}

fn check_key(key: &str) -> Result<(), String> {
    let parts = key.strip_suffix('/').unwrap_or(key);
    let mut parts = parts.split('/');
    if !key.is_empty() && parts.any(|part| matches!(part, "" | "." | "..")) {
        return Err("between two '/' of it there is nothing, '.' or '..'".to_owned());
    }
    match key.len() > KEY_BYTES_MAX - NAME_BYTES_MAX {
        true => Err(format!(
            "it is longer than {} bytes",
            KEY_BYTES_MAX - NAME_BYTES_MAX
        )),
        false => Ok(()),
    }
}

pub(in crate::config) struct WrittenObject {
    url: Given<WrittenSecret>,
    format: Given<ObjectFormat>,
}

impl WrittenObject {
    pub fn read(reader: &mut Reader<'_>, output: &OutputTable<'_, '_>) -> WrittenObject {
        WrittenObject {
            url: OBJECT_URL.require(reader, output),
            format: output.setting(reader, &FORMAT, format_named),
        }
    }
}

fn format_named(raw: &Raw<'_>) -> Result<ObjectFormat, Wrong> {
    let text = values::text(raw)?;
    of_name(&text).ok_or(Wrong::Unfit)
}

/// Formats are called as files of them end.
fn of_name(name: &str) -> Option<ObjectFormat> {
    match name {
        "json" | "jsonl" => Some(ObjectFormat::JsonLines),
        "csv" => Some(ObjectFormat::Csv),
        "parquet" => Some(ObjectFormat::Parquet),
        _ => None,
    }
}

/// The objects that outputs write: each by one output.
#[derive(Default)]
pub(super) struct Objects {
    taken: Vec<(ObjectAddress, Place)>,
}

impl Objects {
    /// The address and the format; none when there is a fault, which is then recorded.
    pub fn take(
        &mut self,
        reader: &mut Reader<'_>,
        written: &WrittenObject,
        known: &Known<'_>,
    ) -> Option<(ObjectAddress, ObjectFormat)> {
        let url = &written.url;
        let url = WrittenSecret::resolve_as(url, reader, known.around, known.file, ObjectAddress::parse);
        let Given::Value {
            value: address,
            place,
        } = url
        else {
            return None;
        };
        let format = match &written.format {
            Given::Value { value, .. } => *value,
            Given::Refused => return None,
            Given::Absent => match by_ending(&address) {
                Ok(format) => format,
                Err(reason) => {
                    reader.fault(
                        place,
                        format!("{FORMAT} is missing: {reason}; expected {}", FORMAT.expected),
                    );
                    return None;
                }
            },
        };
        for (other, first) in &self.taken {
            let relation = if address == *other {
                "is"
            } else if other.holds(&address) {
                "lies below"
            } else if address.holds(other) {
                "contains"
            } else {
                continue;
            };
            let first = first.short();
            let message = format!(
                "{URL}: {address} {relation} the url of the output at {first}; expected an object, or a prefix, for each output"
            );
            reader.fault(place.clone(), message);
        }
        self.taken.push((address.clone(), place));
        Some((address, format))
    }
}

fn by_ending(address: &ObjectAddress) -> Result<ObjectFormat, &'static str> {
    if address.is_prefix() {
        return Err("a prefix does not tell it");
    }
    let name = address.key.rsplit('/').next().unwrap_or_default();
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    ending
        .and_then(of_name)
        .ok_or("the object's name ends with none of .json, .jsonl, .csv and .parquet")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_store_a_bucket_and_a_key() {
        for (text, store, root, key) in [
            ("s3://b/a b/ü.json", ObjectStoreKind::S3, "s3://b", "a b/ü.json"),
            (
                "s3://my.bucket-1_x/",
                ObjectStoreKind::S3,
                "s3://my.bucket-1_x",
                "",
            ),
            ("gs://b/x/", ObjectStoreKind::Gcs, "gs://b", "x/"),
            ("az://c/x.csv", ObjectStoreKind::Azure, "az://c", "x.csv"),
            (
                "abfss://c@acc.dfs.core.windows.net/x",
                ObjectStoreKind::Azure,
                "abfss://c@acc.dfs.core.windows.net",
                "x",
            ),
        ] {
            let address = ObjectAddress::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!((address.store, &*address.root, &*address.key), (store, root, key));
            assert_eq!(address.to_string(), text);
            assert_eq!(
                address.is_prefix(),
                key.is_empty() || key.ends_with('/'),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_address_is_refused_and_not_repeated() {
        for (text, why) in [
            ("s3://hunter2", "names a bucket alone"),
            ("s3:///x.json", "expected a bucket's name"),
            ("s3://hunter2:pass@b/x", "there is an '@'"),
            ("s3://hunter2:9000/x", "AWS_ENDPOINT_URL"),
            ("s3://b/hunter2?sig=hunter2", "there is a '?'"),
            ("s3://b/hunter2//x", "between two '/'"),
            ("s3://b//hunter2", "between two '/'"),
            ("s3://b/../hunter2", "between two '/'"),
            ("az://hunter2.b/x", "expected az://"),
            ("az://c@hunter2/x", "expected az://"),
            ("http://hunter2/x", "its scheme is not known"),
        ] {
            let said = ObjectAddress::parse(text).expect_err(text);
            assert!(said.contains(why) && !said.contains("hunter2"), "{text}: {said}");
        }
        let long = format!("s3://b/{}", "k".repeat(KEY_BYTES_MAX));
        assert!(
            ObjectAddress::parse(&long)
                .expect_err("long")
                .contains("longer than 960")
        );
    }
}
