//! The decoder held against serde_json and the `jsonschema` crate, on schemas and records made at random.
//!
//! Each run takes another seed and prints it; `EVENTLAKE_TEST_SEED=1234` repeats one.
//! `EVENTLAKE_TEST_SCHEMAS=100000` looks longer.

#![allow(clippy::print_stdout, reason = "a test says with which seed it ran")]

mod differences;

use eventlake_core::schema::DecodeRules;
use eventlake_core::violation::Code;
use eventlake_engine::ingest::decode::{Decoder, EventRows};
use eventlake_oracle::checks::schema_infer::accepts_its_sample;
use eventlake_oracle::decode::{Comparison, META, Subject, Tally, events, schemas};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng, SeedableRng};
use serde_json::Value;

const SCHEMAS: u64 = 2_500;
const RECORDS_PER_SCHEMA: usize = 24;
/// The least share of records that must be accepted, or the comparison of values would mean little.
const ACCEPTED_SHARE_MIN: f64 = 0.3;

fn number_from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect(name))
}

#[test]
fn decoder_agrees_with_the_oracle() {
    let seed = number_from_env("EVENTLAKE_TEST_SEED").unwrap_or_else(|| StdRng::from_os_rng().random());
    let schemas = number_from_env("EVENTLAKE_TEST_SCHEMAS").unwrap_or(SCHEMAS);
    println!("EVENTLAKE_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut tally = Tally::default();
    for _ in 0..schemas {
        let schema = schemas::root(&mut random);
        check_schema(schema, &mut random, &mut tally);
    }
    println!("{tally:?}");
    let share = tally.accepted as f64 / tally.records as f64;
    assert!(
        share >= ACCEPTED_SHARE_MIN,
        "only {share:.2} of the records were accepted: {tally:?}"
    );
    assert!(
        tally.codes_compared * 4 > tally.rejected,
        "too few codes were compared: {tally:?}"
    );
    assert!(
        tally.skipped * 50 < tally.records,
        "too many records were skipped: {tally:?}"
    );
    assert!(tally.malformed > 0 && tally.rejected > 0, "{tally:?}");
}

fn check_schema(schema: Value, random: &mut StdRng, tally: &mut Tally) {
    let subject = Subject::new(schema);
    let mut comparison = Comparison::new(&subject);
    for _ in 0..RECORDS_PER_SCHEMA {
        let record = events::record(subject.schema(), random);
        if comparison.record(&record, tally) {
            check_cuts(subject.rules(), &record, random);
        }
    }
    let _ = comparison.rows();
}

/// Samples of one schema's records, and of two's, whose fields do not go together.
#[test]
fn an_inferred_schema_accepts_its_sample() {
    let seed = number_from_env("EVENTLAKE_TEST_SEED").unwrap_or_else(|| StdRng::from_os_rng().random());
    println!("EVENTLAKE_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let (mut records, mut taken) = (0, 0);
    for _ in 0..number_from_env("EVENTLAKE_TEST_SCHEMAS").unwrap_or(SCHEMAS) / 2 {
        let schemas: Vec<Value> = (0..random.random_range(1..=2))
            .map(|_| schemas::root(&mut random))
            .collect();
        let sample: Vec<Vec<u8>> = (0..random.random_range(1..60))
            .map(|_| events::record(schemas.choose(&mut random).expect("there is one"), &mut random))
            .collect();
        let sample: Vec<&[u8]> = sample.iter().map(Vec::as_slice).collect();
        records += sample.len();
        taken += accepts_its_sample(&sample);
    }
    assert!(
        taken * 2 > records,
        "only {taken} of {records} records were objects"
    );
}

/// Every cut of an accepted record breaks off in the middle of it, and all before the cut was good.
fn check_cuts(rules: &DecodeRules, record: &[u8], random: &mut StdRng) {
    let trimmed = record.trim_ascii_end();
    let end = random.random_range(0..trimmed.len());
    let mut rows = EventRows::new(rules);
    let violation = Decoder::new(rules)
        .decode(&record[..end], &META, &mut rows)
        .expect_err("a cut record");
    let shown = String::from_utf8_lossy(&record[..end]);
    assert!(
        matches!(violation.code, Code::MalformedJson | Code::InvalidUnicode),
        "{shown}: {violation}"
    );
    assert!(rows.is_empty());
}
