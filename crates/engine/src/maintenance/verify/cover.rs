//! Every offset in exactly one place: all that the log names and all rows of the live files, met in passes of bounded memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use eventlake_core::commit::{CommitNumber, File, FileKey, FileSet, GenerationOrdinal, Named, ReplaceReason};
use eventlake_core::coverage::{Coverage, slices};
use eventlake_core::position::{IntervalSet, Offset, OffsetRange, PartitionId};

use super::file::{FileSeen, FileTask, Look, holds, look};
use super::findings::{Findings, OffsetSample, RANGES_MAX, ranges_of};
use super::log::PinnedLog;
use super::report::{Code, FilesReport, Finding, Tally};
use super::walk::walk;
use super::{Request, Stage, places::Places};
use crate::lake::store::StoreError;

/// Unmet ranges of one partition that are looked into, in one pass.
const UNMET_MAX: usize = 1_000;
/// Rows met twice of one pass that are looked into, by file and partition.
const DOUBLED_MAX: usize = 60;

const MISSING: &str = "restore the named files and commits from a backup; where no file is named, these records were \
    never landed or their rows were removed: land the topic again into a new table as long as Kafka has them";
const DOUBLED: &str = "restore the named files from a backup taken at one time with checkpoints/; until then readers see \
    these records twice: leave one of them out by _kafka_partition and _kafka_offset";

pub(super) type Place = (GenerationOrdinal, PartitionId);

/// The offsets to be proven: of each generation and partition one range.
pub(super) type Spans = BTreeMap<Place, OffsetRange>;

/// What the passes found out.
#[derive(Debug, Default)]
pub(super) struct Covered {
    pub tallies: BTreeMap<Place, Tally>,
    pub files: FilesReport,
    /// Live files that have neither of their names.
    pub missing: Vec<FileKey>,
    /// The most memory that the bits took at one time.
    pub bits_bytes_max: u64,
    pub passes: usize,
}

/// All that the passes need to know.
pub(super) struct Cover<'a> {
    pub request: &'a Request<'a>,
    pub places: &'a Places,
    pub log: &'a PinnedLog,
    pub spans: &'a Spans,
    /// The live files to be read, by their paths.
    pub files: Vec<&'a File>,
    pub findings: &'a Findings,
    /// Bits that may be held at a time.
    pub offsets_max: u64,
}

/// One pass: a part of each span, and the files to be read for it.
struct Pass<'a> {
    coverages: BTreeMap<Place, Coverage>,
    files: Vec<(&'a File, bool)>,
}

/// What the threads of a pass gather.
#[derive(Default)]
struct Gathered {
    covered: Covered,
    doubled: Vec<(FileKey, Place, OffsetSample)>,
}

impl Cover<'_> {
    /// # Errors
    /// When a file of the log cannot be read.
    pub fn run(&self) -> Result<Covered, StoreError> {
        let ranges: Vec<OffsetRange> = self.spans.values().copied().collect();
        let slices = slices(&ranges, self.offsets_max);
        let mut covered = Covered {
            passes: slices.len(),
            ..Covered::default()
        };
        let mut seen: BTreeSet<FileKey> = BTreeSet::new();
        for (index, slice) in slices.iter().enumerate() {
            let is_last = index + 1 == slices.len();
            let pass = self.plan(slice, is_last, &mut seen);
            let bits = pass.coverages.values().map(Coverage::bytes).sum();
            covered.bits_bytes_max = covered.bits_bytes_max.max(bits);
            self.pass(&pass, &mut covered)?;
        }
        covered.missing.sort();
        covered.missing.dedup();
        Ok(covered)
    }

    fn plan(&self, slice: &[OffsetRange], is_last: bool, seen: &mut BTreeSet<FileKey>) -> Pass<'_> {
        let parts = self.spans.keys().copied().zip(slice.iter().copied());
        let coverages: BTreeMap<Place, Coverage> = parts
            .map(|(place, range)| (place, Coverage::new(range)))
            .collect();
        let concerns = |file: &File| {
            file.offsets.iter().any(|offsets| {
                let coverage = coverages.get(&(file.generation, offsets.partition));
                coverage.is_some_and(|coverage| {
                    offsets.from < coverage.range().next() && coverage.range().from() < offsets.next
                })
            })
        };
        let mut files = Vec::new();
        for file in &self.files {
            let is_first = !seen.contains(&file.key());
            // A file that holds nothing to be proven is looked at in the end, for all the rest.
            if concerns(file) || is_last && is_first {
                files.push((*file, is_first));
                seen.insert(file.key());
            }
        }
        Pass { coverages, files }
    }

    fn pass(&self, pass: &Pass<'_>, covered: &mut Covered) -> Result<(), StoreError> {
        self.meet_named(pass, covered)?;
        let gathered = self.meet_rows(pass);
        for (place, tally) in gathered.covered.tallies {
            covered.tallies.entry(place).or_default().add(tally);
        }
        covered.files.checked += gathered.covered.files.checked;
        covered.files.rows += gathered.covered.files.rows;
        covered.files.bytes += gathered.covered.files.bytes;
        covered.files.unpublished += gathered.covered.files.unpublished;
        covered.missing.extend(gathered.covered.missing);
        self.note_doubled(gathered.doubled);
        self.note_unmet(pass, covered);
        Ok(())
    }

    /// Meets the offsets that commits name.
    fn meet_named(&self, pass: &Pass<'_>, covered: &mut Covered) -> Result<(), StoreError> {
        walk(self.log, None, |append| {
            for taken in &append.append.taken {
                let place = (append.append.generation, taken.partition);
                let Some(coverage) = pass.coverages.get(&place) else {
                    continue;
                };
                let tally = covered.tallies.entry(place).or_default();
                let named = meet_sets(coverage, &taken.named, tally);
                if !named.is_empty() {
                    let ranges = &named.ranges()[..named.ranges().len().min(RANGES_MAX)];
                    let what = "the commit names offsets that it, or one before, has named already";
                    let finding = Finding::new(Code::OffsetsDoubled, what.to_owned(), DOUBLED)
                        .of_commit(append.append.number);
                    self.findings
                        .add(finding.of_offsets(place, ranges.to_vec(), named.count()));
                }
            }
        })?;
        Ok(())
    }

    /// Meets the rows of the files, on all the cores there are.
    fn meet_rows(&self, pass: &Pass<'_>) -> Gathered {
        let gathered = Mutex::new(Gathered::default());
        let (next, done) = (AtomicUsize::new(0), AtomicU64::new(0));
        let work = || {
            while let Some((file, is_first)) = pass.files.get(next.fetch_add(1, Relaxed)) {
                self.read(pass, file, *is_first, &gathered);
                let done = done.fetch_add(1, Relaxed) + 1;
                let all = pass.files.len() as u64;
                self.request.progress.step(Stage::Files, done, all);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.request.threads {
                scope.spawn(work);
            }
            work();
        });
        gathered.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self, pass: &Pass<'_>, file: &File, is_first: bool, gathered: &Mutex<Gathered>) {
        let mut generations = self.log.fold.generations().iter();
        let Some(generation) = generations.find(|generation| generation.ordinal == file.generation) else {
            let what = format!("it is of generation {}, which was never opened", file.generation);
            let remedy = "put the log's snapshots back from a backup";
            let finding = Finding::new(Code::FooterDiffers, what, remedy);
            self.findings.add(finding.of_file(file.key()));
            return;
        };
        let task = FileTask {
            file,
            generation,
            coverages: &pass.coverages,
            is_first,
        };
        let looked = look(&task, self.places, self.request.topic, self.findings);
        let mut gathered = gathered.lock().unwrap_or_else(PoisonError::into_inner);
        match looked {
            Ok(Look::Seen(seen)) => gathered.take(file, seen, is_first),
            Ok(Look::Missing) => gathered.covered.missing.push(file.key()),
            Ok(Look::Unreadable) => {}
            // The disk refuses this file; the others may be well.
            Err(error) => self.findings.unchecked(error.to_string()),
        }
    }

    /// Notes rows that were met twice, with every place that they are in.
    fn note_doubled(&self, mut doubled: Vec<(FileKey, Place, OffsetSample)>) {
        doubled.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
        for (index, (key, place, sample)) in doubled.iter().enumerate() {
            let offsets = sample.offsets();
            let mut finding = Finding::new(Code::OffsetsDoubled, String::new(), DOUBLED);
            finding = finding.of_offsets(*place, ranges_of(&offsets), sample.count());
            finding.files.push(key.clone());
            let mut named = false;
            if index < DOUBLED_MAX {
                let places = self.places_of(*place, &offsets);
                finding
                    .files
                    .extend(places.files.into_iter().filter(|other| other != key));
                finding.files.sort();
                finding.commit = places.naming;
                named = places.naming.is_some();
            }
            finding.what = match (finding.files.len(), named) {
                (_, true) => "there are rows for offsets that the commit names as having none".to_owned(),
                (1, false) => "one file holds these offsets twice".to_owned(),
                (files, false) => format!("{files} live files hold the same offsets"),
            };
            self.findings.add(finding);
        }
    }

    /// Where some offsets of a partition are.
    fn places_of(&self, place: Place, offsets: &[Offset]) -> OffsetPlaces {
        let mut found = OffsetPlaces::default();
        let near =
            |from: Offset, next: Offset| offsets.iter().any(|offset| from <= *offset && *offset < next);
        for file in &self.files {
            let mut ranges = file.offsets.iter();
            let is_near = ranges.any(|range| range.partition == place.1 && near(range.from, range.next));
            if file.generation == place.0
                && is_near
                && let Ok(held) = holds(file, self.places, self.request.topic, place.1, offsets)
                && !held.is_empty()
            {
                found.files.push(file.key());
            }
        }
        // What cannot be read now was read before, and is reported where it could not be.
        let _ = walk(self.log, None, |append| {
            let mut taken = append.append.taken.iter();
            let is_named = taken.any(|taken| {
                let sets = sets(&taken.named).into_iter().flat_map(IntervalSet::ranges);
                taken.partition == place.1 && sets.into_iter().any(|range| near(range.from(), range.next()))
            });
            if append.append.generation == place.0 && is_named {
                found.naming.get_or_insert(append.append.number);
            }
        });
        found
    }

    /// Notes the offsets that are in no place, by the commit that took them.
    fn note_unmet(&self, pass: &Pass<'_>, covered: &mut Covered) {
        let mut unmet: BTreeMap<Place, Vec<OffsetRange>> = BTreeMap::new();
        for (place, coverage) in &pass.coverages {
            let tally = covered.tallies.entry(*place).or_default();
            for range in coverage.unmet() {
                tally.missing += range.count();
                let ranges = unmet.entry(*place).or_default();
                if ranges.len() < UNMET_MAX {
                    ranges.push(range);
                }
            }
        }
        if unmet.is_empty() || rows_were_removed(self.log) > 0 {
            // Which offsets a removal took the log does not say: how many there are is judged in the end.
            return;
        }
        let mut by_commit: BTreeMap<(Place, Option<CommitNumber>), Vec<OffsetRange>> = BTreeMap::new();
        let mut claimed: BTreeMap<Place, u64> = BTreeMap::new();
        let _ = walk(self.log, None, |append| {
            for taken in &append.append.taken {
                let place = (append.append.generation, taken.partition);
                for range in unmet.get(&place).into_iter().flatten() {
                    let from = range.from().max(taken.from);
                    let next = range.next().min(taken.next);
                    if from < next {
                        let part = OffsetRange::new(from, next).expect("it is not empty");
                        *claimed.entry(place).or_default() += part.count();
                        let commit = Some(append.append.number);
                        by_commit.entry((place, commit)).or_default().push(part);
                    }
                }
            }
        });
        for (place, ranges) in unmet {
            let count: u64 = ranges.iter().map(|range| range.count()).sum();
            if claimed.get(&place).copied().unwrap_or(0) < count {
                // The commits that took them are gone or damaged themselves.
                by_commit.entry((place, None)).or_insert(ranges);
            }
        }
        for ((place, commit), ranges) in by_commit {
            self.note_missing(place, commit, ranges);
        }
    }

    fn note_missing(&self, place: Place, commit: Option<CommitNumber>, ranges: Vec<OffsetRange>) {
        let count = ranges.iter().map(|range| range.count()).sum();
        let holds = |file: &&&File| {
            let mut offsets = file.offsets.iter();
            file.generation == place.0
                && offsets.any(|offsets| {
                    let mut ranges = ranges.iter();
                    offsets.partition == place.1
                        && ranges.any(|range| offsets.from < range.next() && range.from() < offsets.next)
                })
        };
        let files = self.files.iter().filter(holds).map(|file| file.key());
        let what = match commit {
            Some(_) => "the commit took these offsets, and no live file holds a row of them",
            None => "no commit that can be read took these offsets, and no live file holds a row of them",
        };
        let mut finding = Finding::new(Code::OffsetsMissing, what.to_owned(), MISSING);
        finding.commit = commit;
        finding.files = files.take(RANGES_MAX).collect();
        let shown = ranges.into_iter().take(RANGES_MAX).collect();
        self.findings.add(finding.of_offsets(place, shown, count));
    }
}

#[derive(Default)]
struct OffsetPlaces {
    files: Vec<FileKey>,
    /// A commit that names one of them as having no row.
    naming: Option<CommitNumber>,
}

impl Gathered {
    fn take(&mut self, file: &File, seen: FileSeen, is_first: bool) {
        if is_first {
            self.covered.files.checked += 1;
            self.covered.files.rows += seen.rows;
            self.covered.files.bytes += seen.bytes;
            self.covered.files.unpublished += u64::from(seen.is_staged);
        }
        for (partition, met) in seen.met {
            let tally = self
                .covered
                .tallies
                .entry((file.generation, partition))
                .or_default();
            match file.set {
                FileSet::Accepted => tally.accepted += met,
                FileSet::Rejected => tally.rejected += met,
            }
        }
        for (partition, again) in seen.again {
            let place = (file.generation, partition);
            self.doubled.push((file.key(), place, again));
        }
    }
}

pub(super) fn sets(named: &Named) -> [&IntervalSet; 4] {
    [&named.tombstones, &named.filtered, &named.absent, &named.lost]
}

/// Meets what a commit names of a partition, counts what lies in the pass, and returns what was met before.
fn meet_sets(coverage: &Coverage, named: &Named, tally: &mut Tally) -> IntervalSet {
    let mut again: Vec<OffsetRange> = Vec::new();
    let counts = [
        &mut tally.tombstones,
        &mut tally.filtered,
        &mut tally.absent,
        &mut tally.lost,
    ];
    for (set, count) in sets(named).into_iter().zip(counts) {
        for range in set.ranges() {
            let within = coverage.range();
            let from = range.from().max(within.from());
            let next = range.next().min(within.next());
            if from < next {
                let met_before = coverage.meet_range(*range);
                *count += next.0.abs_diff(from.0) - met_before.count();
                again.extend(met_before.ranges());
            }
        }
    }
    again.sort_unstable();
    again.dedup();
    let mut set = IntervalSet::new();
    for range in again {
        let free_from = set.ranges().last().map_or(Offset(0), |last| last.next());
        if let Ok(rest) = OffsetRange::new(range.from().max(free_from), range.next()) {
            set.push(rest);
        }
    }
    set
}

/// Whether rows were taken out for good, by commits whose purpose that is: then not every offset has a row any more.
pub(super) fn rows_were_removed(log: &PinnedLog) -> u64 {
    let replaced = &log.fold.totals().replaced;
    let reasons = [ReplaceReason::Retention, ReplaceReason::Erasure];
    let changes = reasons.iter().filter_map(|reason| replaced.get(reason));
    changes
        .map(|change| {
            (change.accepted_removed + change.rejected_removed)
                .saturating_sub(change.accepted_added + change.rejected_added)
        })
        .sum()
}
