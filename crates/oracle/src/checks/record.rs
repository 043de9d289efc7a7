//! Records of the commit log as the checks are given them: JSON whose checksum is added here.

use eventlake_core::commit::{Checksum, decode_record, encode_record};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads one record of the log. What was read must be written as a record that reads as the same, always in the same bytes.
///
/// A fuzzer finds no SHA-256, so the input leaves it out: everything before `,"checksum":`, with or without its `}`.
///
/// # Panics
/// When writing and reading disagree.
pub fn read<T>(json: &[u8]) -> Option<(T, Checksum)>
where
    T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    // As it came, it has no checksum that holds.
    assert!(decode_record::<T>(json).is_err());
    let (record, checksum) = decode_record::<T>(&sealed(json)).ok()?;
    let (written, written_checksum) = encode_record(&record);
    let (again, again_checksum) = decode_record::<T>(&written)
        .unwrap_or_else(|fault| panic!("{fault}: {}", String::from_utf8_lossy(&written)));
    assert_eq!(again, record);
    assert_eq!(again_checksum, written_checksum);
    assert_eq!(encode_record(&again).0, written);
    assert_cuts_are_refused::<T>(&written);
    Some((record, checksum))
}

fn sealed(json: &[u8]) -> Vec<u8> {
    let content = json.strip_suffix(b"\n").unwrap_or(json);
    let content = content.strip_suffix(b"}").unwrap_or(content);
    let mut record = content.to_vec();
    record.extend_from_slice(format!(",\"checksum\":\"{}\"}}\n", Checksum::of(content)).as_bytes());
    record
}

/// No shorter record, and none with a changed byte, passes for one.
fn assert_cuts_are_refused<T: DeserializeOwned>(written: &[u8]) {
    let places = [0, written.len() / 3, written.len() / 2, written.len() - 1];
    for place in places {
        assert!(decode_record::<T>(&written[..place]).is_err());
        let mut changed = written.to_vec();
        changed[place] ^= 1;
        assert!(decode_record::<T>(&changed).is_err());
    }
}
