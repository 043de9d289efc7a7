//! Going through files of rejected records: the newest ones, one by its position, how many with each code.
//!
//! Memory does not grow with the files: counting reads the narrow columns a batch at a time, and payloads are read
//! for the records asked for alone.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use arrow::error::ArrowError;
use eventlake_core::commit::Checksum;
use eventlake_core::position::{Offset, PartitionId};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use crate::ingest::open::{DataFile, open_data_file};
use crate::lake::store::{Store, StoreError};

use super::{NotRejectedRows, RejectedRow, column, read_row};

/// Rows of the narrow columns read at a time.
const NARROW_ROWS: usize = 8192;
/// Whole records read at a time: each may be as large as `max_record`.
const WHOLE_ROWS: usize = 2;
/// Bytes hashed at a time.
const CHECKED_BYTES: usize = 256 << 10;

/// One file of rejected records.
#[derive(Clone, Debug)]
pub struct RejectedFile {
    /// Where it may lie, the likeliest first: a file just committed may not have its final name yet.
    pub paths: Vec<PathBuf>,
    /// The earliest and the latest of Kafka's timestamps in it, where known; files outside of a filter are not opened.
    pub times_micros: Option<(i64, i64)>,
    /// What its commit says of its content. Held against the file before its first byte is believed: a Parquet file that
    /// somebody else put there can claim to be of any size.
    pub content: FileContent,
}

/// A file's length, checksum and rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileContent {
    pub bytes: u64,
    pub sha256: Checksum,
    /// A file of a few hundred bytes can state billions of rows and take minutes to be gone through.
    pub rows: u64,
}

/// Which records count; a bound that is absent lets everything pass. With a bound on time, records without a
/// timestamp do not pass.
#[derive(Clone, Debug, Default)]
pub struct RejectedFilter {
    pub code: Option<String>,
    /// Kafka's timestamp, inclusive.
    pub since_micros: Option<i64>,
    /// Kafka's timestamp, exclusive.
    pub until_micros: Option<i64>,
}

/// What passed a filter.
#[derive(Debug, Default)]
pub struct RejectedScan {
    /// How many records passed, by the file's place in the list and by code.
    pub counts: Vec<BTreeMap<String, u64>>,
    /// The newest of them by Kafka's timestamp, the newest first, each with the place of its file in the list.
    pub newest: Vec<(usize, RejectedRow)>,
}

#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    #[error("rejected file {path} cannot be read: {source}")]
    Open { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("rejected file {path} is damaged: {source}")]
    Damaged { path: PathBuf, source: ParquetError },
    #[error(
        "rejected file {path} is not the one that was committed: {fault}\nhint: put it back from a backup; it was changed \
         after eventlake wrote it"
    )]
    Changed { path: PathBuf, fault: String },
    #[error("rejected file {path}: {source}")]
    Foreign { path: PathBuf, source: NotRejectedRows },
}

impl RejectedFilter {
    /// Whether the file may hold a record that passes, by the times it is known for.
    #[must_use]
    pub fn may_pass(&self, file: &RejectedFile) -> bool {
        if self.since_micros.is_none() && self.until_micros.is_none() {
            return true;
        }
        let Some((first, last)) = file.times_micros else {
            return true;
        };
        self.since_micros.is_none_or(|since| last >= since)
            && self.until_micros.is_none_or(|until| first < until)
    }

    #[must_use]
    pub fn passes(&self, code: &str, time_micros: Option<i64>) -> bool {
        let after = self
            .since_micros
            .is_none_or(|since| time_micros.is_some_and(|time| time >= since));
        let before = self
            .until_micros
            .is_none_or(|until| time_micros.is_some_and(|time| time < until));
        after && before && self.code.as_ref().is_none_or(|wanted| wanted == code)
    }
}

/// Where a record stands. Ordered by age: a later timestamp is greater, none is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    time_micros: Option<i64>,
    offset: Offset,
    partition: PartitionId,
    file: usize,
    row: usize,
}

/// Counts all records that pass, by file and code, and reads the `newest_max` newest of them.
///
/// # Errors
/// When a file is not there, is damaged, or holds something else.
pub fn scan(
    files: &[RejectedFile],
    filter: &RejectedFilter,
    newest_max: usize,
) -> Result<RejectedScan, ScanError> {
    let mut counts = vec![BTreeMap::new(); files.len()];
    let mut newest: BinaryHeap<Reverse<Place>> = BinaryHeap::new();
    for (index, file) in files.iter().enumerate().filter(|(_, file)| filter.may_pass(file)) {
        each_narrow_row(file, |row, narrow| {
            if !filter.passes(narrow.code, narrow.time_micros) {
                return;
            }
            match counts[index].get_mut(narrow.code) {
                Some(count) => *count += 1,
                None => drop(counts[index].insert(narrow.code.to_owned(), 1)),
            }
            newest.push(Reverse(Place {
                time_micros: narrow.time_micros,
                offset: narrow.offset,
                partition: narrow.partition,
                file: index,
                row,
            }));
            if newest.len() > newest_max {
                newest.pop();
            }
        })?;
    }
    // Into ascending order of `Reverse`: the newest first.
    let places: Vec<Place> = newest
        .into_sorted_vec()
        .into_iter()
        .map(|Reverse(place)| place)
        .collect();
    Ok(RejectedScan {
        counts,
        newest: read_places(files, &places)?,
    })
}

/// The record at a position, from each file that holds one (a topic that was re-created has its offsets twice).
///
/// # Errors
/// As for [`scan`].
pub fn find(
    files: &[RejectedFile],
    partition: PartitionId,
    offset: Offset,
) -> Result<Vec<(usize, RejectedRow)>, ScanError> {
    let mut places = Vec::new();
    for (index, file) in files.iter().enumerate() {
        each_narrow_row(file, |row, narrow| {
            if narrow.partition == partition && narrow.offset == offset {
                places.push(Place {
                    time_micros: narrow.time_micros,
                    offset,
                    partition,
                    file: index,
                    row,
                });
            }
        })?;
    }
    read_places(files, &places)
}

/// The whole records at these places, in the places' order.
fn read_places(files: &[RejectedFile], places: &[Place]) -> Result<Vec<(usize, RejectedRow)>, ScanError> {
    let mut by_file: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
    for (rank, place) in places.iter().enumerate() {
        by_file.entry(place.file).or_default().push((place.row, rank));
    }
    let mut read: BTreeMap<usize, (usize, RejectedRow)> = BTreeMap::new();
    for (index, mut rows) in by_file {
        rows.sort_unstable();
        let (path, builder) = open(&files[index])?;
        // All rows up to the last one that is wanted: where levels are not as the page says, parquet 59 skips them for ever.
        let reader = builder
            .with_batch_size(WHOLE_ROWS)
            .build()
            .map_err(|source| ScanError::Damaged {
                path: path.clone(),
                source,
            })?;
        let mut wanted = rows.into_iter().peekable();
        let mut first = 0;
        for batch in reader {
            let batch = batch.map_err(|error| damaged(&path, error))?;
            let next = first + batch.num_rows();
            while let Some((row, rank)) = wanted.next_if(|(row, _)| *row < next) {
                let row = read_row(&batch, row - first).map_err(|source| foreign(&path, source))?;
                read.insert(rank, (index, row));
            }
            if wanted.peek().is_none() {
                break;
            }
            first = next;
        }
    }
    Ok(read.into_values().collect())
}

/// Hands out every record of a file, whole, in the file's order and at most `rows_max` at a time.
///
/// # Errors
/// As for [`scan`], and what `each` says.
pub fn read_whole<E: From<ScanError>>(
    file: &RejectedFile,
    rows_max: usize,
    mut each: impl FnMut(Vec<RejectedRow>) -> Result<(), E>,
) -> Result<(), E> {
    let (path, builder) = open(file)?;
    let damage = |source| ScanError::Damaged {
        path: path.clone(),
        source,
    };
    let reader = builder.with_batch_size(rows_max.max(1)).build().map_err(damage)?;
    for batch in reader {
        let batch = batch.map_err(|error| damaged(&path, error))?;
        let rows = (0..batch.num_rows()).map(|row| read_row(&batch, row));
        let rows = rows.collect::<Result<Vec<_>, _>>();
        each(rows.map_err(|source| foreign(&path, source))?)?;
    }
    Ok(())
}

/// The columns that are small, of one record.
struct Narrow<'a> {
    code: &'a str,
    partition: PartitionId,
    offset: Offset,
    time_micros: Option<i64>,
}

/// Hands every record's narrow columns to `each`, with its place in the file.
fn each_narrow_row(file: &RejectedFile, mut each: impl FnMut(usize, Narrow<'_>)) -> Result<(), ScanError> {
    let (path, builder) = open(file)?;
    let narrow = [
        column::CODE,
        column::KAFKA_PARTITION,
        column::KAFKA_OFFSET,
        column::KAFKA_TIMESTAMP,
    ];
    let mask = ProjectionMask::columns(builder.parquet_schema(), narrow);
    let reader = builder
        .with_projection(mask)
        .with_batch_size(NARROW_ROWS)
        .build()
        .map_err(|source| ScanError::Damaged {
            path: path.clone(),
            source,
        })?;
    let mut first = 0;
    for batch in reader {
        let batch = batch.map_err(|error| damaged(&path, error))?;
        each_of_batch(&batch, first, &mut each).map_err(|source| foreign(&path, source))?;
        first += batch.num_rows();
    }
    Ok(())
}

fn each_of_batch(
    batch: &RecordBatch,
    first: usize,
    each: &mut impl FnMut(usize, Narrow<'_>),
) -> Result<(), NotRejectedRows> {
    let of = |column: &'static str| batch.column_by_name(column).ok_or(NotRejectedRows { column });
    let wrong = |column: &'static str| NotRejectedRows { column };
    let codes = of(column::CODE)?
        .as_string_opt::<i32>()
        .ok_or(wrong(column::CODE))?;
    let partitions = of(column::KAFKA_PARTITION)?
        .as_primitive_opt::<Int32Type>()
        .ok_or(wrong(column::KAFKA_PARTITION))?;
    let offsets = of(column::KAFKA_OFFSET)?
        .as_primitive_opt::<Int64Type>()
        .ok_or(wrong(column::KAFKA_OFFSET))?;
    let times = of(column::KAFKA_TIMESTAMP)?
        .as_primitive_opt::<TimestampMicrosecondType>()
        .ok_or(wrong(column::KAFKA_TIMESTAMP))?;
    for row in 0..batch.num_rows() {
        let narrow = Narrow {
            code: codes.value(row),
            partition: PartitionId(partitions.value(row)),
            offset: Offset(offsets.value(row)),
            time_micros: times.is_valid(row).then(|| times.value(row)),
        };
        each(first + row, narrow);
    }
    Ok(())
}

type Builder = ParquetRecordBatchReaderBuilder<DataFile<File>>;

fn open(file: &RejectedFile) -> Result<(PathBuf, Builder), ScanError> {
    let store = Store::new();
    // Twice: between the looks at two names, a file may have gone from the second to the first.
    for path in file.paths.iter().chain(&file.paths) {
        let Some(mut opened) = store.open(path)? else {
            continue;
        };
        check_content(&mut opened, path, &file.content)?;
        let builder = open_data_file(opened).map_err(|source| ScanError::Damaged {
            path: path.clone(),
            source,
        })?;
        check_rows(&builder, path, file.content.rows)?;
        return Ok((path.clone(), builder));
    }
    Err(ScanError::Open {
        path: file.paths.first().expect("a file has at least one path").clone(),
        source: Errno::NOENT.into(),
    })
}

/// Reads the file once, through a small buffer.
fn check_content(file: &mut File, path: &Path, expected: &FileContent) -> Result<(), ScanError> {
    let changed = |fault| ScanError::Changed {
        path: path.to_owned(),
        fault,
    };
    let unreadable = |source| ScanError::Open {
        path: path.to_owned(),
        source,
    };
    let bytes = file.metadata().map_err(unreadable)?.len();
    if bytes != expected.bytes {
        return Err(changed(format!(
            "it has {bytes} bytes, expected {}",
            expected.bytes
        )));
    }
    let mut digest = Sha256::new();
    let mut buffer = vec![0; CHECKED_BYTES];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => digest.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    let found = Checksum::from_digest(digest.finalize().into());
    if found != expected.sha256 {
        let expected = expected.sha256;
        return Err(changed(format!("its SHA-256 is {found}, expected {expected}")));
    }
    Ok(())
}

fn check_rows(builder: &Builder, path: &Path, expected: u64) -> Result<(), ScanError> {
    let rows = builder.metadata().file_metadata().num_rows();
    if u64::try_from(rows) == Ok(expected) {
        return Ok(());
    }
    Err(ScanError::Changed {
        path: path.to_owned(),
        fault: format!("it has {rows} rows, expected {expected}"),
    })
}

fn damaged(path: &Path, error: ArrowError) -> ScanError {
    ScanError::Damaged {
        path: path.to_owned(),
        source: ParquetError::from(error),
    }
}

fn foreign(path: &Path, source: NotRejectedRows) -> ScanError {
    ScanError::Foreign {
        path: path.to_owned(),
        source,
    }
}
