//! The open buffer, as the engine's `ingest/buffer.rs`: which offsets were passed, and what became of each.

use std::collections::{BTreeMap, BTreeSet};

use eventlake_core::commit::PartitionAppend;
use eventlake_core::position::{IntervalSet, Offset, OffsetRange, PartitionId};

use crate::world::kafka::{Entry, Record};
use crate::world::store::Row;

/// What a buffer covers of one partition.
#[derive(Clone, Debug)]
pub struct Passed {
    pub partition: i32,
    pub from: i64,
    pub next: i64,
    pub accepted: Vec<(u8, Row)>,
    pub rejected: Vec<Row>,
    pub tombstones: IntervalSet,
    pub absent: IntervalSet,
}

impl Passed {
    #[must_use]
    pub fn append(&self) -> PartitionAppend {
        PartitionAppend {
            accepted: self.accepted.len() as u64,
            rejected: self.rejected.len() as u64,
            tombstones: self.tombstones.clone(),
            absent: self.absent.clone(),
            ..empty_append(self.partition, self.from, self.next)
        }
    }

    /// The lives of the topic that its rows came from.
    pub fn lives(&self) -> impl Iterator<Item = usize> {
        self.accepted
            .iter()
            .map(|(_, row)| row.life)
            .chain(self.rejected.iter().map(|row| row.life))
    }
}

#[must_use]
pub fn empty_append(partition: i32, from: i64, next: i64) -> PartitionAppend {
    PartitionAppend {
        partition: PartitionId(partition),
        from: Offset(from),
        next: Offset(next),
        leader_epoch: None,
        accepted: 0,
        rejected: 0,
        tombstones: IntervalSet::new(),
        filtered: IntervalSet::new(),
        absent: IntervalSet::new(),
        lost: IntervalSet::new(),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    Taken,
    NotOurs,
    Doubtful,
}

#[derive(Debug)]
struct Slot {
    position: i64,
    open: Option<Passed>,
    doubtful: bool,
}

#[derive(Debug, Default)]
pub struct Buffer {
    slots: BTreeMap<i32, Slot>,
}

impl Buffer {
    pub fn assign(&mut self, partition: i32, position: i64, doubtful: bool) {
        self.slots.insert(
            partition,
            Slot {
                position,
                open: None,
                doubtful,
            },
        );
    }

    pub fn doubt_gaps(&mut self) {
        self.slots.values_mut().for_each(|slot| slot.doubtful = true);
    }

    pub fn release(&mut self, partition: i32) {
        self.slots.remove(&partition);
    }

    #[must_use]
    pub fn is_assigned(&self) -> bool {
        !self.slots.is_empty()
    }

    #[must_use]
    pub fn holds(&self, partition: i32) -> bool {
        self.slots.contains_key(&partition)
    }

    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.slots.values().any(|slot| slot.open.is_some())
    }

    pub fn take(&mut self, record: &Record) -> Arrival {
        let Some(passed) = self.pass_to(record.partition, record.offset, record.offset + 1) else {
            return Arrival::NotOurs;
        };
        let passed = match passed {
            Ok(passed) => passed,
            Err(arrival) => return arrival,
        };
        let Record {
            partition,
            offset,
            entry,
            life,
        } = *record;
        let row = Row {
            life,
            partition,
            offset,
        };
        match entry {
            Entry::Event { hour } => passed.accepted.push((hour, row)),
            Entry::Refused => passed.rejected.push(row),
            Entry::Tombstone | Entry::Control => passed.tombstones.push(OffsetRange::one(Offset(offset))),
        }
        Arrival::Taken
    }

    pub fn reach_end(&mut self, partition: i32, end: i64) -> Arrival {
        match self.slots.get_mut(&partition) {
            Some(slot) if slot.position == end => {
                slot.doubtful = false;
                Arrival::Taken
            }
            _ => match self.pass_to(partition, end, end) {
                None => Arrival::NotOurs,
                Some(Ok(_)) => Arrival::Taken,
                Some(Err(arrival)) => arrival,
            },
        }
    }

    /// Goes to `next`; what lies between the position and `at` is absent. None when it is not for this buffer.
    fn pass_to(&mut self, partition: i32, at: i64, next: i64) -> Option<Result<&mut Passed, Arrival>> {
        let slot = self
            .slots
            .get_mut(&partition)
            .filter(|slot| at >= slot.position)?;
        if slot.doubtful && at > slot.position {
            return Some(Err(Arrival::Doubtful));
        }
        slot.doubtful = false;
        let skipped = OffsetRange::new(Offset(slot.position), Offset(at)).expect("not before the position");
        let from = slot.position;
        let passed = slot.open.get_or_insert_with(|| Passed {
            partition,
            from,
            next: from,
            accepted: Vec::new(),
            rejected: Vec::new(),
            tombstones: IntervalSet::new(),
            absent: IntervalSet::new(),
        });
        passed.absent.push(skipped);
        passed.next = next;
        slot.position = next;
        Some(Ok(passed))
    }

    pub fn seal(&mut self) -> Vec<Passed> {
        self.slots
            .values_mut()
            .filter_map(|slot| slot.open.take())
            .collect()
    }

    /// Drops everything. The partitions that were assigned.
    pub fn abandon(&mut self) -> BTreeSet<i32> {
        std::mem::take(&mut self.slots).into_keys().collect()
    }
}
