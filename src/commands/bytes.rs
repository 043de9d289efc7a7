//! Bytes as JSON has them: text where they are text.

use std::fmt::Write as _;

use serde::Serialize;

/// Bytes as they came: `{"text": "..."}` where they are UTF-8, else `{"hex": "..."}`.
#[derive(Debug)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap as _;
        let mut map = serializer.serialize_map(Some(1))?;
        match std::str::from_utf8(&self.0) {
            Ok(text) => map.serialize_entry("text", text)?,
            Err(_) => {
                let mut hex = String::with_capacity(2 * self.0.len());
                for byte in &self.0 {
                    write!(hex, "{byte:02x}").expect("writing to a String never fails");
                }
                map.serialize_entry("hex", &hex)?;
            }
        }
        map.end()
    }
}
