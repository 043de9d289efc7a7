//! A consumer's thread, as the engine's `ingest/assignment.rs` and `ingest/pipeline.rs`: partitions, records, rolls.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use eventlake_core::commit::GenerationOrdinal;
use eventlake_core::flush::{self, Facts, Limits, Step};

use super::buffer::{Arrival, Buffer};
use super::commit::{Job, Link, Report};
use super::log::Log;
use super::start::positions;
use crate::coverage::{Situation, Transition};
use crate::fence::Fence;
use crate::task::{Thread, Trouble};
use crate::world::World;
use crate::world::kafka::{Entry, Fetch, GroupEvent, Item};

const LIMITS: Limits = Limits {
    roll_interval: Duration::from_secs(10),
    roll_bytes: 1000,
    budget_bytes: 1_000_000,
};

pub struct Consumer {
    log: Log,
    link: Rc<RefCell<Link>>,
    buffer: Buffer,
    generation: GenerationOrdinal,
    /// What the group gave this member.
    held: BTreeSet<i32>,
    jobs_sent: u64,
    under_way: Option<u64>,
    /// To be assigned anew from the checkpoint.
    due: bool,
    /// The roll interval is over.
    aged: bool,
    failed: bool,
}

impl Consumer {
    #[must_use]
    pub fn new(log: Log, link: Rc<RefCell<Link>>) -> Consumer {
        Consumer {
            log,
            link,
            buffer: Buffer::default(),
            generation: GenerationOrdinal(0),
            held: BTreeSet::new(),
            jobs_sent: 0,
            under_way: None,
            due: false,
            aged: false,
            failed: false,
        }
    }

    fn thread(&self) -> &Thread {
        &self.log.thread
    }

    fn holds(&self, fence: Fence) -> bool {
        self.thread().with(|world| world.holds(fence))
    }

    pub async fn run(mut self) {
        let me = self.log.thread.me;
        loop {
            let event = self
                .thread()
                .with(|world| world.kafka.consumers.get_mut(&me)?.events.pop_front());
            if let Some(event) = event {
                self.obey(event).await;
                continue;
            }
            let report = self.link.borrow_mut().reports.pop_front();
            if let Some(report) = report {
                self.hear(report);
                continue;
            }
            if self.due && !self.failed {
                self.assign_anew().await;
                continue;
            }
            self.go_on().await;
        }
    }

    async fn go_on(&mut self) {
        let me = self.log.thread.me;
        let facts = Facts {
            pending: self.buffer.is_pending(),
            age: if self.aged {
                LIMITS.roll_interval
            } else {
                Duration::ZERO
            },
            open_bytes: 1,
            writing: self.under_way.is_some(),
            used_bytes: 1,
            largest: true,
        };
        if let (Step::Roll(_), false) = (flush::decide(&facts, &LIMITS), self.failed) {
            self.roll();
            return;
        }
        if !self.failed && self.thread().with(|world| world.kafka.has_news(me)) {
            self.poll().await;
            return;
        }
        if self.buffer.is_pending() && self.under_way.is_none() && !self.aged {
            self.aged = true;
            return;
        }
        self.rest().await;
    }

    /// Until there is something to do.
    async fn rest(&mut self) {
        let (link, me, failed) = (Rc::clone(&self.link), self.log.thread.me, self.failed);
        self.log
            .thread
            .until(move |world| {
                let consumer = world.kafka.consumers.get(&me);
                consumer.is_some_and(|consumer| !consumer.events.is_empty())
                    || !link.borrow().reports.is_empty()
                    || !failed && world.kafka.has_news(me)
            })
            .await;
    }

    async fn poll(&mut self) {
        let me = self.log.thread.me;
        let resets = !self.holds(Fence::OutOfRange);
        let item = self
            .thread()
            .step(Transition::PollRecord, |world| {
                let World { kafka, choices, .. } = world;
                kafka.poll(me, resets, choices)
            })
            .await;
        self.aged |= self.thread().with(|world| {
            let rate = world.profile.rolls;
            world.strikes(rate)
        });
        let arrival = match item {
            Some(Item::Record(record)) => {
                self.thread().with(|world| {
                    world.tell_of(me, || {
                        format!(
                            "reads offset {} of p{}, life {}",
                            record.offset, record.partition, record.life
                        )
                    });
                });
                self.buffer.take(&record)
            }
            Some(Item::End { partition, position }) => {
                self.thread().with(|world| {
                    world.fired(Transition::PollEnd);
                    if world.kafka.life().at(partition, position - 1) == Some(Entry::Control) {
                        world.met(Situation::EndOfControl);
                    }
                });
                if self.holds(Fence::EndOfPartition) {
                    self.buffer.reach_end(partition, position)
                } else {
                    Arrival::Taken
                }
            }
            Some(Item::OutOfRange { partition }) => {
                self.thread()
                    .with(|world| world.fired(Transition::PollOutOfRange));
                if self.buffer.holds(partition) {
                    self.settle().await;
                    if self.buffer.holds(partition) {
                        let id = self.next_job();
                        self.link
                            .borrow_mut()
                            .jobs
                            .push_back(Job::Investigate { id, partition });
                    }
                }
                Arrival::Taken
            }
            None => Arrival::NotOurs,
        };
        if arrival == Arrival::Doubtful {
            self.settle().await;
            self.go_back();
        }
    }

    fn next_job(&mut self) -> u64 {
        self.jobs_sent += 1;
        self.under_way = Some(self.jobs_sent);
        self.jobs_sent
    }

    fn roll(&mut self) {
        self.aged = false;
        let sealed = self.buffer.seal();
        if !sealed.is_empty() {
            let (id, generation) = (self.next_job(), self.generation);
            self.link.borrow_mut().jobs.push_back(Job::Roll {
                id,
                generation,
                sealed,
            });
        }
    }

    /// Sends what is buffered and waits until nothing is under way.
    async fn settle(&mut self) {
        while !self.failed {
            if self.under_way.is_none() {
                self.roll();
                if self.under_way.is_none() {
                    return;
                }
            }
            let link = Rc::clone(&self.link);
            self.log
                .thread
                .until(move |_| !link.borrow().reports.is_empty())
                .await;
            let report = self.link.borrow_mut().reports.pop_front();
            if let Some(report) = report {
                self.hear(report);
            }
        }
    }

    fn hear(&mut self, report: Report) {
        match report {
            Report::Landed(id) => {
                self.under_way.take_if(|under_way| *under_way == id);
            }
            Report::Rewind(id) => {
                if self.under_way.take_if(|under_way| *under_way == id).is_some()
                    && self.holds(Fence::RewindKept)
                {
                    self.go_back();
                }
            }
            Report::Generation(current) => {
                if current != self.generation && self.holds(Fence::RewindIdle) {
                    self.go_back();
                }
            }
            Report::Failed(why) => self.fail(why),
        }
    }

    fn fail(&mut self, why: String) {
        self.failed = true;
        let me = self.log.thread.me;
        self.thread().with(|world| {
            world.tell_of(me, || format!("stops: {why}"));
            world.stopped.get_or_insert(why);
        });
        self.drop_all();
    }

    async fn obey(&mut self, event: GroupEvent) {
        match event {
            GroupEvent::Assign(partitions) => {
                self.thread().with(|world| world.fired(Transition::Assign));
                let partitions: BTreeSet<i32> = partitions.into_iter().collect();
                self.take_assignment(partitions).await;
            }
            GroupEvent::Revoke(partitions) => self.revoke(partitions, true).await,
            GroupEvent::Lost(partitions) => {
                let keep = !self.holds(Fence::DropOnLost);
                self.revoke(partitions, keep).await;
            }
        }
    }

    async fn take_assignment(&mut self, partitions: BTreeSet<i32>) {
        let replaced: BTreeSet<i32> = self.held.intersection(&partitions).copied().collect();
        self.taking(&partitions);
        if !replaced.is_empty() {
            // The thread that reads goes on beside the one that assigns.
            self.read_on().await;
        }
        self.rebalancing();
        for partition in &replaced {
            self.buffer.release(*partition);
        }
        self.held.extend(&partitions);
        // When it is due, all of it is assigned anew in a moment.
        if !self.failed && !self.due {
            self.start(partitions, &replaced).await;
        }
        self.taking(&BTreeSet::new());
    }

    fn taking(&self, partitions: &BTreeSet<i32>) {
        let me = self.log.thread.me;
        self.thread().with(|world| {
            if let Some(consumer) = world.kafka.consumers.get_mut(&me) {
                consumer.taking.clone_from(partitions);
            }
        });
    }

    /// Takes some of what the assignment so far brings.
    async fn read_on(&mut self) {
        let me = self.log.thread.me;
        while !self.failed
            && self
                .thread()
                .with(|world| world.kafka.has_news(me) && world.choices.chance(600))
        {
            self.poll().await;
        }
    }

    /// Before any change of the assignment. The client may fetch retained partitions from too far on.
    fn rebalancing(&mut self) {
        let me = self.log.thread.me;
        self.thread().with(|world| {
            if !world.profile.jumpy_fetch {
                return;
            }
            let World { kafka, choices, .. } = world;
            let ends: Vec<i64> = kafka
                .partitions()
                .map(|partition| kafka.life().end(partition))
                .collect();
            for (partition, fetch) in kafka
                .consumers
                .get_mut(&me)
                .iter_mut()
                .flat_map(|consumer| &mut consumer.fetch)
            {
                let end = ends[usize::try_from(*partition).expect("from 0")];
                if fetch.position < end && choices.chance(300) {
                    fetch.position += 1;
                }
            }
        });
        if self.holds(Fence::DoubtGaps) {
            self.buffer.doubt_gaps();
        }
    }

    async fn revoke(&mut self, partitions: Vec<i32>, keep: bool) {
        let me = self.log.thread.me;
        self.thread().with(|world| {
            world.fired(if keep {
                Transition::Revoke
            } else {
                Transition::Lost
            })
        });
        self.rebalancing();
        let deadline_passes = keep && self.thread().with(|world| world.strikes(400));
        if deadline_passes {
            self.give_back(&partitions);
        }
        if keep {
            self.settle().await;
        } else if self.drop_all() {
            self.due = true;
        }
        for partition in &partitions {
            self.buffer.release(*partition);
            self.held.remove(partition);
        }
        if keep && !deadline_passes {
            self.give_back(&partitions);
        } else if !keep {
            self.thread().with(|world| {
                for partition in &partitions {
                    world
                        .kafka
                        .consumers
                        .get_mut(&me)
                        .map(|consumer| consumer.fetch.remove(partition));
                }
            });
        }
    }

    fn give_back(&self, partitions: &[i32]) {
        let me = self.log.thread.me;
        self.thread().with(|world| {
            for partition in partitions {
                world
                    .kafka
                    .consumers
                    .get_mut(&me)
                    .map(|consumer| consumer.fetch.remove(partition));
                world.tell_of(me, || format!("gives p{partition} back"));
                world.kafka.give_back(me, *partition);
            }
        });
    }

    /// Takes the partitions out of the assignment and puts them in again at the checkpoint.
    async fn assign_anew(&mut self) {
        let me = self.log.thread.me;
        self.drop_all();
        self.due = false;
        self.thread().with(|world| {
            world.fired(Transition::Rewind);
            if let Some(consumer) = world.kafka.consumers.get_mut(&me) {
                consumer.fetch.clear();
            }
        });
        self.start(self.held.clone(), &BTreeSet::new()).await;
    }

    /// Until the client is handed the new starts it goes on fetching partitions that it has already.
    async fn start(&mut self, partitions: BTreeSet<i32>, replaced: &BTreeSet<i32>) {
        if partitions.is_empty() {
            return;
        }
        let me = self.log.thread.me;
        match positions(&mut self.log, &partitions).await {
            Ok((generation, points)) => {
                if self.buffer.is_assigned() && generation != self.generation && self.holds(Fence::RewindIdle)
                {
                    self.drop_all();
                    self.due = true;
                    return;
                }
                self.generation = generation;
                for (partition, position) in &points {
                    let doubtful = replaced.contains(partition) && self.holds(Fence::DoubtReplaced);
                    self.buffer.assign(*partition, *position, doubtful);
                }
                if !replaced.is_empty() {
                    self.thread().with(|world| {
                        let fetched = world.kafka.consumers.get(&me);
                        let ahead = points.iter().any(|(partition, position)| {
                            let fetch = fetched.and_then(|consumer| consumer.fetch.get(partition));
                            fetch.is_some_and(|fetch| fetch.position > *position)
                        });
                        if ahead {
                            world.met(Situation::AssignedOver);
                        }
                    });
                    self.read_on().await;
                }
                for (partition, position) in points {
                    self.thread().with(|world| {
                        world.tell_of(me, || {
                            format!("starts p{partition} at {position}, generation {generation}")
                        });
                        if let Some(consumer) = world.kafka.consumers.get_mut(&me) {
                            consumer.fetch.insert(partition, Fetch::at(position));
                        }
                    });
                }
            }
            Err(Trouble::NotNow) => self.due = true,
            Err(Trouble::Fatal(why)) => self.fail(why),
        }
    }

    fn go_back(&mut self) {
        if self.drop_all() {
            self.due = true;
        }
    }

    /// Whether any partition was assigned.
    fn drop_all(&mut self) -> bool {
        self.under_way = None;
        self.aged = false;
        !self.buffer.abandon().is_empty()
    }
}
