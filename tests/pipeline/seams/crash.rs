//! One death of the program, and its verdict: what a reader sees at once, and what there is after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use eventlake_core::commit::{FileSet, Fold};
use eventlake_core::names::TopicName;
use eventlake_core::position::PartitionId;
use eventlake_engine::lake::read_fold;

use super::scenarios::{Scenario, TABLE, TOPIC, Way};
use crate::events::assert_rows_are;
use crate::lake::{Row, by_position, files, rows};
use crate::producer::Sent;
use crate::workspace::Workspace;

/// Where the program is to die, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    /// By index.
    pub scenario: usize,
    pub place: String,
    /// At which of the times that the place is reached.
    pub nth: u64,
    /// What was not synced is lost.
    pub power_cut: bool,
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = if self.power_cut { "power cut" } else { "killed" };
        write!(f, "{how} at {}#{}", self.place, self.nth)
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub enum Died {
    /// It died there, and the next run made the lake exact.
    Exactly {
        cleaned: u64,
    },
    NotReached,
}

impl Crash {
    pub fn run(&self, scenario: &Scenario) -> Died {
        let mut space = scenario.space.copy();
        let kept = space.path("kept");
        fs::create_dir(&kept).expect("a folder can be made");
        let mut orders = format!("{}#{}=abort;{}", self.place, self.nth, scenario.faults);
        if self.power_cut {
            orders.push_str(&format!(";drop-unsynced={}", kept.display()));
        }
        let ended = scenario.run(&space, &orders);
        if ended.code == Some(0) {
            return Died::NotReached;
        }
        assert_eq!(ended.code, None, "it did not die by a signal:\n{}", ended.stderr);
        assert!(
            !ended.stderr.contains("could not take back"),
            "the power cut did not work:\n{}",
            ended.stderr
        );
        assert_readers_see_only_what_is_committed(&space);

        let before = Leftovers::of(&space);
        let seen_before = visible_names(&space);
        space.group.push_str("-again");
        let mut said = scenario.recover(&space);
        // Exchanged folders go when they are met for the second time.
        for _ in 0..2 {
            if Leftovers::of(&space).has_exchanged() {
                said.push_str(&scenario.recover(&space));
            }
        }
        assert!(
            scenario.rewrites || !said.contains("written again from Kafka"),
            "a committed file was lost:\n{said}"
        );
        scenario.assert_exact(&space);
        let left = Leftovers::of(&space);
        assert!(left.is_empty(), "left behind: {left:?}\n{said}");
        let cleaned = cleaned_files(&said);
        let expected = before.to_be_cleaned(&seen_before, &visible_names(&space));
        match scenario.way {
            // A replay tidies temporary files away without a word.
            Way::Replay => {}
            // Two threads may write the same file again, and the slower one's is cleaned as well.
            _ if scenario.rewrites => assert!(cleaned >= expected, "{cleaned} of {before:?}:\n{said}"),
            _ => assert_eq!(cleaned, expected, "files cleaned, of {before:?}:\n{said}"),
        }
        Died::Exactly { cleaned }
    }
}

/// The sum of the lines that say how many files were cleaned.
fn cleaned_files(said: &str) -> u64 {
    let counts = said.lines().filter_map(|line| {
        let (_, rest) = line.split_once("cleaned ")?;
        let (count, _) = rest.split_once(" leftover files")?;
        count.parse::<u64>().ok()
    });
    counts.sum()
}

/// The fold of the log, by the engine's reader.
pub fn fold_of(space: &Workspace) -> Option<Fold> {
    let topic = TopicName::new(TOPIC).expect("a name");
    read_fold(&space.path("checkpoints"), &topic).expect("the log can be folded")
}

/// At no instant does a reader's glob show a row that is not committed, or a row twice.
fn assert_readers_see_only_what_is_committed(space: &Workspace) {
    let fold = fold_of(space);
    for table in [space.table(TABLE), space.rejected(TABLE)] {
        let mut positions = BTreeSet::new();
        for row in rows(&table) {
            let (partition, offset) = row.position();
            let position = (row.topic_id(), partition, offset);
            let generations = fold.as_ref().expect("rows without a log").generations();
            let generation = generations
                .iter()
                .rev()
                .find(|generation| generation.topic_id.as_str() == row.topic_id())
                .expect("rows of an unknown topic");
            let next = generation.next(PartitionId(partition)).0;
            assert!(offset < next, "visible and not committed: {position:?}");
            assert!(positions.insert(position.clone()), "visible twice: {position:?}");
        }
    }
}

/// Asserts that the lake holds these records and no others, and the files that the log says are live.
pub fn assert_holds(space: &Workspace, generations: &[Vec<Sent>], gone: &BTreeSet<(i32, i64)>) {
    let fold = fold_of(space).expect("a log");
    let accepted = by_generation(rows(&space.table(TABLE)));
    let rejected = by_generation(rows(&space.rejected(TABLE)));
    assert_eq!(fold.generations().len(), generations.len(), "generations");
    for (generation, sent) in fold.generations().iter().zip(generations) {
        let id = generation.topic_id.as_str();
        let of = |rows: &BTreeMap<String, Vec<Row>>| by_position(rows.get(id).cloned().unwrap_or_default());
        let sent: Vec<Sent> = sent
            .iter()
            .filter(|sent| !gone.contains(&(sent.record.partition, sent.offset)))
            .cloned()
            .collect();
        assert_rows_are(&sent, of(&accepted), of(&rejected));
    }
    // What retention removed is not there to be checked; anything else would be refuted.
    let verdict = if gone.is_empty() { 0 } else { 2 };
    space.run(&["verify"]).expect_code(verdict);
    let live: BTreeSet<PathBuf> = fold
        .files()
        .keys()
        .map(|key| root(space, key.set).join(key.path.as_str()))
        .collect();
    let found: BTreeSet<PathBuf> = [FileSet::Accepted, FileSet::Rejected]
        .into_iter()
        .flat_map(|set| files(&root(space, set).join(TABLE)))
        .collect();
    assert_eq!(found, live, "the files of the table are not the log's");
}

fn by_generation(rows: Vec<Row>) -> BTreeMap<String, Vec<Row>> {
    let mut by_id: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for row in rows {
        by_id.entry(row.topic_id()).or_default().push(row);
    }
    by_id
}

pub fn root(space: &Workspace, set: FileSet) -> PathBuf {
    match set {
        FileSet::Accepted => space.path("data/parquet"),
        FileSet::Rejected => space.path("data/rejected"),
    }
}

fn visible_names(space: &Workspace) -> BTreeSet<String> {
    [FileSet::Accepted, FileSet::Rejected]
        .into_iter()
        .flat_map(|set| files(&root(space, set).join(TABLE)))
        .map(|path| name_of(&path))
        .collect()
}

fn name_of(path: &Path) -> String {
    path.file_name().expect("named").to_string_lossy().into_owned()
}

/// What lies in the folders of work under way.
#[derive(Debug, Default)]
pub struct Leftovers(Vec<PathBuf>);

impl Leftovers {
    pub fn of(space: &Workspace) -> Leftovers {
        let log = space.path("checkpoints").join(TOPIC);
        let mut left = Vec::new();
        for set in [FileSet::Accepted, FileSet::Rejected] {
            entries_below(&root(space, set).join("_staging").join(TABLE), &mut left);
        }
        entries_below(&log.join("staging"), &mut left);
        entries_below(&log.join("exchange"), &mut left);
        left.retain(|path| name_of(path) != "owner.json");
        Leftovers(left)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn has_exchanged(&self) -> bool {
        self.0
            .iter()
            .any(|path| path.components().any(|part| part.as_os_str() == "exchange"))
    }

    /// How many of the files must be cleaned, and were not published instead.
    fn to_be_cleaned(&self, seen_before: &BTreeSet<String>, seen_after: &BTreeSet<String>) -> u64 {
        let is_cleaned = |path: &&PathBuf| {
            let name = name_of(path);
            match name.strip_suffix(".staged") {
                Some(published) => !seen_after.contains(published) || seen_before.contains(published),
                None => name.ends_with(".tmp"),
            }
        };
        self.0.iter().filter(is_cleaned).count() as u64
    }
}

fn entries_below(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() {
            entries_below(&path, found);
        }
        found.push(path);
    }
}
