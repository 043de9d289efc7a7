//! A stretch of records as Kafka handed them out, decoded anew: a verdict an offset, and the rows of each set.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use eventlake_core::position::{IntervalSet, Offset, OffsetRange, PartitionId};
use eventlake_core::schema::DecodeRules;

use crate::ingest::SourceRecord;
use crate::ingest::decode::{Decoder, EventRows, RecordMeta};
use crate::ingest::rejected::RejectedRows;

/// What a record is by its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Accepted,
    Rejected,
    Tombstone,
}

impl Kind {
    pub fn described(self) -> &'static str {
        match self {
            Kind::Accepted => "an event",
            Kind::Rejected => "a record that its schema refuses",
            Kind::Tombstone => "a tombstone",
        }
    }
}

/// A record that was handed out, and where its row is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivered {
    pub partition: PartitionId,
    pub offset: Offset,
    pub kind: Kind,
    /// In the batch of its kind.
    pub row: u32,
}

/// All that Kafka has of some ranges.
#[derive(Debug)]
pub(super) struct Stretch {
    pub ranges: BTreeMap<PartitionId, OffsetRange>,
    /// Ascending by partition and offset.
    pub delivered: Vec<Delivered>,
    pub accepted: RecordBatch,
    pub rejected: RecordBatch,
}

impl Stretch {
    /// The place of a record in `delivered`.
    pub fn find(&self, partition: i32, offset: i64) -> Option<usize> {
        let key = (PartitionId(partition), Offset(offset));
        let found = self
            .delivered
            .binary_search_by_key(&key, |delivered| (delivered.partition, delivered.offset));
        found.ok()
    }

    pub fn contains(&self, partition: i32, offset: i64) -> bool {
        let range = self.ranges.get(&PartitionId(partition));
        range.is_some_and(|range| range.contains(Offset(offset)))
    }

    /// How many of a partition's offsets, which lie in the stretch, were handed out; and how many there are.
    pub fn delivered_of(&self, partition: PartitionId, set: &IntervalSet) -> (u64, u64) {
        let Some(within) = self.ranges.get(&partition) else {
            return (0, 0);
        };
        let (mut delivered, mut all) = (0, 0);
        for range in set.ranges() {
            let from = range.from().max(within.from());
            let next = range.next().min(within.next());
            if from < next {
                let at = |offset| {
                    self.delivered
                        .partition_point(|other| (other.partition, other.offset) < (partition, offset))
                };
                delivered += (at(next) - at(from)) as u64;
                all += next.0.abs_diff(from.0);
            }
        }
        (delivered, all)
    }
}

/// A stretch that grows.
pub(super) struct StretchBuilder {
    /// What is wanted of each partition, and how far it was read.
    partitions: BTreeMap<PartitionId, (OffsetRange, Offset)>,
    decoder: Decoder,
    events: EventRows,
    rejected: RejectedRows,
    delivered: Vec<Delivered>,
}

impl StretchBuilder {
    pub fn new(rules: &DecodeRules, left: &BTreeMap<PartitionId, OffsetRange>) -> StretchBuilder {
        StretchBuilder {
            partitions: left
                .iter()
                .map(|(partition, range)| (*partition, (*range, range.from())))
                .collect(),
            decoder: Decoder::new(rules),
            events: EventRows::new(rules),
            rejected: RejectedRows::new(),
            delivered: Vec::new(),
        }
    }

    pub fn take(&mut self, record: &SourceRecord<'_>) {
        let (partition, offset) = (record.partition(), record.offset());
        let Some((wanted, reached)) = self.partitions.get_mut(&partition) else {
            return;
        };
        if offset >= wanted.next() {
            *reached = wanted.next();
            return;
        }
        if offset < *reached {
            return;
        }
        *reached = offset.following();
        let meta = RecordMeta {
            partition,
            offset,
            timestamp_micros: record.timestamp_micros(),
        };
        let (kind, row) = match record.payload() {
            None => (Kind::Tombstone, 0),
            Some(payload) => match self.decoder.decode(payload, &meta, &mut self.events) {
                Ok(()) => (Kind::Accepted, self.events.len() - 1),
                Err(violation) => {
                    self.rejected
                        .push(record.key(), payload, &record.headers(), &violation, &meta);
                    (Kind::Rejected, self.rejected.len() - 1)
                }
            },
        };
        self.delivered.push(Delivered {
            partition,
            offset,
            kind,
            row: u32::try_from(row).expect("a stretch is bounded"),
        });
    }

    /// Nothing that Kafka hands out lies before this position.
    pub fn reach(&mut self, partition: PartitionId, position: Offset) {
        if let Some((wanted, reached)) = self.partitions.get_mut(&partition) {
            *reached = (*reached).max(position.min(wanted.next()));
        }
    }

    pub fn is_done(&self) -> bool {
        self.partitions
            .values()
            .all(|(wanted, reached)| *reached == wanted.next())
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.events.bytes() + self.rejected.bytes() + self.delivered.capacity() * size_of::<Delivered>()
    }

    pub fn finish(mut self) -> Stretch {
        self.delivered
            .sort_unstable_by_key(|delivered| (delivered.partition, delivered.offset));
        let ranges = self.partitions.into_iter().map(|(partition, (wanted, reached))| {
            let range = OffsetRange::new(wanted.from(), reached).expect("reading goes upwards");
            (partition, range)
        });
        Stretch {
            ranges: ranges.collect(),
            delivered: self.delivered,
            accepted: self.events.finish().batch,
            rejected: self.rejected.finish().batch,
        }
    }
}
