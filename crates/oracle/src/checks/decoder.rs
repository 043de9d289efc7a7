//! The decoder: any record under a schema of any shape, the verdict and the row held against the oracle's.
//!
//! Input: how many bytes choose the schema, those bytes, then records with 0xFE between them, a byte that UTF-8 never
//! has. With an odd second byte the rest is no text but chooses records that nearly fit.

use super::subjects;
use crate::choices::Choices;
use crate::decode::{Comparison, Tally, events};

const RECORDS_MAX: usize = 8;

pub fn check(input: &[u8]) {
    let [schema_bytes, mode, rest @ ..] = input else {
        return;
    };
    let (chosen, rest) = rest.split_at(usize::from(*schema_bytes).min(rest.len()));
    let subject = subjects::of(chosen);
    let mut comparison = Comparison::new(&subject);
    let mut tally = Tally::default();
    if mode % 2 == 0 {
        for record in rest.split(|byte| *byte == 0xFE).take(RECORDS_MAX) {
            comparison.record(record, &mut tally);
        }
    } else {
        let mut choices = Choices::new(rest);
        for _ in 0..RECORDS_MAX {
            comparison.record(&events::record(subject.schema(), &mut choices), &mut tally);
            if choices.rest().is_empty() {
                break;
            }
        }
    }
    let _ = comparison.rows();
}
