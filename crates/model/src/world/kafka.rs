//! The Kafka of the model: a topic's lives, its records, its consumers and the group that spreads its partitions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use eventlake_core::commit::TopicId;

use crate::choice::Choices;

/// What lies at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A record that is accepted, into the folder of this hour.
    Event {
        hour: u8,
    },
    /// A record that is rejected.
    Refused,
    Tombstone,
    /// Never handed out.
    Control,
}

/// One life of the topic. Its records stay known after Kafka has deleted them: they are the truth.
#[derive(Clone, Debug)]
pub struct Life {
    pub id: TopicId,
    pub partitions: Vec<Vec<Entry>>,
    pub low: Vec<i64>,
}

impl Life {
    #[must_use]
    pub fn end(&self, partition: i32) -> i64 {
        i64::try_from(self.partitions[index(partition)].len()).expect("few records")
    }

    #[must_use]
    pub fn low(&self, partition: i32) -> i64 {
        self.low[index(partition)]
    }

    #[must_use]
    pub fn at(&self, partition: i32, offset: i64) -> Option<Entry> {
        let offset = usize::try_from(offset).ok()?;
        self.partitions.get(index(partition))?.get(offset).copied()
    }
}

fn index(partition: i32) -> usize {
    usize::try_from(partition).expect("partitions count from 0")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    pub partition: i32,
    pub offset: i64,
    pub entry: Entry,
    pub life: usize,
}

/// What a poll brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    Record(Record),
    End { partition: i32, position: i64 },
    OutOfRange { partition: i32 },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupEvent {
    Assign(Vec<i32>),
    Revoke(Vec<i32>),
    Lost(Vec<i32>),
}

/// One client, by the process that it belongs to.
#[derive(Clone, Debug, Default)]
pub struct Consumer {
    /// The newest life that something was handed out of: no description is older.
    pub seen_life: usize,
    /// Where the client fetches next, a partition.
    pub fetch: BTreeMap<i32, Fetch>,
    pub events: VecDeque<GroupEvent>,
    /// The partitions of the assignment that it is taking right now.
    pub taking: BTreeSet<i32>,
}

#[derive(Clone, Copy, Debug)]
pub struct Fetch {
    pub position: i64,
    told_end: Option<(usize, i64)>,
    stopped: bool,
}

impl Fetch {
    #[must_use]
    pub fn at(position: i64) -> Fetch {
        Fetch {
            position,
            told_end: None,
            stopped: false,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Kafka {
    pub lives: Vec<Life>,
    pub consumers: BTreeMap<usize, Consumer>,
    /// Who has each partition, by process.
    pub owners: BTreeMap<i32, usize>,
    /// Partitions on their way: asked back from their owner, to be given to another.
    pub moving: BTreeMap<i32, usize>,
    /// The group's offsets.
    pub committed: BTreeMap<i32, i64>,
    partitions: i32,
}

impl Kafka {
    #[must_use]
    pub fn new(partitions: i32) -> Kafka {
        let mut kafka = Kafka {
            lives: Vec::new(),
            consumers: BTreeMap::new(),
            owners: BTreeMap::new(),
            moving: BTreeMap::new(),
            committed: BTreeMap::new(),
            partitions,
        };
        kafka.recreate();
        kafka
    }

    pub fn partitions(&self) -> impl Iterator<Item = i32> + use<> {
        0..self.partitions
    }

    #[must_use]
    pub fn current(&self) -> usize {
        self.lives.len() - 1
    }

    #[must_use]
    pub fn life(&self) -> &Life {
        self.lives.last().expect("there is always a topic")
    }

    pub fn recreate(&mut self) {
        let count = index(self.partitions);
        self.lives.push(Life {
            id: TopicId::new(&format!("life-{}", self.lives.len())).expect("a topic id"),
            partitions: vec![Vec::new(); count],
            low: vec![0; count],
        });
    }

    #[must_use]
    pub fn life_of(&self, id: &TopicId) -> Option<usize> {
        self.lives.iter().position(|life| life.id == *id)
    }

    pub fn produce(&mut self, partition: i32, entry: Entry) {
        let life = self.lives.last_mut().expect("there is always a topic");
        life.partitions[index(partition)].push(entry);
    }

    /// Deletes everything before an offset.
    pub fn delete_before(&mut self, partition: i32, low: i64) {
        let life = self.lives.last_mut().expect("there is always a topic");
        let end = life.end(partition);
        let from = &mut life.low[index(partition)];
        *from = low.clamp(*from, end);
    }

    /// The life that a description tells of: of any moment since what this client was handed out.
    pub fn describe(&self, process: usize, floor: bool, is_stale: bool, choices: &mut Choices) -> usize {
        let seen = self
            .consumers
            .get(&process)
            .map_or(0, |consumer| consumer.seen_life);
        let oldest = if floor { seen } else { 0 };
        if is_stale {
            self.current() - choices.pick(self.current() - oldest + 1)
        } else {
            self.current()
        }
    }

    /// The ends of a partition, as its leader tells them.
    pub fn watermarks(&mut self, process: usize, partition: i32) -> (i64, i64) {
        let current = self.current();
        if let Some(consumer) = self.consumers.get_mut(&process) {
            consumer.seen_life = current;
        }
        (self.life().low(partition), self.life().end(partition))
    }

    /// Whether a poll would bring something.
    #[must_use]
    pub fn has_news(&self, process: usize) -> bool {
        let Some(consumer) = self.consumers.get(&process) else {
            return false;
        };
        consumer
            .fetch
            .iter()
            .any(|(partition, fetch)| self.news(*partition, fetch))
    }

    fn news(&self, partition: i32, fetch: &Fetch) -> bool {
        let end = self.life().end(partition);
        !fetch.stopped && (fetch.position != end || fetch.told_end != Some((self.current(), end)))
    }

    /// What comes next of one of the partitions that a client fetches.
    pub fn poll(&mut self, process: usize, resets: bool, choices: &mut Choices) -> Option<Item> {
        let current = self.current();
        let consumer = self.consumers.get(&process)?;
        let ready: Vec<i32> = consumer
            .fetch
            .iter()
            .filter(|(partition, fetch)| self.news(**partition, fetch))
            .map(|(partition, _)| *partition)
            .collect();
        let partition = *ready.get(choices.pick(ready.len()))?;
        let life = &self.lives[current];
        let (low, end) = (life.low(partition), life.end(partition));
        let consumer = self.consumers.get_mut(&process)?;
        let fetch = consumer.fetch.get_mut(&partition)?;
        consumer.seen_life = current;
        if fetch.position < low || fetch.position > end {
            if resets {
                fetch.position = low;
            } else {
                fetch.stopped = true;
                return Some(Item::OutOfRange { partition });
            }
        }
        let mut offset = fetch.position;
        while let Some(entry) = life.at(partition, offset) {
            if entry != Entry::Control {
                fetch.position = offset + 1;
                return Some(Item::Record(Record {
                    partition,
                    offset,
                    entry,
                    life: current,
                }));
            }
            offset += 1;
        }
        fetch.position = end;
        fetch.told_end = Some((current, end));
        Some(Item::End {
            partition,
            position: end,
        })
    }

    /// The records of a range that Kafka still has; None where it has not all of it.
    pub fn read_again(
        &mut self,
        process: usize,
        partition: i32,
        from: i64,
        next: i64,
    ) -> Option<Vec<Record>> {
        let current = self.current();
        if let Some(consumer) = self.consumers.get_mut(&process) {
            consumer.seen_life = current;
        }
        let life = self.life();
        if from < life.low(partition) || next > life.end(partition) {
            return None;
        }
        let record = |offset| Record {
            partition,
            offset,
            entry: life.at(partition, offset).expect("within the partition"),
            life: current,
        };
        Some((from..next).map(record).collect())
    }

    pub fn join(&mut self, process: usize) {
        self.consumers.insert(process, Consumer::default());
    }

    /// The group gives up on a member: its partitions are free at once, and it hears of it later, if it lives.
    pub fn expire(&mut self, process: usize) {
        let held: Vec<i32> = self
            .owners
            .iter()
            .filter(|(_, owner)| **owner == process)
            .map(|(held, _)| *held)
            .collect();
        for partition in &held {
            self.owners.remove(partition);
        }
        if let Some(consumer) = self.consumers.get_mut(&process) {
            let assigned = |event: &GroupEvent| matches!(event, GroupEvent::Assign(_));
            consumer
                .events
                .retain(|event| !assigned(event) && !matches!(event, GroupEvent::Revoke(_)));
            consumer.events.push_back(GroupEvent::Lost(held.clone()));
        }
        for partition in held {
            if let Some(target) = self.moving.remove(&partition) {
                self.give(partition, target);
            }
        }
        self.moving.retain(|_, target| *target != process);
    }

    /// A member that falls out of the group before it has answered its assignments, and is back at once, is asked for none of
    /// them back: it is given them again. False when there is nothing to answer.
    pub fn assign_again(&mut self, process: usize) -> bool {
        let Some(consumer) = self.consumers.get_mut(&process) else {
            return false;
        };
        let queued = consumer.events.iter().flat_map(|event| match event {
            GroupEvent::Assign(partitions) => partitions.as_slice(),
            GroupEvent::Revoke(_) | GroupEvent::Lost(_) => &[],
        });
        let again: BTreeSet<i32> = queued
            .chain(&consumer.taking)
            .copied()
            .filter(|partition| self.owners.get(partition) == Some(&process))
            .filter(|partition| !self.moving.contains_key(partition))
            .collect();
        let any = !again.is_empty();
        if any {
            let again = again.into_iter().collect();
            consumer.events.push_back(GroupEvent::Assign(again));
        }
        any
    }

    pub fn leave(&mut self, process: usize) {
        self.expire(process);
        self.consumers.remove(&process);
    }

    fn give(&mut self, partition: i32, process: usize) {
        if let Some(consumer) = self.consumers.get_mut(&process) {
            self.owners.insert(partition, process);
            consumer.events.push_back(GroupEvent::Assign(vec![partition]));
        }
    }

    /// The group wants a partition to be this member's.
    pub fn move_partition(&mut self, partition: i32, to: usize) -> bool {
        match self.owners.get(&partition).copied() {
            Some(owner) if owner == to || self.moving.contains_key(&partition) => false,
            Some(owner) => {
                self.moving.insert(partition, to);
                let owner = self.consumers.get_mut(&owner).expect("an owner is a member");
                owner.events.push_back(GroupEvent::Revoke(vec![partition]));
                true
            }
            None => {
                self.give(partition, to);
                true
            }
        }
    }

    /// A member gives a partition back.
    pub fn give_back(&mut self, process: usize, partition: i32) {
        if self.owners.get(&partition) != Some(&process) {
            return;
        }
        self.owners.remove(&partition);
        if let Some(target) = self.moving.remove(&partition) {
            self.give(partition, target);
        }
    }
}
