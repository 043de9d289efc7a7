//! The delivery log: one JSON line for each record that the cluster confirmed, with the bytes that were sent.
//!
//! It is the producer's own account of what went where. A test compares the lake with it, by topic, partition and offset.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use base64::Engine;

use super::json;
use super::source::Nature;

const BUFFER_BYTES: usize = 1 << 20;

pub struct DeliveryLog {
    path: PathBuf,
    out: BufWriter<File>,
    line: Vec<u8>,
    /// The first failure; nothing more is written after it.
    failure: Option<io::Error>,
}

/// The delivery log could not be written; the records themselves were delivered.
#[derive(Debug, thiserror::Error)]
#[error("{path}: the delivery log cannot be written: {source}", path = path.display())]
pub struct DeliveryLogError {
    path: PathBuf,
    source: io::Error,
}

/// A record that the cluster confirmed.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub offset: i64,
    pub timestamp_millis: Option<i64>,
    /// The number of the record in its topic, from 0, in the order of making.
    pub sequence: u64,
    pub nature: Nature,
    pub key: &'a [u8],
    pub payload: &'a [u8],
}

impl DeliveryLog {
    /// # Errors
    /// When the file cannot be created.
    #[allow(
        clippy::disallowed_methods,
        reason = "a file the user asked for by name, no part of a lake"
    )]
    pub fn create(path: &Path) -> Result<DeliveryLog, DeliveryLogError> {
        let file = File::create(path).map_err(|source| DeliveryLogError {
            path: path.to_owned(),
            source,
        })?;
        Ok(DeliveryLog {
            path: path.to_owned(),
            out: BufWriter::with_capacity(BUFFER_BYTES, file),
            line: Vec::new(),
            failure: None,
        })
    }

    pub fn write(&mut self, delivery: &Delivery<'_>) {
        if self.failure.is_some() {
            return;
        }
        self.line.clear();
        line(&mut self.line, delivery);
        self.failure = self.out.write_all(&self.line).err();
    }

    /// # Errors
    /// When any of it could not be written.
    pub fn finish(&mut self) -> Result<(), DeliveryLogError> {
        let outcome = match self.failure.take() {
            Some(error) => Err(error),
            None => self.out.flush(),
        };
        outcome.map_err(|source| DeliveryLogError {
            path: self.path.clone(),
            source,
        })
    }
}

fn line(out: &mut Vec<u8>, delivery: &Delivery<'_>) {
    out.extend_from_slice(b"{\"topic\":");
    json::text(out, delivery.topic);
    for (name, number) in [
        ("partition", i64::from(delivery.partition)),
        ("offset", delivery.offset),
        ("timestamp", delivery.timestamp_millis.unwrap_or(-1)),
        ("sequence", delivery.sequence.cast_signed()),
    ] {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        if number < 0 {
            out.push(b'-');
        }
        json::integer(out, number.unsigned_abs());
    }
    match delivery.nature {
        Nature::OnTime => out.extend_from_slice(b",\"valid\":true"),
        Nature::Late => out.extend_from_slice(b",\"valid\":true,\"late\":true"),
        Nature::Broken(fault) => {
            out.extend_from_slice(b",\"valid\":false,\"fault\":\"");
            out.extend_from_slice(fault.as_str().as_bytes());
            out.push(b'"');
        }
    }
    bytes(out, "key", delivery.key);
    bytes(out, "payload", delivery.payload);
    out.extend_from_slice(b"}\n");
}

/// As text under its name where it is UTF-8, otherwise in base64 under `NAME_base64`.
fn bytes(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    match std::str::from_utf8(value) {
        Ok(text) => {
            out.extend_from_slice(b"\":");
            json::text(out, text);
        }
        Err(_) => {
            out.extend_from_slice(b"_base64\":\"");
            let text = base64::engine::general_purpose::STANDARD.encode(value);
            out.extend_from_slice(text.as_bytes());
            out.push(b'"');
        }
    }
}
