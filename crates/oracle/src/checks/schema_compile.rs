//! The schema compiler: any text is refused with every fault in its place, or gives columns and a decoder that works.

use eventlake_core::schema::{DecodeRules, compile};
use eventlake_engine::ingest::decode::{Decoder, EventRows, arrow_schema};

use crate::decode::META;

/// Input: the schema, and after a byte 0xFE a record.
pub fn check(input: &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == 0xFE);
    let schema = parts.next().expect("a split has a first part");
    let Ok(text) = std::str::from_utf8(schema) else {
        return;
    };
    let compiled = match compile(text) {
        Ok(compiled) => compiled,
        Err(faults) => {
            assert!(!faults.is_empty());
            let lines = text.split('\n').count();
            for fault in faults {
                assert!(fault.pointer.starts_with('#'), "{fault:?}");
                assert!(
                    fault.line.is_none_or(|line| (1..=lines).contains(&line)),
                    "{fault:?}"
                );
                assert!(
                    !fault.message.is_empty() && !fault.message.contains(['\n', '\r']),
                    "{fault:?}"
                );
            }
            return;
        }
    };
    let rules = DecodeRules::new(compiled);
    assert_eq!(rules.fault(), None);
    assert_eq!(
        arrow_schema(&rules).fields().len(),
        rules.schema.fields().len() + 3
    );
    let mut rows = EventRows::new(&rules);
    let mut decoder = Decoder::new(&rules);
    for record in [parts.next().unwrap_or_default(), b"{}", b"{\"a\":[{\"b\":1}]}"] {
        let before = rows.len();
        let verdict = decoder.decode(record, &META, &mut rows);
        assert_eq!(rows.len(), before + usize::from(verdict.is_ok()));
    }
    let rows_expected = rows.len();
    assert_eq!(rows.finish().batch.num_rows(), rows_expected);
    // What is not refused is a schema to others, too, where they can read its numbers.
    let Ok(value) = serde_json::from_str(text) else {
        return;
    };
    let built = jsonschema::options()
        .with_draft(jsonschema::Draft::Draft202012)
        .build(&value);
    match built {
        // It has an engine of its own for patterns; the check `pattern` has a better judge.
        Err(error) if error.to_string().contains("is not a \"regex\"") => {}
        Err(error) => panic!("the jsonschema crate refuses it: {error}\n{text}"),
        Ok(_) => {}
    }
}
