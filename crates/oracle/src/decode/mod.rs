//! The decoder's oracle: schemas and records made from choices, and what the verdict and the row have to be.

mod cells;
pub mod events;
mod expectation;
pub mod formats;
pub mod schemas;
mod tree;

use arrow::array::RecordBatch;
use eventlake_core::position::{Offset, PartitionId};
use eventlake_core::schema::{DecodeRules, compile};
use eventlake_core::violation::Violation;
use eventlake_engine::ingest::decode::{Decoder, EventRows, RecordMeta};
use serde_json::Value;

use expectation::{Expectation, Oracle};

/// Where every record comes from here. Without a timestamp no event time lies in the future.
pub const META: RecordMeta = RecordMeta {
    partition: PartitionId(0),
    offset: Offset(0),
    timestamp_micros: None,
};

/// What was compared.
#[derive(Debug, Default)]
pub struct Tally {
    pub records: u64,
    pub accepted: u64,
    /// Rejected by both.
    pub rejected: u64,
    /// Of those, where the oracle left one code possible, and it was ours.
    pub codes_compared: u64,
    /// Not JSON to either.
    pub malformed: u64,
    /// Where the oracle cannot tell.
    pub skipped: u64,
}

/// A schema with all that judges records under it.
pub struct Subject {
    schema: Value,
    rules: DecodeRules,
    oracle: Oracle,
}

impl Subject {
    /// # Panics
    /// When the schema is refused, by us or by the oracle.
    #[must_use]
    pub fn new(schema: Value) -> Subject {
        let text = schema.to_string();
        let compiled = compile(&text).unwrap_or_else(|faults| panic!("{text} was refused: {faults:?}"));
        let mut rules = DecodeRules::new(compiled);
        rules.extra = rules.schema.root.allows_undeclared;
        Subject {
            oracle: Oracle::new(&schema),
            rules,
            schema,
        }
    }

    #[must_use]
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    #[must_use]
    pub fn rules(&self) -> &DecodeRules {
        &self.rules
    }
}

/// Records of one schema. All go through one decoder into one buffer: what a rejected record leaves behind would show
/// in later rows.
pub struct Comparison<'s> {
    subject: &'s Subject,
    decoder: Decoder,
    rows: EventRows,
    landed: Vec<Vec<u8>>,
}

impl<'s> Comparison<'s> {
    #[must_use]
    pub fn new(subject: &'s Subject) -> Comparison<'s> {
        Comparison {
            subject,
            decoder: Decoder::new(&subject.rules),
            rows: EventRows::new(&subject.rules),
            landed: Vec::new(),
        }
    }

    /// Decodes a record and holds the verdict against the oracle's. Whether it was accepted.
    ///
    /// # Panics
    /// When the two differ where they should not.
    pub fn record(&mut self, record: &[u8], tally: &mut Tally) -> bool {
        let verdict = self.decoder.decode(record, &META, &mut self.rows);
        check_verdict(self.subject, record, &verdict, tally);
        if verdict.is_ok() {
            self.landed.push(record.to_owned());
        }
        verdict.is_ok()
    }

    /// Holds every row against its record, and returns them.
    ///
    /// # Panics
    /// When a cell is not what the record says.
    #[must_use]
    pub fn rows(self) -> RecordBatch {
        let batch = self.rows.finish().batch;
        assert_eq!(batch.num_rows(), self.landed.len());
        for (row, record) in self.landed.iter().enumerate() {
            let text = std::str::from_utf8(record).expect("accepted records are UTF-8");
            // What serde_json's own limits keep it from reading, the oracle skipped.
            if let Ok(tree) = tree::read(text) {
                cells::assert_row(&batch, row, &self.subject.schema, &tree);
            }
        }
        batch
    }
}

fn check_verdict(subject: &Subject, record: &[u8], verdict: &Result<(), Violation>, tally: &mut Tally) {
    let context = || {
        format!(
            "schema {}\nrecord {}\nverdict {verdict:?}",
            subject.schema,
            String::from_utf8_lossy(record)
        )
    };
    tally.records += 1;
    match (subject.oracle.judge(record), verdict) {
        (Expectation::Unknown, _) => tally.skipped += 1,
        (Expectation::Accepted, Ok(())) => tally.accepted += 1,
        (Expectation::Accepted, Err(_)) => panic!("the oracle accepts what we reject\n{}", context()),
        (Expectation::NotJson, Err(_)) => tally.malformed += 1,
        (Expectation::NotJson, Ok(())) => panic!("the oracle reads no JSON where we do\n{}", context()),
        (Expectation::Rejected(possible), Ok(())) => {
            panic!("the oracle rejects: {possible:?}\n{}", context())
        }
        (Expectation::Rejected(possible), Err(violation)) => {
            tally.rejected += 1;
            let fits = possible
                .iter()
                .any(|fault| fault.code == violation.code && fault.field == violation.field);
            assert!(
                fits,
                "the oracle gives other reasons: {possible:?}\n{}",
                context()
            );
            tally.codes_compared += u64::from(possible.len() == 1);
        }
    }
}
