//! One schedule: who makes the next call, what happens around the writers, and whether it ends as promised.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::choice::Choices;
use crate::coverage::{Coverage, Situation, Transition};
use crate::fence::Fence;
use crate::task::{Task, Thread};
use crate::world::kafka::Entry;
use crate::world::store::{Name, Slot};
use crate::world::{Process, ProcessId, World, file_name, oracle, short_key, table_slot};
use crate::writer::commit::{Committer, Link};
use crate::writer::consume::Consumer;
use crate::writer::log::Log;
use crate::writer::maintain;

/// Ticks without faults in which everything must land.
const TICKS_MAX: u64 = 40;
/// Steps in which all threads must come to rest.
const STEPS_A_TICK_MAX: u64 = 20_000;

/// How a schedule ended.
pub struct Ended {
    /// Which promise was broken.
    pub violation: Option<String>,
    pub decisions: Vec<u32>,
    pub coverage: Coverage,
    pub steps: u64,
    /// What happened, when it was to be told.
    pub story: Vec<String>,
}

struct Schedule {
    world: Rc<RefCell<World>>,
    tasks: Vec<Task>,
    current: usize,
    /// By writer, how often it was started.
    lives: Vec<u32>,
    /// By writer, the process it is now.
    running: Vec<Option<ProcessId>>,
}

/// Runs one schedule to its end.
#[must_use]
pub fn run(choices: Choices, removed: Option<Fence>, is_told: bool) -> Ended {
    let world = Rc::new(RefCell::new(World::new(choices, removed, is_told)));
    let writers = world.borrow().profile.writers;
    let mut schedule = Schedule {
        world: Rc::clone(&world),
        tasks: Vec::new(),
        current: 0,
        lives: vec![0; writers],
        running: vec![None; writers],
    };
    (0..writers).for_each(|writer| schedule.start(writer));
    schedule.share_out();
    schedule.trouble();
    if world.borrow().violation.is_none() {
        schedule.calm();
    }
    drop(schedule);
    let mut world = world.borrow_mut();
    Ended {
        violation: world.violation.clone(),
        decisions: world.choices.made().to_vec(),
        coverage: world.coverage.clone(),
        steps: world.steps,
        story: world.take_story(),
    }
}

impl Schedule {
    fn start(&mut self, writer: usize) {
        let me = {
            let mut world = self.world.borrow_mut();
            let letter = char::from(b'A' + u8::try_from(writer).expect("few writers"));
            let life = self.lives[writer];
            let name = if life == 0 {
                letter.to_string()
            } else {
                format!("{letter}{}", life + 1)
            };
            let me = world.processes.len();
            world.processes.push(Process {
                name,
                is_alive: true,
                unpublished: BTreeSet::new(),
                created: None,
                rewriting: BTreeSet::new(),
            });
            world.kafka.join(me);
            world.fired(Transition::Restart);
            world.tell_of(me, || "starts".to_owned());
            me
        };
        self.lives[writer] += 1;
        self.running[writer] = Some(me);
        let link = Rc::new(RefCell::new(Link::default()));
        let thread = || Thread::new(Rc::clone(&self.world), me);
        let (consume, commit) = (thread(), thread());
        let consumer = Consumer::new(Log::new(&consume), Rc::clone(&link));
        let committer = Committer {
            log: Log::new(&commit),
            link,
        };
        self.tasks.push(Task::new("consume", &consume, consumer.run()));
        self.tasks.push(Task::new("commit", &commit, committer.run()));
        if writer == 0 || self.world.borrow().profile.all_maintain {
            let maintain = thread();
            self.tasks.push(Task::new(
                "maintain",
                &maintain,
                maintain::run(Log::new(&maintain)),
            ));
        }
    }

    /// Gives partitions that nobody has to members that live.
    fn share_out(&mut self) {
        let mut world = self.world.borrow_mut();
        let members: Vec<ProcessId> = self.running.iter().flatten().copied().collect();
        let partitions: Vec<i32> = world.kafka.partitions().collect();
        for partition in partitions {
            if !world.kafka.owners.contains_key(&partition) && !members.is_empty() {
                let member = members[usize::try_from(partition).expect("from 0") % members.len()];
                world.kafka.move_partition(partition, member);
            }
        }
    }

    /// Steps among faults.
    fn trouble(&mut self) {
        let limit = self.world.borrow().profile.steps;
        for _ in 0..limit {
            let events = {
                let mut world = self.world.borrow_mut();
                let rate = world.profile.events;
                world.strikes(rate)
            };
            if events {
                self.something_happens();
            }
            self.one_step();
            if self.world.borrow().violation.is_some() {
                return;
            }
        }
    }

    fn one_step(&mut self) {
        let ready: Vec<usize> = {
            let world = self.world.borrow();
            let count = self.tasks.len().max(1);
            let order = (0..self.tasks.len()).map(|index| (self.current + index) % count);
            let is_ready = |index: &usize| {
                let task = &self.tasks[*index];
                task.stalled_until <= world.steps && task.is_ready(&world)
            };
            order.filter(is_ready).collect()
        };
        let mut world = self.world.borrow_mut();
        world.steps += 1;
        let Some(first) = ready.first().copied() else {
            world.ticks += 1;
            return;
        };
        let rate = world.profile.switches;
        let goes_on = first == self.current && !world.strikes(rate);
        self.current = if goes_on {
            first
        } else {
            ready[world.choices.pick(ready.len())]
        };
        world.last_fired = None;
        drop(world);
        self.tasks[self.current].go_on();
        self.strike_at_focus();
    }

    /// Each schedule looks closely at one transition: who has just done it may stand still there for long, or die.
    fn strike_at_focus(&mut self) {
        let mut world = self.world.borrow_mut();
        let Some(focus) = world
            .profile
            .focus
            .filter(|focus| world.last_fired == Some(*focus))
        else {
            return;
        };
        if !world.strikes(250) {
            return;
        }
        let process = self.tasks[self.current].process;
        let crashes = world.profile.crashes && world.strikes(500);
        if crashes {
            world.fired(Transition::Crash);
            drop(world);
            if let Some(writer) = self.running.iter().position(|running| *running == Some(process)) {
                self.crash(writer);
            }
            return;
        }
        world.fired(Transition::Stall);
        let name = self.tasks[self.current].name;
        world.tell_of(process, || {
            format!("'s {name} thread stands still, having come to: {}", focus.text())
        });
        self.tasks[self.current].stalled_until = world.steps + 200;
    }

    fn something_happens(&mut self) {
        let kinds = self.kinds();
        let (kind, steps) = {
            let mut world = self.world.borrow_mut();
            let pick = world.choices.pick(kinds.len());
            (kinds[pick], world.steps)
        };
        let mut world = self.world.borrow_mut();
        match kind {
            Transition::Produce => produce(&mut world),
            Transition::Look => world.ticks += 1,
            Transition::PutLands => {
                let count = world.delayed.len();
                let index = world.choices.pick(count);
                world.land_delayed_put(index);
            }
            Transition::Recreate => recreate(&mut world),
            Transition::KafkaRetention => delete_old_records(&mut world),
            Transition::FileLost => rob(&mut world),
            Transition::Rebalance | Transition::Expire => {
                drop(world);
                self.group_event(kind);
            }
            Transition::Stall => {
                let tasks = self.tasks.len();
                let task = world.choices.pick(tasks);
                let longest = [30, 100, 300][world.choices.pick(3)];
                world.fired(Transition::Stall);
                let (process, name) = (self.tasks[task].process, self.tasks[task].name);
                world.tell_of(process, || format!("'s {name} thread stands still"));
                self.tasks[task].stalled_until = steps + longest;
            }
            Transition::Crash => {
                let alive: Vec<usize> = (0..self.running.len())
                    .filter(|writer| self.running[*writer].is_some())
                    .collect();
                let writer = alive[world.choices.pick(alive.len())];
                world.fired(Transition::Crash);
                drop(world);
                self.crash(writer);
            }
            Transition::Restart => {
                let dead: Vec<usize> = (0..self.running.len())
                    .filter(|writer| self.running[*writer].is_none())
                    .collect();
                let writer = dead[world.choices.pick(dead.len())];
                drop(world);
                self.start(writer);
                self.share_out();
            }
            Transition::PowerCut => {
                world.fired(Transition::PowerCut);
                world.tell(|| "the power is cut".to_owned());
                drop(world);
                (0..self.running.len()).for_each(|writer| self.crash(writer));
                self.world.borrow_mut().cut_power();
            }
            _ => unreachable!("not an event"),
        }
    }

    /// The group moves a partition, or gives a member up.
    fn group_event(&mut self, kind: Transition) {
        let members: Vec<ProcessId> = self.running.iter().flatten().copied().collect();
        let mut world = self.world.borrow_mut();
        if kind == Transition::Expire {
            let member = members[world.choices.pick(members.len())];
            if world.kafka.assign_again(member) {
                world.fired(Transition::AssignAgain);
                world.tell_of(member, || {
                    "is assigned again what it has not answered for".to_owned()
                });
                return;
            }
            world.fired(Transition::Expire);
            world.tell_of(member, || "is given up by the group".to_owned());
            world.kafka.expire(member);
            drop(world);
            self.share_out_to_others(member);
            return;
        }
        let count = usize::try_from(world.profile.partitions).expect("few");
        let partition = i32::try_from(world.choices.pick(count)).expect("few");
        let member = members[world.choices.pick(members.len())];
        let owner = world.kafka.owners.get(&partition).copied();
        if world.kafka.move_partition(partition, member) {
            world.fired(Transition::Rebalance);
            world.tell(|| format!("the group moves p{partition}"));
            let rate = world.profile.stalls * 30;
            let commits = |task: &&mut Task| Some(task.process) == owner && task.name == "commit";
            if world.strikes(rate)
                && let Some(task) = self.tasks.iter_mut().find(commits)
            {
                world.fired(Transition::Stall);
                world.tell_of(task.process, || "'s commit thread stands still".to_owned());
                task.stalled_until = world.steps + 300;
            }
        }
    }

    /// What may happen now. A look stands for the passing of time, that makes threads look.
    fn kinds(&self) -> Vec<Transition> {
        let world = self.world.borrow();
        let (profile, alive) = (&world.profile, self.running.iter().flatten().count());
        let mut kinds = vec![
            Transition::Produce,
            Transition::Produce,
            Transition::Look,
            Transition::Look,
        ];
        let mut add = |may: bool, kind| {
            if may {
                kinds.push(kind);
            }
        };
        add(!world.delayed.is_empty(), Transition::PutLands);
        add(profile.recreations, Transition::Recreate);
        add(profile.kafka_retention, Transition::KafkaRetention);
        add(profile.robberies, Transition::FileLost);
        add(profile.rebalances && alive > 0, Transition::Rebalance);
        add(profile.expiries && alive > 1, Transition::Expire);
        add(profile.stalls > 0 && alive > 0, Transition::Stall);
        add(profile.crashes && alive > 0, Transition::Crash);
        add(profile.power_cuts, Transition::PowerCut);
        add(alive < self.running.len(), Transition::Restart);
        kinds
    }

    fn share_out_to_others(&mut self, gone: ProcessId) {
        let mut world = self.world.borrow_mut();
        let members: Vec<ProcessId> = self
            .running
            .iter()
            .flatten()
            .copied()
            .filter(|member| *member != gone)
            .collect();
        let partitions: Vec<i32> = world.kafka.partitions().collect();
        for partition in partitions {
            if !world.kafka.owners.contains_key(&partition) && !members.is_empty() {
                let member = members[world.choices.pick(members.len())];
                world.kafka.move_partition(partition, member);
            }
        }
    }

    /// The process is gone where it stood. Its partitions go to others once the group has noticed.
    fn crash(&mut self, writer: usize) {
        let Some(process) = self.running[writer].take() else {
            return;
        };
        self.tasks.retain(|task| task.process != process);
        self.current = 0;
        {
            let mut world = self.world.borrow_mut();
            world.processes[process].is_alive = false;
            world.tell_of(process, || "dies".to_owned());
            let others = self.running.iter().flatten().count();
            let is_hidden = |key: &eventlake_core::commit::FileKey| {
                world.store.inode(&table_slot(key), &file_name(key)).is_none()
            };
            let left = !world.processes[process].unpublished.is_empty()
                && world.oracle.fold.files().keys().any(is_hidden);
            if left && others > 0 {
                world.met(Situation::DiedBeforePublish);
            }
            world.kafka.leave(process);
        }
        self.share_out();
    }

    /// No more faults: everything there is must land, and be seen.
    fn calm(&mut self) {
        {
            let mut world = self.world.borrow_mut();
            world.choices.calm_down();
            world.tell(|| "from here on nothing fails".to_owned());
            while !world.delayed.is_empty() {
                world.land_delayed_put(0);
            }
        }
        self.tasks.iter_mut().for_each(|task| task.stalled_until = 0);
        for writer in 0..self.running.len() {
            if self.running[writer].is_none() {
                self.start(writer);
            }
        }
        let mut why = None;
        for _ in 0..TICKS_MAX {
            self.world.borrow_mut().ticks += 1;
            self.share_out();
            if !self.come_to_rest() {
                break;
            }
            why = oracle::unsettled(&self.world.borrow());
            if why.is_none() {
                return;
            }
        }
        let mut world = self.world.borrow_mut();
        if world.stopped.is_none() && world.violation.is_none() {
            world.violate(|| {
                format!(
                    "it never ends: {}",
                    why.unwrap_or_else(|| "some thread goes round".to_owned())
                )
            });
        }
    }

    /// Everybody goes on in turn until all wait. False when that does not come, or something broke.
    fn come_to_rest(&mut self) -> bool {
        for _ in 0..STEPS_A_TICK_MAX {
            let count = self.tasks.len();
            let next = {
                let mut world = self.world.borrow_mut();
                if world.violation.is_some() {
                    return false;
                }
                world.steps += 1;
                let order = (1..=count).map(|index| (self.current + index) % count);
                let mut order = order.filter(|index| self.tasks[*index].is_ready(&world));
                order.next()
            };
            let Some(next) = next else { return true };
            self.current = next;
            self.tasks[next].go_on();
        }
        false
    }
}

fn produce(world: &mut World) {
    let count = usize::try_from(world.profile.partitions).expect("few");
    let partition = i32::try_from(world.choices.pick(count)).expect("few");
    let records = 1 + world.choices.pick(3);
    for _ in 0..records {
        let kinds = if world.profile.control_records { 7 } else { 5 };
        let entry = match world.choices.pick(kinds) {
            0 | 1 => Entry::Event { hour: 0 },
            2 => Entry::Event { hour: 1 },
            3 => Entry::Refused,
            4 => Entry::Tombstone,
            _ => Entry::Control,
        };
        world.fired(Transition::Produce);
        world.kafka.produce(partition, entry);
    }
    world.tell(|| format!("{records} records come into p{partition}"));
}

/// The new topic often has more records than the old one had.
fn recreate(world: &mut World) {
    world.fired(Transition::Recreate);
    let ends: Vec<i64> = world
        .kafka
        .partitions()
        .map(|partition| world.kafka.life().end(partition))
        .collect();
    world.kafka.recreate();
    let more = world.choices.pick(2) == 0;
    for (partition, end) in (0..).zip(ends) {
        let records = if more { end + 1 } else { 0 };
        for _ in 0..records {
            world.kafka.produce(partition, Entry::Event { hour: 0 });
        }
    }
    let life = world.kafka.current();
    world.tell(|| {
        format!(
            "the topic is created again, as life {life}, with {} records",
            if more { "more" } else { "no" }
        )
    });
}

fn delete_old_records(world: &mut World) {
    world.fired(Transition::KafkaRetention);
    let count = usize::try_from(world.profile.partitions).expect("few");
    let partition = i32::try_from(world.choices.pick(count)).expect("few");
    let low = world.kafka.life().end(partition) - i64::try_from(world.choices.pick(2)).expect("few");
    world.kafka.delete_before(partition, low.max(0));
    world.tell(|| format!("Kafka deletes p{partition} before {low}"));
}

/// Somebody deletes a live file from the table.
fn rob(world: &mut World) {
    let found: Vec<_> = {
        let is_there = |key: &&eventlake_core::commit::FileKey| {
            world.store.inode(&table_slot(key), &file_name(key)).is_some()
                && world
                    .store
                    .inode(&crate::world::staged_slot(key), &file_name(key))
                    .is_none()
        };
        world
            .oracle
            .fold
            .files()
            .keys()
            .filter(is_there)
            .cloned()
            .collect()
    };
    if found.is_empty() {
        return;
    }
    let key = found[world.choices.pick(found.len())].clone();
    world.fired(Transition::FileLost);
    world.tell(|| format!("somebody deletes {} from the table", short_key(&key)));
    world.robbed.insert(key.clone());
    let (slot, name): (Slot, Name) = (table_slot(&key), file_name(&key));
    world.store.remove(&slot, &name);
    // Were it undone by a power cut, the file would be back beside the one written in its place.
    world.store.sync_folder(&slot);
}
