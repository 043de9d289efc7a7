//! A stretch of records as Kafka handed them out, decoded anew: a verdict an offset, and the rows of each set.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use eventlake_core::position::{IntervalSet, Offset, OffsetRange, PartitionId};
use eventlake_core::violation::Verdict;

use crate::ingest::decode::RecordMeta;
use crate::ingest::rejected::RejectedRows;
use crate::ingest::{Delivery, Intake, Record, RowRules, SourceRecord};

/// What a record is by its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Accepted,
    Rejected,
    Filtered,
    Tombstone,
}

impl Kind {
    pub fn described(self) -> &'static str {
        match self {
            Kind::Accepted => "an event",
            Kind::Rejected => "a record that its schema or transform refuses",
            Kind::Filtered => "an event that the transform does not let through",
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
    intake: Intake,
    judged: Judged,
}

/// The records whose verdict is known.
struct Judged {
    accepted: u32,
    rejected: RejectedRows,
    delivered: Vec<Delivered>,
}

impl Judged {
    fn enter(&mut self, record: &dyn Record, verdict: &Verdict) {
        let RecordMeta {
            partition, offset, ..
        } = record.meta();
        let (kind, row) = match verdict {
            Verdict::Accepted => {
                self.accepted += 1;
                (Kind::Accepted, self.accepted - 1)
            }
            Verdict::Filtered => (Kind::Filtered, 0),
            Verdict::Rejected(_) => {
                let row = u32::try_from(self.rejected.len()).expect("a stretch is bounded");
                (Kind::Rejected, row)
            }
        };
        self.rejected.keep(record, verdict);
        self.delivered.push(Delivered {
            partition,
            offset,
            kind,
            row,
        });
    }
}

impl StretchBuilder {
    pub fn new(rules: &RowRules, left: &BTreeMap<PartitionId, OffsetRange>) -> StretchBuilder {
        StretchBuilder {
            partitions: left
                .iter()
                .map(|(partition, range)| (*partition, (*range, range.from())))
                .collect(),
            intake: Intake::new(rules),
            judged: Judged {
                accepted: 0,
                rejected: RejectedRows::new(),
                delivered: Vec::new(),
            },
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
        let judged = &mut self.judged;
        match Delivery::of(record) {
            None => judged.delivered.push(Delivered {
                partition,
                offset,
                kind: Kind::Tombstone,
                row: 0,
            }),
            Some(delivery) => self
                .intake
                .take(&delivery, |record, verdict| judged.enter(record, &verdict)),
        }
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
        self.intake.bytes()
            + self.judged.rejected.bytes()
            + self.judged.delivered.capacity() * size_of::<Delivered>()
    }

    pub fn finish(mut self) -> Stretch {
        let mut judged = self.judged;
        self.intake
            .settle(|record, verdict| judged.enter(record, &verdict));
        judged
            .delivered
            .sort_unstable_by_key(|delivered| (delivered.partition, delivered.offset));
        let ranges = self.partitions.into_iter().map(|(partition, (wanted, reached))| {
            let range = OffsetRange::new(wanted.from(), reached).expect("reading goes upwards");
            (partition, range)
        });
        Stretch {
            ranges: ranges.collect(),
            delivered: judged.delivered,
            accepted: self.intake.take_rows().batch,
            rejected: judged.rejected.finish().batch,
        }
    }
}
