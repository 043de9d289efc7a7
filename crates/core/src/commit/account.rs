//! Accounts: what deleted commits said of offsets, kept so that each offset stays named and not only counted.
//!
//! An account is a pure function of a run of commits, so two writers that delete the same ones say the same of each.
//! It holds proposals, valid or void: who reads it judges them in their order, as the fold did.

use serde::{Deserialize, Serialize};

use super::codec::Format;
use super::ids::{Checksum, CommitNumber, GenerationOrdinal, Moment};
use super::record::{Append, Body, Commit, OpenGeneration, PartitionAppend};
use crate::names::TopicName;
use crate::position::{IntervalSet, Offset, PartitionId};

/// The appends and generations among the commits `first` to `last`; every other one of them was a replace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    format: Format,
    pub topic: TopicName,
    pub first: CommitNumber,
    pub last: CommitNumber,
    /// What commit `first` states as its predecessor's checksum.
    pub previous: Checksum,
    /// The checksum of commit `last`.
    pub commit_checksum: Checksum,
    /// The latest time that one of the commits states.
    pub latest: Moment,
    pub generations: Vec<AccountedGeneration>,
    pub appends: Vec<AccountedAppend>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountedGeneration {
    pub number: CommitNumber,
    pub opened: OpenGeneration,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountedAppend {
    pub number: CommitNumber,
    pub generation: GenerationOrdinal,
    pub taken: Vec<Taken>,
}

/// What an append took of one partition. Written as `[partition, from, next, accepted, rejected, named]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "TakenRow", from = "TakenRow")]
pub struct Taken {
    pub partition: PartitionId,
    pub from: Offset,
    pub next: Offset,
    pub accepted: u64,
    pub rejected: u64,
    pub named: Named,
}

/// The offsets that have no row, by what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    #[serde(default, skip_serializing_if = "IntervalSet::is_empty")]
    pub tombstones: IntervalSet,
    #[serde(default, skip_serializing_if = "IntervalSet::is_empty")]
    pub filtered: IntervalSet,
    #[serde(default, skip_serializing_if = "IntervalSet::is_empty")]
    pub absent: IntervalSet,
    #[serde(default, skip_serializing_if = "IntervalSet::is_empty")]
    pub lost: IntervalSet,
}

#[derive(Serialize, Deserialize)]
struct TakenRow(PartitionId, Offset, Offset, u64, u64, Named);

impl From<Taken> for TakenRow {
    fn from(taken: Taken) -> TakenRow {
        TakenRow(
            taken.partition,
            taken.from,
            taken.next,
            taken.accepted,
            taken.rejected,
            taken.named,
        )
    }
}

impl From<TakenRow> for Taken {
    fn from(row: TakenRow) -> Taken {
        let TakenRow(partition, from, next, accepted, rejected, named) = row;
        Taken {
            partition,
            from,
            next,
            accepted,
            rejected,
            named,
        }
    }
}

impl From<PartitionAppend> for Taken {
    fn from(taken: PartitionAppend) -> Taken {
        Taken {
            partition: taken.partition,
            from: taken.from,
            next: taken.next,
            accepted: taken.accepted,
            rejected: taken.rejected,
            named: Named {
                tombstones: taken.tombstones,
                filtered: taken.filtered,
                absent: taken.absent,
                lost: taken.lost,
            },
        }
    }
}

impl AccountedAppend {
    #[must_use]
    pub fn of(number: CommitNumber, append: Append) -> AccountedAppend {
        AccountedAppend {
            number,
            generation: append.generation,
            taken: append.partitions.into_iter().map(Taken::from).collect(),
        }
    }
}

impl Account {
    /// The account of a first commit, to be continued.
    #[must_use]
    pub fn opened_by(commit: Commit, checksum: Checksum) -> Account {
        let mut account = Account {
            format: Format,
            topic: commit.topic.clone(),
            first: commit.number,
            last: commit.number,
            previous: commit.previous,
            commit_checksum: checksum,
            latest: commit.time,
            generations: Vec::new(),
            appends: Vec::new(),
        };
        account.note(commit.number, commit.body);
        account
    }

    /// Takes the next commit in; hands it back when it does not follow the last one.
    ///
    /// # Errors
    /// The commit, which belongs into another account.
    pub fn continue_with(&mut self, commit: Commit, checksum: Checksum) -> Result<(), Box<Commit>> {
        let follows = commit.number == self.last.following() && commit.previous == self.commit_checksum;
        if !follows || commit.topic != self.topic {
            return Err(Box::new(commit));
        }
        self.last = commit.number;
        self.commit_checksum = checksum;
        self.latest = self.latest.max(commit.time);
        self.note(commit.number, commit.body);
        Ok(())
    }

    fn note(&mut self, number: CommitNumber, body: Body) {
        match body {
            Body::Append(append) => self.appends.push(AccountedAppend::of(number, append)),
            Body::Generation(opened) => self.generations.push(AccountedGeneration { number, opened }),
            Body::Replace(_) => {}
        }
    }

    /// How many commits it accounts for.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.last.0 - self.first.0 + 1
    }

    /// What is wrong with it where its bytes are whole: entries outside of its range, out of order or twice.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        let within = |number: CommitNumber| self.first <= number && number <= self.last;
        let numbers: Vec<_> = self.appends.iter().map(|append| append.number).collect();
        let opened: Vec<_> = self.generations.iter().map(|opened| opened.number).collect();
        let ascends = |numbers: &[CommitNumber]| numbers.windows(2).all(|pair| pair[0] < pair[1]);
        if self.first.0 == 0 || self.last < self.first {
            return Some("it accounts for no commit");
        }
        if !numbers.iter().chain(&opened).all(|number| within(*number)) {
            return Some("it speaks of commits outside of its range");
        }
        if !ascends(&numbers) || !ascends(&opened) || opened.iter().any(|number| numbers.contains(number)) {
            return Some("it speaks of a commit twice, or out of order");
        }
        None
    }
}
