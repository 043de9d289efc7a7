//! How many records were rejected with each code: counted in the files, since commits count rejected records only.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use eventlake_core::commit::{File, FileSet, Fold};
use eventlake_core::config::{LakeConfig, TopicConfig};
use eventlake_core::names::{FilePath, StagingPaths};
use serde::Serialize;

use crate::ingest::rejected::{FileContent, RejectedFile, RejectedFilter, ScanError, scan};

/// The counts of the files read so far. A file under a name never changes, so each is read once.
#[derive(Debug, Default)]
pub struct RejectedCodes {
    by_file: HashMap<FilePath, BTreeMap<String, u64>>,
}

/// One table's rejected records by code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RejectedByCode {
    pub records: BTreeMap<String, u64>,
    /// False when there was no time to read all files: the newest were read first.
    pub complete: bool,
}

/// Where a live file of rejected records may lie: under its final name, or, just committed, under its staged one.
#[must_use]
pub fn rejected_file(lake: &LakeConfig, topic: &TopicConfig, file: &File) -> RejectedFile {
    let staged = StagingPaths::new(&lake.rejected, &topic.table).staged(&file.path);
    RejectedFile {
        paths: vec![lake.rejected.join(file.path.as_str()), staged],
        times_micros: file.times.map(|times| (times.min_micros, times.max_micros)),
        content: FileContent {
            bytes: file.bytes,
            sha256: file.sha256,
            rows: file.rows,
        },
    }
}

impl RejectedCodes {
    /// Counts the live files of rejected records, for at most `time`. Files that are live no longer are forgotten.
    ///
    /// # Errors
    /// When a file is gone or damaged.
    pub fn count(
        &mut self,
        lake: &LakeConfig,
        topic: &TopicConfig,
        fold: &Fold,
        time: Duration,
    ) -> Result<RejectedByCode, ScanError> {
        let until = Instant::now() + time;
        let mut live: Vec<&File> = fold
            .files()
            .values()
            .filter(|file| file.set == FileSet::Rejected)
            .collect();
        live.sort_by_key(|file| std::cmp::Reverse(file.times.map(|times| times.max_micros)));
        let mut before = std::mem::take(&mut self.by_file);
        let mut counted = RejectedByCode {
            records: BTreeMap::new(),
            complete: true,
        };
        for file in live {
            let counts = match before.remove(&file.path) {
                Some(counts) => counts,
                None if Instant::now() >= until => {
                    counted.complete = false;
                    continue;
                }
                None => {
                    let file = [rejected_file(lake, topic, file)];
                    let scanned = scan(&file, &RejectedFilter::default(), 0)?;
                    scanned
                        .counts
                        .into_iter()
                        .next()
                        .expect("counts for the one file")
                }
            };
            for (code, records) in &counts {
                *counted.records.entry(code.clone()).or_default() += records;
            }
            self.by_file.insert(file.path.clone(), counts);
        }
        Ok(counted)
    }
}
