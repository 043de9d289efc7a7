//! Schemas inferred from records: whatever the records are, the schema is one, and accepts all that were taken.

use eventlake_core::schema::{DecodeRules, InferOptions, Sample, compile};
use eventlake_engine::ingest::decode::{Decoder, EventRows};

use crate::decode::META;

/// Input: a record a line.
pub fn check(input: &[u8]) {
    let records: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    accepts_its_sample(&records);
}

/// Infers from all records and holds each that was taken against the schema. Returns how many were.
///
/// # Panics
/// When what is inferred is no schema, or refuses a record that it was made from.
pub fn accepts_its_sample(records: &[&[u8]]) -> usize {
    let taken = [0, 3].map(|enum_values_max| accepts_with(enum_values_max, records));
    taken[0]
}

fn accepts_with(enum_values_max: usize, records: &[&[u8]]) -> usize {
    let mut sample = Sample::new(InferOptions {
        title: "sample".to_owned(),
        enum_values_max,
        examples_max: 2,
    });
    let taken: Vec<&[u8]> = records
        .iter()
        .copied()
        .filter(|record| sample.take(record).is_ok())
        .collect();
    assert_eq!(sample.records(), taken.len() as u64);
    let inferred = sample.infer();
    let schema = compile(&inferred.text);
    let schema = schema.unwrap_or_else(|faults| panic!("{faults:?}\n{}", inferred.text));
    let mut rules = DecodeRules::new(schema);
    if let Some(field) = &inferred.event_time {
        let event_time = rules.schema.event_time_of(field, None);
        rules.event_time = event_time.expect("what is proposed as event time is one");
        rules.future_micros_max = i64::MAX;
    }
    let mut decoder = Decoder::new(&rules);
    let mut rows = EventRows::new(&rules);
    for record in &taken {
        let verdict = decoder.decode(record, &META, &mut rows);
        if let Err(violation) = verdict {
            let record = String::from_utf8_lossy(record);
            panic!("{record}: {violation}\n{}", inferred.text);
        }
    }
    taken.len()
}
