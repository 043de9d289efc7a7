//! The world that writers live in: a store, a Kafka, the truth about both, and everything that may go wrong.

pub mod kafka;
pub mod oracle;
pub mod profile;
pub mod store;

use std::collections::BTreeSet;

use eventlake_core::commit::{AttemptId, Body, Commit, FileKey, Folder, Moment, StageId};
use eventlake_core::config::PartitionBy;
use eventlake_core::names::{TableName, TimePartition, TopicName};

use crate::choice::Choices;
use crate::coverage::{Coverage, Situation, Transition};
use crate::fence::Fence;
use kafka::Kafka;
use oracle::Oracle;
use profile::Profile;
use store::{Content, Created, Name, Slot, Store};

pub type ProcessId = usize;

/// A put that its writer gave up and that may still land.
#[derive(Debug)]
pub struct DelayedPut {
    pub number: u64,
    pub content: Content,
}

/// One life of an ingester.
#[derive(Debug)]
pub struct Process {
    pub name: String,
    pub is_alive: bool,
    /// Commits of its own that it knows to be true and has not published yet.
    pub unpublished: BTreeSet<u64>,
    /// The number it has created a commit under and not yet looked after.
    pub created: Option<u64>,
    /// Files that it is writing again.
    pub rewriting: BTreeSet<FileKey>,
}

/// Everything but the writers.
#[derive(Debug)]
pub struct World {
    pub choices: Choices,
    pub removed: Option<Fence>,
    pub profile: Profile,
    pub store: Store,
    pub kafka: Kafka,
    pub oracle: Oracle,
    pub coverage: Coverage,
    pub processes: Vec<Process>,
    pub delayed: Vec<DelayedPut>,
    /// Files that somebody else removed: that they are gone is nobody's fault.
    pub robbed: BTreeSet<FileKey>,
    /// Waits that are timed are over when this moves on.
    pub ticks: u64,
    pub steps: u64,
    pub last_fired: Option<Transition>,
    pub violation: Option<String>,
    /// A writer found that a person must act.
    pub stopped: Option<String>,
    pub topic: TopicName,
    pub table: TableName,
    ids: u128,
    story: Option<Vec<String>>,
}

impl World {
    #[must_use]
    pub fn new(mut choices: Choices, removed: Option<Fence>, is_told: bool) -> World {
        let profile = Profile::drawn(&mut choices);
        let topic = TopicName::new("clicks").expect("a topic");
        World {
            choices,
            removed,
            store: Store::new(),
            kafka: Kafka::new(profile.partitions),
            oracle: Oracle::new(topic.clone()),
            coverage: Coverage::default(),
            processes: Vec::new(),
            delayed: Vec::new(),
            robbed: BTreeSet::new(),
            ticks: 0,
            steps: 0,
            last_fired: None,
            violation: None,
            stopped: None,
            topic,
            table: TableName::new("clicks").expect("a table"),
            ids: 0,
            story: is_told.then(Vec::new),
            profile,
        }
    }

    /// Whether a rule holds in this run.
    #[must_use]
    pub fn holds(&self, fence: Fence) -> bool {
        self.removed != Some(fence)
    }

    pub fn fired(&mut self, transition: Transition) {
        self.last_fired = Some(transition);
        self.coverage.fired(transition);
    }

    pub fn met(&mut self, situation: Situation) {
        self.coverage.met(situation);
    }

    pub fn violate(&mut self, what: impl FnOnce() -> String) {
        if self.violation.is_none() {
            let what = what();
            self.tell(|| format!("BROKEN: {what}"));
            self.violation = Some(what);
        }
    }

    /// Notes a step for people, when somebody wants to read it.
    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            story.push(line());
        }
    }

    pub fn tell_of(&mut self, process: ProcessId, line: impl FnOnce() -> String) {
        if self.story.is_some() {
            let name = self.processes[process].name.clone();
            self.tell(|| format!("{name} {}", line()));
        }
    }

    pub fn take_story(&mut self) -> Vec<String> {
        self.story.take().unwrap_or_default()
    }

    fn next_id(&mut self) -> u128 {
        self.ids += 1;
        self.ids
    }

    pub fn next_attempt(&mut self) -> AttemptId {
        AttemptId::from_u128(self.next_id())
    }

    pub fn next_stage(&mut self) -> StageId {
        StageId::from_u128(self.next_id())
    }

    #[must_use]
    pub fn now(&self) -> Moment {
        Moment::from_unix_micros(1_795_222_800_000_000 + i64::try_from(self.steps).expect("few steps"))
    }

    /// Whether a fault of this rate strikes now.
    pub fn strikes(&mut self, per_mille: u32) -> bool {
        self.choices.chance(per_mille)
    }

    /// A commit's file appears in the log.
    pub fn create_commit(&mut self, by: Option<ProcessId>, number: u64, content: Content) -> Created {
        let Content::Commit(commit, checksum) = content.clone() else {
            unreachable!("a commit")
        };
        let overwrites = !self.holds(Fence::ExclusiveCreate);
        let created = self
            .store
            .create(&Slot::Log, Name::Number(number), content, overwrites);
        if created == Created::Created {
            if self.oracle.was_freed(number) {
                self.met(Situation::NumberCreatedAgain);
            }
            let text = in_short(&commit);
            match by {
                Some(process) => self.tell_of(process, || format!("creates commit {number}: {text}")),
                None => self.tell(|| format!("the delayed put lands: commit {number}, {text}")),
            }
            oracle::on_created(self, number, &commit, checksum);
        }
        created
    }

    /// A put that its writer gave up long ago lands, or finds its number taken.
    pub fn land_delayed_put(&mut self, index: usize) {
        let DelayedPut { number, content } = self.delayed.swap_remove(index);
        self.fired(Transition::PutLands);
        if self.create_commit(None, number, content) == Created::Created {
            self.store.sync_folder(&Slot::Log);
            self.met(Situation::LatePut);
        }
    }

    pub fn cut_power(&mut self) {
        self.delayed.clear();
        let World { store, choices, .. } = self;
        store.cut_power(choices);
        oracle::on_power_cut(self);
    }
}

/// The folder of an hour.
#[must_use]
pub fn hour(hour: u8) -> TimePartition {
    TimePartition::of(i64::from(hour) * 3_600_000_000, PartitionBy::Hour).expect("an hour of 1970")
}

#[must_use]
pub fn file_name(key: &FileKey) -> Name {
    Name::File(key.path.file_name().into())
}

#[must_use]
pub fn staged_slot(key: &FileKey) -> Slot {
    Slot::Stage(key.set, key.path.stage())
}

#[must_use]
pub fn table_slot(key: &FileKey) -> Slot {
    Slot::Table(Folder::of(key))
}

/// A file's name for people: its stage and its sequence.
#[must_use]
pub fn short(name: &str) -> String {
    let stage = name.get(..36).and_then(|text| text.parse::<StageId>().ok());
    let sequence = name.get(37..41).and_then(|text| text.parse::<u32>().ok());
    match (stage, sequence) {
        (Some(stage), Some(sequence)) => format!("f{}.{sequence}", stage.as_u128()),
        _ => name.to_owned(),
    }
}

#[must_use]
pub fn short_key(key: &FileKey) -> String {
    short(key.path.file_name())
}

fn in_short(commit: &Commit) -> String {
    body_in_short(&commit.body)
}

#[must_use]
pub fn body_in_short(body: &Body) -> String {
    let files = |keys: Vec<String>| {
        if keys.is_empty() {
            "nothing".to_owned()
        } else {
            keys.join(" ")
        }
    };
    match body {
        Body::Append(append) => {
            let ranges: Vec<String> = append
                .partitions
                .iter()
                .map(|taken| format!("p{} [{},{})", taken.partition, taken.from, taken.next))
                .collect();
            let added = files(append.files.iter().map(|file| short_key(&file.key())).collect());
            format!("append g{} {} with {added}", append.generation, ranges.join(" "))
        }
        Body::Replace(replace) => format!(
            "{} of {} by {}",
            replace.reason,
            files(replace.removed.iter().map(short_key).collect()),
            files(replace.files.iter().map(|file| short_key(&file.key())).collect())
        ),
        Body::Generation(opened) => {
            let starts: Vec<String> = opened
                .starts
                .iter()
                .map(|start| format!("p{} at {}", start.partition, start.from))
                .collect();
            format!(
                "generation {} of {} {}",
                opened.ordinal,
                opened.topic_id,
                starts.join(" ")
            )
        }
    }
}
