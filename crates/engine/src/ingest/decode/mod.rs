//! From a record's bytes to a row or a violation: one pass, which validates on the way.
//!
//! [`Decoder::decode`] reads a record's JSON once, from front to back, checks each value as it comes and
//! appends it to its column; there is no tree of values in between. It never panics or recurses on what the
//! sender chose, and the first violation in the record's own order is its verdict:
//!
//! - a value is judged when it has been read whole, up to the comma or bracket behind it, so that what is not
//!   JSON is `malformed_json` first;
//! - a name is judged before its value (`duplicate_field`, `additionalProperties`);
//! - an object's missing fields, an array's length are judged at its closing bracket.
//!
//! A rejected record leaves nothing behind: whatever it appended is cut off again.
//!
//! The files, in the order of the flow: `cursor` reads tokens (`scan` finds where its strings end), `plan` says what is expected next, `values`
//! makes the pass, `checks` holds values against the schema's keywords, `columns` and `rows` gather them,
//! `faults` words the violations.

mod checks;
mod columns;
mod cursor;
mod faults;
mod plan;
mod rows;
mod scan;
#[cfg(test)]
mod tests;
mod undeclared;
mod values;

use eventlake_core::position::{Offset, PartitionId};
use eventlake_core::schema::{DecodeRules, EVENT_TIME_MICROS_MAX, EVENT_TIME_MICROS_MIN};
use eventlake_core::violation::{Code, Violation};

pub use rows::{
    EXTRA_COLUMN, EventBatch, EventRows, OFFSET_COLUMN, PARTITION_COLUMN, TIMESTAMP_COLUMN, TRACED_COLUMNS,
    arrow_schema,
};
pub use undeclared::UndeclaredFields;

use cursor::Cursor;
use plan::{EventTimePlan, ObjectPlan};
use values::{Limits, Pass};

/// Where a record came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordMeta {
    pub partition: PartitionId,
    pub offset: Offset,
    /// Kafka's timestamp, microseconds since 1970.
    pub timestamp_micros: Option<i64>,
}

/// Turns records of one topic into rows. Keeps buffers between records: one decoder a thread.
#[derive(Debug)]
pub struct Decoder {
    root: ObjectPlan,
    event_time: EventTimePlan,
    record_bytes_max: usize,
    cells_max: usize,
    future_micros_max: i64,
    time_zone_offset_secs: i32,
    keeps_extra: bool,
    scratch: Vec<u8>,
    extra: Vec<u8>,
    undeclared: UndeclaredFields,
}

/// Arrays may add a cell of eight bytes to columns for every two bytes of the largest record: that is what an
/// array of small integers takes, and far from what small objects of many optional fields could.
const RECORD_BYTES_PER_CELL: usize = 2;
/// However small the largest record, its arrays may add so many cells.
const CELLS_MAX_LEAST: usize = 65_536;
/// Buffers that one large record has grown are given back above this.
const KEPT_BYTES_MAX: usize = 64 << 10;

impl Decoder {
    #[must_use]
    pub fn new(rules: &DecodeRules) -> Decoder {
        Decoder {
            root: ObjectPlan::of_root(rules),
            event_time: EventTimePlan::new(rules),
            record_bytes_max: rules.record_bytes_max,
            cells_max: (rules.record_bytes_max / RECORD_BYTES_PER_CELL).max(CELLS_MAX_LEAST),
            future_micros_max: rules.future_micros_max,
            time_zone_offset_secs: rules.time_zone_offset_secs,
            keeps_extra: rules.extra,
            scratch: Vec::new(),
            extra: Vec::new(),
            undeclared: UndeclaredFields::default(),
        }
    }

    /// Appends the record as one row, or leaves the rows as they were and says why.
    ///
    /// `rows` must come from the same rules, and hold at most [`EventRows::BYTES_MAX`] bytes. Where the topic
    /// names no event time it is Kafka's timestamp, and 1970 where Kafka has none.
    ///
    /// # Errors
    /// The first violation in the record's order. The same record under the same rules always gets the same.
    pub fn decode(
        &mut self,
        payload: &[u8],
        meta: &RecordMeta,
        rows: &mut EventRows,
    ) -> Result<(), Violation> {
        if let Some(violation) = self.too_large(payload.len()) {
            return Err(violation);
        }
        self.extra.clear();
        let mut pass = Pass {
            cursor: Cursor::new(payload),
            limits: Limits {
                event_time: self.event_time,
                event_time_micros_max: meta
                    .timestamp_micros
                    .map_or(i64::MAX, |micros| micros.saturating_add(self.future_micros_max)),
                time_zone_offset_secs: self.time_zone_offset_secs,
                cells_max: self.cells_max,
            },
            scratch: &mut self.scratch,
            undeclared: &mut self.undeclared,
            extra: self.keeps_extra.then_some(&mut self.extra),
            cells: 0,
            event_time_micros: meta
                .timestamp_micros
                .unwrap_or(0)
                .clamp(EVENT_TIME_MICROS_MIN, EVENT_TIME_MICROS_MAX),
        };
        let row = rows.len();
        let verdict = pass.root(&self.root, &mut rows.columns, row);
        let event_time_micros = pass.event_time_micros;
        match verdict {
            Ok(()) => {
                rows.push_extra(&mut self.extra);
                rows.complete_row(meta, event_time_micros);
            }
            Err(_) => rows.roll_back(),
        }
        self.shrink();
        verdict.map_err(|fault| *fault)
    }

    /// The verdict on a record of so many bytes that nobody needs to hold, where its size alone decides.
    #[must_use]
    pub fn too_large(&self, payload_bytes: usize) -> Option<Violation> {
        (payload_bytes > self.record_bytes_max).then(|| Violation {
            code: Code::TooLarge,
            field: String::new(),
            expected: format!("at most {} bytes", self.record_bytes_max),
            found: format!("{payload_bytes} bytes"),
        })
    }

    /// How often each undeclared field of the root was seen.
    #[must_use]
    pub fn undeclared(&self) -> &UndeclaredFields {
        &self.undeclared
    }

    /// Takes the counts of undeclared fields, and begins anew.
    pub fn take_undeclared(&mut self) -> UndeclaredFields {
        std::mem::take(&mut self.undeclared)
    }

    #[inline]
    fn shrink(&mut self) {
        if self.scratch.capacity() > KEPT_BYTES_MAX || self.extra.capacity() > KEPT_BYTES_MAX {
            self.scratch = Vec::new();
            self.extra = Vec::new();
        }
    }
}
