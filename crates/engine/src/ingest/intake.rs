//! From records to the rows of a table: decoded, transformed where the topic has a transform, with a verdict on each.

use std::ops::Range;

use arrow::array::RecordBatch;
use arrow::compute::concat;
use arrow::datatypes::SchemaRef;
use eventlake_core::violation::Verdict;

use super::decode::{Decoder, EventBatch, EventRows, RecordMeta, UndeclaredFields};
use super::source::SourceRecord;
use super::transform::RowRules;

/// Events that are transformed together: enough that the cost of a call is nothing a row, few enough to be kept twice.
const WAITING_ROWS_MAX: usize = 8192;
/// The same for large records.
const WAITING_BYTES_MAX: usize = 1 << 20;

/// A record's headers, in their order.
pub type Headers = Vec<(String, Option<Vec<u8>>)>;

/// A record that has a payload.
pub trait Record {
    fn meta(&self) -> RecordMeta;
    fn key(&self) -> Option<&[u8]>;
    fn payload(&self) -> &[u8];
    fn headers(&self) -> Headers;
}

/// A record as Kafka handed it out, no tombstone.
pub struct Delivery<'a> {
    record: &'a SourceRecord<'a>,
    payload: &'a [u8],
}

impl<'a> Delivery<'a> {
    /// None: a tombstone.
    #[must_use]
    pub fn of(record: &'a SourceRecord<'a>) -> Option<Delivery<'a>> {
        let payload = record.payload()?;
        Some(Delivery { record, payload })
    }
}

impl Record for Delivery<'_> {
    fn meta(&self) -> RecordMeta {
        RecordMeta {
            partition: self.record.partition(),
            offset: self.record.offset(),
            timestamp_micros: self.record.timestamp_micros(),
        }
    }

    fn key(&self) -> Option<&[u8]> {
        self.record.key()
    }

    fn payload(&self) -> &[u8] {
        self.payload
    }

    fn headers(&self) -> Headers {
        self.record.headers()
    }
}

/// Takes records in and holds the rows of those that are accepted.
///
/// Under a transform verdicts come late: records wait until enough are there, or until [`Intake::settle`]. What waits is kept
/// with its bytes, since a record that the transform fails for is kept as it came.
#[derive(Debug)]
pub struct Intake {
    rules: RowRules,
    decoder: Decoder,
    /// Decoded events. Under a transform, those that wait for it.
    events: EventRows,
    waiting: Waiting,
    transformed: Vec<EventBatch>,
    transformed_rows: usize,
    transformed_bytes: usize,
}

impl Intake {
    #[must_use]
    pub fn new(rules: &RowRules) -> Intake {
        Intake {
            rules: rules.clone(),
            decoder: Decoder::new(&rules.decode),
            events: EventRows::new(&rules.decode),
            waiting: Waiting::default(),
            transformed: Vec::new(),
            transformed_rows: 0,
            transformed_bytes: 0,
        }
    }

    /// Takes a record in. `judge` hears of each record whose verdict is known now, this one or earlier ones too; those that
    /// are accepted or filtered in the order in which they were taken.
    #[inline]
    pub fn take(&mut self, record: &impl Record, mut judge: impl FnMut(&dyn Record, Verdict)) {
        let decoded = self
            .decoder
            .decode(record.payload(), &record.meta(), &mut self.events);
        match decoded {
            Err(violation) => judge(record, Verdict::Rejected(violation)),
            Ok(()) if self.rules.transform.is_none() => judge(record, Verdict::Accepted),
            Ok(()) => {
                self.waiting.push(record);
                if self.waiting.is_full() {
                    self.settle(judge);
                }
            }
        }
    }

    /// Transforms what waits, so that no verdict is outstanding.
    pub fn settle(&mut self, mut judge: impl FnMut(&dyn Record, Verdict)) {
        let Some(transform) = &self.rules.transform else {
            return;
        };
        if self.waiting.records.is_empty() {
            return;
        }
        let events = std::mem::replace(&mut self.events, EventRows::new(&self.rules.decode)).finish();
        let (batch, verdicts) = transform.apply(&events.batch);
        let mut event_times_micros = Vec::with_capacity(batch.num_rows());
        assert_eq!(verdicts.len(), self.waiting.records.len(), "a verdict an event");
        let waited = self.waiting.records.iter().zip(events.event_times_micros);
        for ((kept, time), verdict) in waited.zip(verdicts) {
            if verdict == Verdict::Accepted {
                event_times_micros.push(time);
            }
            let record = Waited {
                kept,
                bytes: &self.waiting.bytes,
            };
            judge(&record, verdict);
        }
        self.waiting.clear();
        assert_eq!(
            event_times_micros.len(),
            batch.num_rows(),
            "a row an accepted event"
        );
        if batch.num_rows() > 0 {
            self.transformed_rows += batch.num_rows();
            self.transformed_bytes += batch.get_array_memory_size() + size_of_val(&event_times_micros[..]);
            self.transformed.push(EventBatch {
                batch,
                event_times_micros,
            });
        }
    }

    /// Rows that are accepted, or wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len() + self.transformed_rows
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory held. Costs a visit to each column: ask once a batch, not once a record.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.events.bytes() + self.waiting.held_bytes() + self.transformed_bytes
    }

    /// Takes the accepted rows away.
    ///
    /// # Panics
    /// When verdicts are outstanding: [`Intake::settle`] comes first.
    pub fn take_rows(&mut self) -> EventBatch {
        assert!(
            self.waiting.records.is_empty(),
            "what waits has neither a row nor a verdict"
        );
        if self.rules.transform.is_none() {
            return std::mem::replace(&mut self.events, EventRows::new(&self.rules.decode)).finish();
        }
        self.transformed_rows = 0;
        self.transformed_bytes = 0;
        joined(self.rules.schema(), std::mem::take(&mut self.transformed))
    }

    /// Takes the counts of undeclared fields, and begins anew.
    pub fn take_undeclared(&mut self) -> UndeclaredFields {
        self.decoder.take_undeclared()
    }
}

/// Batches of one schema as one. Column by column, each given up as soon as it is copied, so that not all is there twice.
fn joined(schema: SchemaRef, mut parts: Vec<EventBatch>) -> EventBatch {
    match parts.len() {
        0 => {
            return EventBatch {
                batch: RecordBatch::new_empty(schema),
                event_times_micros: Vec::new(),
            };
        }
        1 => return parts.remove(0),
        _ => {}
    }
    let mut event_times_micros = Vec::with_capacity(parts.iter().map(|part| part.batch.num_rows()).sum());
    let mut columns: Vec<Vec<_>> = schema.fields().iter().map(|_| Vec::new()).collect();
    for part in parts {
        event_times_micros.extend_from_slice(&part.event_times_micros);
        let (_, arrays, _) = part.batch.into_parts();
        columns
            .iter_mut()
            .zip(arrays)
            .for_each(|(column, array)| column.push(array));
    }
    let arrays = columns.into_iter().map(|column| {
        let pieces: Vec<_> = column.iter().map(|array| array.as_ref()).collect();
        concat(&pieces).expect("the pieces are of one type, and a buffer is bounded")
    });
    EventBatch {
        batch: RecordBatch::try_new(schema, arrays.collect()).expect("columns of one schema, equally long"),
        event_times_micros,
    }
}

/// Records that wait for the transform, with all that they came with.
#[derive(Debug, Default)]
struct Waiting {
    records: Vec<Kept>,
    /// Keys and payloads, one behind the other.
    bytes: Vec<u8>,
    header_bytes: usize,
}

#[derive(Debug)]
struct Kept {
    meta: RecordMeta,
    key: Option<Range<usize>>,
    payload: Range<usize>,
    headers: Headers,
}

impl Waiting {
    fn push(&mut self, record: &impl Record) {
        let mut put = |bytes: &[u8]| {
            let from = self.bytes.len();
            self.bytes.extend_from_slice(bytes);
            from..self.bytes.len()
        };
        let key = record.key().map(&mut put);
        let payload = put(record.payload());
        let headers = record.headers();
        let value_bytes = |value: &Option<Vec<u8>>| value.as_ref().map_or(0, Vec::len);
        let header_bytes = headers
            .iter()
            .map(|(name, value)| name.len() + value_bytes(value));
        self.header_bytes += header_bytes.sum::<usize>();
        self.records.push(Kept {
            meta: record.meta(),
            key,
            payload,
            headers,
        });
    }

    fn is_full(&self) -> bool {
        self.records.len() >= WAITING_ROWS_MAX || self.bytes.len() + self.header_bytes >= WAITING_BYTES_MAX
    }

    fn held_bytes(&self) -> usize {
        self.bytes.capacity() + self.header_bytes + self.records.capacity() * size_of::<Kept>()
    }

    /// One large record must not keep its room for good.
    fn clear(&mut self) {
        self.records.clear();
        self.bytes.clear();
        self.bytes.shrink_to(2 * WAITING_BYTES_MAX);
        self.header_bytes = 0;
    }
}

struct Waited<'a> {
    kept: &'a Kept,
    bytes: &'a [u8],
}

impl Record for Waited<'_> {
    fn meta(&self) -> RecordMeta {
        self.kept.meta
    }

    fn key(&self) -> Option<&[u8]> {
        self.kept.key.clone().map(|key| &self.bytes[key])
    }

    fn payload(&self) -> &[u8] {
        &self.bytes[self.kept.payload.clone()]
    }

    fn headers(&self) -> Headers {
        self.kept.headers.clone()
    }
}
