//! Data files that somebody else wrote: of any bytes, and vouched for by a commit, or they would not be looked at.

use std::cell::Cell;
use std::panic::{self, Location};
use std::path::PathBuf;
use std::sync::Once;

use bytes::Bytes;
use eventlake_core::commit::Checksum;
use eventlake_core::position::{Offset, PartitionId};
use eventlake_engine::ingest::open_data_file;
use eventlake_engine::ingest::rejected::{FileContent, RejectedFile, RejectedFilter, find, scan};

/// The most rows that the commit states here: a few hundred bytes can hold billions, which take minutes to go through.
const ROWS_MAX: u64 = 100_000;

thread_local! {
    /// Whether a file is being read, and whether the library panicked over it.
    static READING: Cell<bool> = const { Cell::new(false) };
    static LIBRARY_PANICKED: Cell<bool> = const { Cell::new(false) };
}

/// Input: the bytes of the file.
///
/// # Panics
/// When there is no place for a file, or reading breaks a promise.
pub fn check(input: &[u8]) {
    static HOOKED: Once = Once::new();
    HOOKED.call_once(let_the_library_panic);
    READING.set(true);
    LIBRARY_PANICKED.set(false);
    let outcome = panic::catch_unwind(|| read(input));
    READING.set(false);
    if let Err(panicked) = outcome
        && !LIBRARY_PANICKED.get()
    {
        panic::resume_unwind(panicked);
    }
}

/// On pages that no writer makes the Parquet library panics. Whoever could put such a file into the lake, with its checksum
/// in the log, could put anything there.
fn let_the_library_panic() {
    let others = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let place = info.location().map_or("", Location::file);
        if READING.get()
            && ["/parquet-", "/arrow-"]
                .iter()
                .any(|library| place.contains(library))
        {
            LIBRARY_PANICKED.set(true);
        } else {
            others(info);
        }
    }));
}

fn read(input: &[u8]) {
    let Ok(builder) = open_data_file(Bytes::copy_from_slice(input)) else {
        return;
    };
    let rows = builder.metadata().file_metadata().num_rows().unsigned_abs();
    // The program reads a file only when its commit states as many rows.
    if rows > ROWS_MAX {
        return;
    }
    let path = scratch_file();
    std::fs::write(&path, input).expect("a scratch file can be written");
    let files = [RejectedFile {
        paths: vec![path],
        times_micros: None,
        content: FileContent {
            bytes: input.len() as u64,
            sha256: Checksum::of(input),
            rows,
        },
    }];
    let by_code = RejectedFilter {
        code: Some("type".to_owned()),
        since_micros: Some(0),
        until_micros: None,
    };
    for filter in [RejectedFilter::default(), by_code] {
        if let Ok(found) = scan(&files, &filter, 3) {
            assert_eq!(found.counts.len(), 1);
            let counted: u64 = found.counts[0].values().sum();
            assert!(found.newest.len() as u64 <= counted.min(3));
        }
    }
    let _ = find(&files, PartitionId(0), Offset(3));
}

fn scratch_file() -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let folder = if memory.is_dir() {
        memory
    } else {
        std::env::temp_dir()
    };
    folder.join(format!("eventlake-check-{}.parquet", std::process::id()))
}
