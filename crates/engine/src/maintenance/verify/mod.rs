//! `eventlake verify`: proves a topic's lake from its files, not from what the writer counted.
//!
//! The files, in the order of the proof: `log` pins the log and folds it, `walk` goes through it from the first commit by
//! the `ledger` of checkpoints, `cover` meets every offset by reading the live files (`places`, `file`, `rows`), `counts`
//! holds the log's sums against what was met; where Kafka is asked, `kafka` reads the topic again as `stretch`es that `compare`
//! holds against the rows. `naming` finds the commit behind a finding. `findings` gathers what does not
//! hold, `report` is what comes out.
//!
//! Nothing here counts with the writer's code: offsets are met one by one, as rows of files or as named by a commit.

mod compare;
mod counts;
mod cover;
mod file;
mod findings;
mod kafka;
mod ledger;
mod log;
mod naming;
mod places;
mod report;
mod rows;
mod stretch;
#[cfg(test)]
mod tests;
mod walk;

use std::collections::BTreeMap;

use eventlake_core::commit::{CommitNumber, File, Fold};
use eventlake_core::config::{KafkaConfig, LakeConfig, TopicConfig};
use eventlake_core::names::LogPaths;
use eventlake_core::position::OffsetRange;

pub use report::{
    Code, FilesReport, GenerationReport, KafkaReport, Leftovers, PartitionReport, Refutation, Tally,
    TopicReport, Verdict,
};

use crate::ingest::RowRules;
use crate::lake::store::{Store, StoreError};
use compare::Comparison;
use cover::{Cover, Covered, Spans};
use findings::Findings;
use log::{PinError, PinnedLog};
use places::{Places, judge_extras};

/// How often a proof starts over because files were replaced under it.
const TRIES: usize = 5;
/// What the process holds apart from the proof: code, threads, the allocator's slack.
const BASE_BYTES: u64 = 32 << 20;
/// What a live file takes in the fold, twice: the pinned one and the later one that it is compared with.
const FILE_BYTES: u64 = 2 * 900;
/// What a thread takes that reads files: pages, decoded columns, buffers.
const THREAD_BYTES: u64 = 12 << 20;
/// However little is left: so many bytes of bits there are, or a proof would never end.
const BITS_BYTES_MIN: u64 = 1 << 20;
const BITS_BYTES_MAX: u64 = 1 << 30;

/// What is to be proven.
pub struct Request<'a> {
    pub lake: &'a LakeConfig,
    pub topic: &'a TopicConfig,
    pub rules: &'a RowRules,
    /// Microseconds since 1970. Offsets are proven from the first commit of then on; files of time partitions that end
    /// after it are checked, and those that hold such offsets.
    pub since_micros: Option<i64>,
    /// Where the topic is to be read again, and compared value by value.
    pub kafka: Option<&'a KafkaConfig>,
    pub progress: &'a dyn Progress,
    /// Threads that read files.
    pub threads: usize,
}

/// Long work, in steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Log,
    /// Steps are files.
    Files,
    /// Steps are offsets.
    Kafka,
}

/// Is told how far a proof has come, from several threads.
pub trait Progress: Sync {
    fn step(&self, stage: Stage, done: u64, of: u64);
}

/// Why a try did not come to an end.
enum Stopped {
    /// Files were replaced meanwhile: a new try will see a lake that agrees with itself.
    Raced,
    Failed(String),
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Stopped {
        Stopped::Failed(error.to_string())
    }
}

impl From<PinError> for Stopped {
    fn from(error: PinError) -> Stopped {
        Stopped::Failed(error.to_string())
    }
}

/// Proves one topic's lake, or says what does not hold. Changes nothing, and may run beside ingesters.
#[must_use]
pub fn verify(request: &Request<'_>) -> TopicReport {
    for _ in 0..TRIES {
        let findings = Findings::default();
        let mut proof = Proof::new(request);
        match proof.run(&findings) {
            Ok(()) => return proof.report(findings),
            Err(Stopped::Raced) => {}
            Err(Stopped::Failed(error)) => {
                findings.unchecked(error);
                return proof.report(findings);
            }
        }
    }
    let findings = Findings::default();
    findings.unchecked(format!(
        "files were replaced while they were read, {TRIES} times over: verify again when less is compacted"
    ));
    Proof::new(request).report(findings)
}

/// One try.
struct Proof<'a> {
    request: &'a Request<'a>,
    store: Store,
    paths: LogPaths,
    places: Places,
    log: Option<PinnedLog>,
    spans: Spans,
    covered: Covered,
    kafka: Option<KafkaReport>,
    leftovers: Leftovers,
}

impl<'a> Proof<'a> {
    fn new(request: &'a Request<'a>) -> Proof<'a> {
        let store = Store::new();
        Proof {
            paths: LogPaths::new(&request.lake.checkpoints, &request.topic.name),
            places: Places::new(&store, request.lake, &request.topic.table),
            store,
            request,
            log: None,
            spans: Spans::new(),
            covered: Covered::default(),
            kafka: None,
            leftovers: Leftovers::default(),
        }
    }

    fn run(&mut self, findings: &Findings) -> Result<(), Stopped> {
        self.request.progress.step(Stage::Log, 0, 1);
        self.log = self.pin(findings)?;
        let Some(log) = &self.log else {
            self.kafka = self.request.kafka.map(|_| KafkaReport::of_nothing());
            return self.check_nothing_landed(findings);
        };
        self.places.check_owner(&log.fold, findings)?;
        self.leftovers.freed_commits = walk::walk(log, Some(findings), |_| {})?;
        self.spans = spans(log, self.request.since_micros)?;
        let cover = Cover {
            request: self.request,
            places: &self.places,
            log,
            spans: &self.spans,
            files: self.files(log),
            findings,
            offsets_max: self.offsets_max(log),
        };
        self.covered = cover.run()?;
        if let Some(kafka) = self.request.kafka {
            let comparison = Comparison {
                request: self.request,
                kafka,
                places: &self.places,
                log,
                spans: &self.spans,
                findings,
                memory_bytes: self.memory_left(log),
            };
            self.kafka = Some(comparison.run()?);
        }
        let extras = self.places.not_live(&log.fold, &mut self.leftovers)?;
        // What came and went meanwhile is judged by a log read after it was seen.
        let later = self.pin(&Findings::default())?.ok_or(Stopped::Raced)?;
        for key in &self.covered.missing {
            match later.fold.files().contains_key(key) {
                true => findings.add(file::missing(&log.fold.files()[key])),
                false => return Err(Stopped::Raced),
            }
        }
        judge_extras(&self.places, log, &later, extras, findings, &mut self.leftovers)?;
        self.places.count_leftovers(&later, &mut self.leftovers)?;
        if self.request.since_micros.is_none() {
            counts::check(log, &self.covered.tallies, findings);
        }
        Ok(())
    }

    fn pin(&self, findings: &Findings) -> Result<Option<PinnedLog>, PinError> {
        PinnedLog::pin(&self.store, &self.paths, &self.request.topic.name, findings)
    }

    /// A topic without a log has landed nothing, so that its table holds nothing.
    fn check_nothing_landed(&mut self, findings: &Findings) -> Result<(), Stopped> {
        self.places
            .check_owner(&Fold::empty(self.request.topic.name.clone()), findings)?;
        for extra in self.places.all(&mut self.leftovers)? {
            findings.add(places::without_log(&self.places, &extra));
        }
        Ok(())
    }

    /// The live files to be read.
    fn files<'l>(&self, log: &'l PinnedLog) -> Vec<&'l File> {
        let files = log.fold.files().values();
        let Some(since) = self.request.since_micros else {
            return files.collect();
        };
        let concerns = |file: &&File| {
            let is_late_enough = rows::folder_span(file.path.time_partition()).1 >= since;
            let mut offsets = file.offsets.iter();
            is_late_enough
                || offsets.any(|offsets| {
                    let span = self.spans.get(&(file.generation, offsets.partition));
                    span.is_some_and(|span| offsets.from < span.next() && span.from() < offsets.next)
                })
        };
        files.filter(concerns).collect()
    }

    /// How many offsets may be held at a time, a bit each.
    fn offsets_max(&self, log: &PinnedLog) -> u64 {
        (self.memory_left(log) / 2).clamp(BITS_BYTES_MIN, BITS_BYTES_MAX) * 8
    }

    /// What the memory limit leaves beside the fold and the threads.
    fn memory_left(&self, log: &PinnedLog) -> u64 {
        let taken = BASE_BYTES
            + FILE_BYTES * log.fold.files().len() as u64
            + THREAD_BYTES * self.request.threads as u64;
        self.request.lake.memory_limit_bytes.saturating_sub(taken)
    }

    fn report(self, findings: Findings) -> TopicReport {
        let mut found = findings.into_found();
        if let Some(log) = &self.log
            && let Err(error) = naming::name_commits(log, &mut found.examples)
        {
            found.unchecked.push(error.to_string());
        }
        let mut offsets = Tally::default();
        self.covered
            .tallies
            .values()
            .for_each(|tally| offsets.add(*tally));
        let verdict = if !found.counts.is_empty() {
            Verdict::Refuted
        } else if offsets.lost > 0 {
            Verdict::Lost
        } else if !found.unchecked.is_empty() {
            Verdict::Unchecked
        } else {
            Verdict::Proven
        };
        let topic = self.request.topic;
        let refutation = |finding: report::Finding| Refutation {
            code: finding.code,
            topic: topic.name.clone(),
            table: topic.table.clone(),
            generation: finding.place.map(|(generation, _)| generation),
            partition: finding.place.map(|(_, partition)| partition),
            offsets: finding.offsets,
            offset_count: finding.offset_count,
            files: finding
                .files
                .iter()
                .map(|key| self.places.published(key).display().to_string())
                .collect(),
            commit: finding.commit,
            what: finding.what,
            remedy: finding.remedy.to_owned(),
        };
        TopicReport {
            topic: topic.name.clone(),
            table: topic.table.clone(),
            verdict,
            commit: self.log.as_ref().map_or(CommitNumber(0), |log| log.fold.number()),
            offsets,
            generations: self.generations(),
            files: self.covered.files,
            passes: self.covered.passes,
            kafka: self.kafka,
            refuted: found.counts,
            refutations: found.examples.into_iter().map(refutation).collect(),
            unchecked: found.unchecked,
            leftovers: self.leftovers,
        }
    }

    fn generations(&self) -> Vec<GenerationReport> {
        let generations = self.log.iter().flat_map(|log| log.fold.generations());
        let report = |generation: &eventlake_core::commit::Generation| {
            let spans = self.spans.iter();
            let partitions = spans.filter(|((ordinal, _), _)| *ordinal == generation.ordinal);
            GenerationReport {
                generation: generation.ordinal,
                topic_id: generation.topic_id.clone(),
                partitions: partitions
                    .map(|(place, range)| PartitionReport {
                        partition: place.1,
                        from: range.from(),
                        next: range.next(),
                        tally: self.covered.tallies.get(place).copied().unwrap_or_default(),
                    })
                    .collect(),
            }
        };
        generations.map(report).collect()
    }
}

/// What is to be proven of each generation and partition: all that it took, or what commits of since then took.
fn spans(log: &PinnedLog, since_micros: Option<i64>) -> Result<Spans, StoreError> {
    let mut spans = Spans::new();
    for generation in log.fold.generations() {
        for (partition, state) in &generation.partitions {
            if let Ok(range) = OffsetRange::new(state.start, state.next) {
                spans.insert((generation.ordinal, *partition), range);
            }
        }
    }
    let Some(since) = since_micros else {
        return Ok(spans);
    };
    let mut starts = BTreeMap::new();
    walk::walk(log, None, |append| {
        if append.time.unix_micros() >= since {
            for taken in &append.append.taken {
                let place = (append.append.generation, taken.partition);
                starts.entry(place).or_insert(taken.from);
            }
        }
    })?;
    for (place, span) in &mut spans {
        let from = starts.get(place).copied().unwrap_or(span.next());
        *span = OffsetRange::new(from.max(span.from()), span.next()).unwrap_or(*span);
    }
    Ok(spans)
}
