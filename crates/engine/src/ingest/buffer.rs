//! A topic's open buffer: decoded rows, rejected records, and for each partition exactly which offsets were passed.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use eventlake_core::flush::RollReason;
use eventlake_core::position::{IntervalSet, Offset, OffsetRange, PartitionId};
use eventlake_core::violation::Verdict;

use crate::ingest::decode::{EventBatch, UndeclaredFields};
use crate::ingest::intake::{Delivery, Intake, Record};
use crate::ingest::rejected::{RejectedBatch, RejectedRows};
use crate::ingest::source::SourceRecord;
use crate::ingest::split::{bytes_of, codes_of, join, split};
use crate::ingest::transform::RowRules;
use crate::telemetry::CodeCounts;

/// What one interval takes in memory and, as text, in the commit.
const RANGE_BYTES: u64 = 64;

/// The offsets of one partition that a buffer covers, and what became of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    pub partition: PartitionId,
    pub from: Offset,
    pub next: Offset,
    pub leader_epoch: Option<i32>,
    pub accepted: u64,
    pub rejected: u64,
    pub tombstones: IntervalSet,
    pub filtered: IntervalSet,
    pub absent: IntervalSet,
}

impl Passed {
    fn starting_at(partition: PartitionId, from: Offset) -> Passed {
        Passed {
            partition,
            from,
            next: from,
            leader_epoch: None,
            accepted: 0,
            rejected: 0,
            tombstones: IntervalSet::new(),
            filtered: IntervalSet::new(),
            absent: IntervalSet::new(),
        }
    }
}

/// A buffer closed for good: what one roll writes and commits.
#[derive(Debug)]
pub struct SealedBuffer {
    pub account: RollAccount,
    pub rows: SealedRows,
    pub undeclared: UndeclaredFields,
    /// Bytes held by the rows.
    pub bytes: u64,
}

/// What became of the offsets that a roll passed.
#[derive(Debug)]
pub struct RollAccount {
    pub reason: RollReason,
    /// The partitions that moved, in their order.
    pub partitions: Vec<Passed>,
    pub rejected_codes: CodeCounts,
}

impl RollAccount {
    /// A count over all partitions.
    pub fn sum(&self, count: impl Fn(&Passed) -> u64) -> u64 {
        self.partitions.iter().map(count).sum()
    }
}

/// The rows of a sealed buffer: what memory it takes.
#[derive(Debug)]
pub struct SealedRows {
    pub events: EventBatch,
    pub rejected: RejectedBatch,
}

impl SealedRows {
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.batch.num_rows() + self.rejected.batch.num_rows()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a record that arrived was, seen from the positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    Taken,
    /// Of a partition that is not (or no longer) ours, or of before its position: not for this buffer.
    NotOurs,
    /// Behind a gap that may be none: the assignment has changed since the partition's last record.
    Doubtful,
}

/// The open buffer and the positions of the topic's assigned partitions.
#[derive(Debug)]
pub struct OpenBuffer {
    intake: Intake,
    rejected: RejectedRows,
    rejected_codes: CodeCounts,
    /// Rows that stayed when others were sealed because their partitions went. They join the next roll.
    kept: Option<SealedRows>,
    kept_bytes: u64,
    /// By partition number; None: not assigned.
    slots: Vec<Option<Slot>>,
    opened_at: Option<Instant>,
    /// Intervals named since the last seal: they take memory, too.
    ranges: u64,
}

#[derive(Debug)]
struct Slot {
    /// The next offset to read: every one before it is committed, sealed, or in this buffer.
    position: Offset,
    open: Option<Passed>,
    /// Nothing was handed out at `position` since the assignment last changed.
    doubtful: bool,
}

impl Slot {
    /// Passes the offsets up to `next`, and gives the account to write down what they were.
    fn pass_to(&mut self, partition: PartitionId, next: Offset) -> &mut Passed {
        let from = self.position;
        let passed = self
            .open
            .get_or_insert_with(|| Passed::starting_at(partition, from));
        passed.next = next;
        self.position = next;
        passed
    }
}

/// What a gap behind a partition's position means until the partition has gone on from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gaps {
    /// Kafka went past those offsets: it was asked for the position, and handed out what comes next.
    Trusted,
    /// It may be none: what an assignment before this one fetches may arrive yet, and begins where that one had come to.
    Doubted,
}

impl OpenBuffer {
    #[must_use]
    pub fn new(rules: &RowRules) -> OpenBuffer {
        OpenBuffer {
            intake: Intake::new(rules),
            rejected: RejectedRows::new(),
            rejected_codes: CodeCounts::default(),
            kept: None,
            kept_bytes: 0,
            slots: Vec::new(),
            opened_at: None,
            ranges: 0,
        }
    }

    /// Takes a partition in, with its next offset.
    ///
    /// # Panics
    /// When the partition is assigned already: it must be released first.
    pub fn assign(&mut self, partition: PartitionId, position: Offset, gaps: Gaps) {
        let index = usize::try_from(partition.0).expect("Kafka numbers partitions from 0");
        if self.slots.len() <= index {
            self.slots.resize_with(index + 1, || None);
        }
        assert!(
            self.slots[index].is_none(),
            "partition {partition} is assigned twice"
        );
        self.slots[index] = Some(Slot {
            position,
            open: None,
            doubtful: gaps == Gaps::Doubted,
        });
    }

    /// Takes no gap on trust until each partition has gone on from its position, or was assigned anew.
    ///
    /// After a rebalance librdkafka fetches retained partitions again from where it believes them to have been consumed
    /// to, and control records it threw away can have moved that on too far.
    pub fn doubt_gaps(&mut self) {
        for slot in self.slots.iter_mut().flatten() {
            slot.doubtful = true;
        }
    }

    /// Forgets a partition. What the buffer holds of it must have been sealed or dropped before.
    pub fn release(&mut self, partition: PartitionId) {
        if let Some(slot) = usize::try_from(partition.0)
            .ok()
            .and_then(|index| self.slots.get_mut(index))
        {
            *slot = None;
        }
    }

    /// The assigned partitions and their next offsets.
    pub fn positions(&self) -> impl Iterator<Item = (PartitionId, Offset)> + '_ {
        let numbered = (0..).map(PartitionId).zip(&self.slots);
        numbered.filter_map(|(partition, slot)| slot.as_ref().map(|slot| (partition, slot.position)))
    }

    #[must_use]
    pub fn position(&self, partition: PartitionId) -> Option<Offset> {
        let index = usize::try_from(partition.0).ok()?;
        self.slots.get(index)?.as_ref().map(|slot| slot.position)
    }

    /// Takes a record in. Offsets between the position and the record are absent: Kafka went past them.
    pub fn take(&mut self, record: &SourceRecord<'_>, now: Instant) -> Arrival {
        let (partition, offset) = (record.partition(), record.offset());
        let slot = usize::try_from(partition.0)
            .ok()
            .and_then(|index| self.slots.get_mut(index));
        let Some(slot) = slot.and_then(Option::as_mut) else {
            return Arrival::NotOurs;
        };
        if offset < slot.position {
            return Arrival::NotOurs;
        }
        if slot.doubtful && offset > slot.position {
            return Arrival::Doubtful;
        }
        slot.doubtful = false;
        self.opened_at.get_or_insert(now);
        let skipped = OffsetRange::new(slot.position, offset).expect("the offset is not before the position");
        let passed = slot.pass_to(partition, offset.following());
        self.ranges += u64::from(!skipped.is_empty());
        passed.absent.push(skipped);
        passed.leader_epoch = record.leader_epoch();
        match Delivery::of(record) {
            None => {
                self.ranges += 1;
                passed.tombstones.push(OffsetRange::one(offset));
            }
            Some(delivery) => {
                let (intake, mut books) = self.parts();
                intake.take(&delivery, |record, verdict| books.enter(record, verdict));
            }
        }
        Arrival::Taken
    }

    /// Settles what waits for the transform. Nothing may be sealed before it.
    fn settle(&mut self) {
        let (intake, mut books) = self.parts();
        intake.settle(|record, verdict| books.enter(record, verdict));
    }

    fn parts(&mut self) -> (&mut Intake, Books<'_>) {
        let books = Books {
            slots: &mut self.slots,
            rejected: &mut self.rejected,
            rejected_codes: &mut self.rejected_codes,
            ranges: &mut self.ranges,
        };
        (&mut self.intake, books)
    }

    /// The partition's end is at `end`: what lies between the position and it, Kafka never hands out.
    pub fn reach_end(&mut self, partition: PartitionId, end: Offset, now: Instant) -> Arrival {
        let slot = usize::try_from(partition.0)
            .ok()
            .and_then(|index| self.slots.get_mut(index));
        let Some(slot) = slot.and_then(Option::as_mut) else {
            return Arrival::NotOurs;
        };
        if end < slot.position {
            return Arrival::NotOurs;
        }
        if slot.doubtful && end > slot.position {
            return Arrival::Doubtful;
        }
        slot.doubtful = false;
        if end == slot.position {
            return Arrival::Taken;
        }
        let range = OffsetRange::new(slot.position, end).expect("the end lies behind the position");
        self.opened_at.get_or_insert(now);
        let passed = slot.pass_to(partition, end);
        passed.absent.push(range);
        // The epoch of the last record says nothing of what lies behind it.
        passed.leader_epoch = None;
        self.ranges += 1;
        Arrival::Taken
    }

    /// Bytes the open rows hold.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        (self.intake.bytes() + self.rejected.bytes()) as u64 + self.kept_bytes + RANGE_BYTES * self.ranges
    }

    #[must_use]
    pub fn rows(&self) -> u64 {
        let kept = self.kept.as_ref().map_or(0, SealedRows::len);
        (self.intake.len() + self.rejected.len() + kept) as u64
    }

    /// True when offsets were passed since the last seal.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.opened_at.is_some()
    }

    /// Since the first offset was passed; zero when none was.
    #[must_use]
    pub fn age(&self, now: Instant) -> Duration {
        self.opened_at
            .map_or(Duration::ZERO, |opened| now.saturating_duration_since(opened))
    }

    /// Closes the buffer and opens an empty one that goes on where it ends. None when nothing is pending.
    pub fn seal(&mut self, reason: RollReason) -> Option<SealedBuffer> {
        self.opened_at.take()?;
        self.settle();
        self.ranges = 0;
        let bytes = self.bytes();
        let partitions = self
            .slots
            .iter_mut()
            .flatten()
            .filter_map(|slot| slot.open.take())
            .collect();
        let account = RollAccount {
            reason,
            partitions,
            rejected_codes: std::mem::take(&mut self.rejected_codes),
        };
        Some(SealedBuffer {
            account,
            rows: self.take_rows(),
            undeclared: self.intake.take_undeclared(),
            bytes,
        })
    }

    /// Closes what is held of these partitions alone; what is held of the others stays, as old as it is.
    /// None when nothing of these is pending.
    pub fn seal_partitions(
        &mut self,
        gone: &BTreeSet<PartitionId>,
        reason: RollReason,
    ) -> Option<SealedBuffer> {
        let pending = |slot: &Option<Slot>| slot.as_ref().is_some_and(|slot| slot.open.is_some());
        let (mut goes, mut stays) = (false, false);
        for (partition, slot) in (0..).map(PartitionId).zip(&self.slots) {
            goes |= pending(slot) && gone.contains(&partition);
            stays |= pending(slot) && !gone.contains(&partition);
        }
        if !goes {
            return None;
        }
        if !stays {
            return self.seal(reason);
        }
        self.settle();
        let (rows, kept) = split(&self.take_rows(), gone);
        let partitions = (0..)
            .map(PartitionId)
            .zip(&mut self.slots)
            .filter(|(partition, _)| gone.contains(partition))
            .filter_map(|(_, slot)| slot.as_mut()?.open.take())
            .collect();
        let account = RollAccount {
            reason,
            partitions,
            rejected_codes: codes_of(&rows),
        };
        self.ranges = self.named_ranges();
        self.rejected_codes = codes_of(&kept);
        self.kept_bytes = bytes_of(&kept);
        self.kept = Some(kept);
        Some(SealedBuffer {
            account,
            bytes: bytes_of(&rows),
            rows,
            undeclared: self.intake.take_undeclared(),
        })
    }

    /// All rows, those kept by an earlier call first.
    fn take_rows(&mut self) -> SealedRows {
        let rows = SealedRows {
            events: self.intake.take_rows(),
            rejected: std::mem::take(&mut self.rejected).finish(),
        };
        self.kept_bytes = 0;
        match self.kept.take() {
            Some(kept) => join(kept, rows),
            None => rows,
        }
    }

    fn named_ranges(&self) -> u64 {
        let open = self.slots.iter().flatten().filter_map(|slot| slot.open.as_ref());
        let named = |passed: &Passed| {
            [&passed.tombstones, &passed.filtered, &passed.absent].map(|set| set.ranges().len())
        };
        open.map(|passed| named(passed).iter().sum::<usize>() as u64)
            .sum()
    }

    /// Drops all rows and every assigned partition: they will be assigned again from the checkpoint.
    /// Returns the partitions that were assigned.
    pub fn abandon(&mut self) -> Vec<PartitionId> {
        let partitions = self.positions().map(|(partition, _)| partition).collect();
        let _dropped = self.seal(RollReason::Revoke);
        self.slots.clear();
        partitions
    }
}

/// What of an open buffer a verdict is entered in.
struct Books<'a> {
    slots: &'a mut [Option<Slot>],
    rejected: &'a mut RejectedRows,
    rejected_codes: &'a mut CodeCounts,
    ranges: &'a mut u64,
}

impl Books<'_> {
    #[inline]
    fn enter(&mut self, record: &dyn Record, verdict: Verdict) {
        let meta = record.meta();
        let slot = usize::try_from(meta.partition.0).ok();
        let slot = slot.and_then(|index| self.slots.get_mut(index)?.as_mut());
        let passed = slot.and_then(|slot| slot.open.as_mut());
        let passed = passed.expect("a partition stays until what was taken of it is sealed");
        match verdict {
            Verdict::Accepted => passed.accepted += 1,
            Verdict::Filtered => {
                let before = passed.filtered.ranges().len();
                passed.filtered.push(OffsetRange::one(meta.offset));
                *self.ranges += (passed.filtered.ranges().len() - before) as u64;
            }
            Verdict::Rejected(ref violation) => {
                passed.rejected += 1;
                self.rejected_codes.add(violation.code, 1);
                self.rejected.keep(record, &verdict);
            }
        }
    }
}

#[cfg(test)]
mod tests;
