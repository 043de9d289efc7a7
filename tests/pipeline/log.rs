//! An independent reader of the commit log, written from its description and not with the engine's code.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use crate::lake::files;
use crate::workspace::Workspace;

/// What the valid commits of a log add up to.
#[derive(Debug, Default)]
pub struct Folded {
    /// The current generation's checkpoint.
    pub next: BTreeMap<i64, i64>,
    pub generations: Vec<Value>,
    pub accepted: u64,
    pub rejected: u64,
    pub tombstones: u64,
    pub absent: u64,
    pub lost: u64,
    /// Live files: `data/parquet/...` or `data/rejected/...`.
    pub live: BTreeSet<String>,
    pub void: usize,
}

/// Folds a topic's log from its first commit; none of these cases truncates one.
#[track_caller]
pub fn fold(space: &Workspace, topic: &str) -> Folded {
    let mut folded = Folded::default();
    for (index, path) in space.commits(topic).iter().enumerate() {
        let text = fs::read_to_string(path).expect("a commit can be read");
        let commit: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let number = commit["number"].as_u64().expect("a commit has a number");
        assert_eq!(
            path.file_name().expect("named").to_string_lossy(),
            format!("{number:020}.json")
        );
        let first = space.commits(topic)[0]
            .file_stem()
            .expect("named")
            .to_string_lossy()
            .parse::<u64>();
        assert_eq!(
            number,
            first.expect("a number") + index as u64,
            "the numbers have a gap"
        );
        match commit["kind"].as_str().expect("a commit has a kind") {
            "generation" => folded.open(&commit["generation"]),
            "append" => folded.append(&commit["append"]),
            "replace" => folded.replace(&commit["replace"]),
            other => panic!("{}: kind {other}", path.display()),
        }
    }
    folded
}

impl Folded {
    fn open(&mut self, generation: &Value) {
        let ordinal = generation["ordinal"].as_u64().expect("an ordinal");
        let last = self
            .generations
            .last()
            .map(|last| last["ordinal"].as_u64().expect("an ordinal"));
        if last.is_some_and(|last| ordinal != last + 1) {
            self.void += 1;
            return;
        }
        let starts = generation["starts"].as_array().expect("starts");
        self.next = starts
            .iter()
            .map(|start| (number(&start["partition"]), number(&start["from"])))
            .collect();
        self.generations.push(generation.clone());
    }

    fn append(&mut self, append: &Value) {
        let partitions = append["partitions"].as_array().expect("partitions");
        let current = &self.generations.last().expect("a log starts with a generation")["ordinal"];
        let chained = partitions.iter().all(|taken| {
            number(&taken["from"]) == self.next.get(&number(&taken["partition"])).copied().unwrap_or(0)
        });
        if append["generation"] != *current || !chained {
            self.void += 1;
            return;
        }
        for taken in partitions {
            let count = |name: &str| taken[name].as_u64().expect("a count");
            let covered = |name: &str| -> u64 {
                let intervals = taken[name].as_array().map(Vec::as_slice).unwrap_or_default();
                intervals
                    .iter()
                    .map(|range| u64::try_from(number(&range[1]) - number(&range[0])).expect("a range"))
                    .sum()
            };
            let (accepted, rejected) = (count("accepted"), count("rejected"));
            let (tombstones, absent, lost) = (covered("tombstones"), covered("absent"), covered("lost"));
            let length = u64::try_from(number(&taken["next"]) - number(&taken["from"])).expect("a range");
            assert_eq!(
                accepted + rejected + tombstones + covered("filtered") + absent + lost,
                length,
                "the counts of a commit do not add up: {taken}"
            );
            self.accepted += accepted;
            self.rejected += rejected;
            self.tombstones += tombstones;
            self.absent += absent;
            self.lost += lost;
            self.next
                .insert(number(&taken["partition"]), number(&taken["next"]));
        }
        self.add(&append["files"]);
    }

    fn replace(&mut self, replace: &Value) {
        let removed: Vec<String> = replace["removed"]
            .as_array()
            .expect("removed")
            .iter()
            .map(path_of)
            .collect();
        if !removed.iter().all(|path| self.live.contains(path)) {
            self.void += 1;
            return;
        }
        for path in removed {
            self.live.remove(&path);
        }
        self.add(&replace["files"]);
    }

    fn add(&mut self, files: &Value) {
        for file in files.as_array().expect("files") {
            let path = path_of(file);
            assert!(self.live.insert(path.clone()), "{path} is added twice");
        }
    }
}

fn path_of(file: &Value) -> String {
    let set = match file["set"].as_str().expect("a set") {
        "accepted" => "data/parquet",
        "rejected" => "data/rejected",
        other => panic!("set {other}"),
    };
    format!("{set}/{}", file["path"].as_str().expect("a path"))
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// Asserts that the log's live files, and nothing else, are what a glob finds; and gives the fold back.
#[track_caller]
pub fn assert_log_matches_lake(space: &Workspace, topic: &str, table: &str) -> Folded {
    let folded = fold(space, topic);
    let mut found = BTreeSet::new();
    for set in ["data/parquet", "data/rejected"] {
        let root = space.path(set);
        for file in files(&root.join(table)) {
            let below = file
                .strip_prefix(&root)
                .expect("listed below")
                .to_string_lossy()
                .into_owned();
            found.insert(format!("{set}/{below}"));
        }
    }
    let unknown: Vec<_> = found.difference(&folded.live).collect();
    let missing: Vec<_> = folded.live.difference(&found).collect();
    assert!(
        unknown.is_empty() && missing.is_empty(),
        "not live, but there: {unknown:?}; live, but not there: {missing:?}"
    );
    folded
}
