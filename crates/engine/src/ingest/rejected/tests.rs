//! Rejected records survive the way through a Parquet file, byte by byte.

use std::collections::BTreeMap;
use std::fs::File;

use eventlake_core::commit::Checksum;
use eventlake_core::position::{Offset, PartitionId};
use eventlake_core::violation::Code;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;

use super::*;

fn meta(offset: i64, timestamp_micros: Option<i64>) -> RecordMeta {
    RecordMeta {
        partition: PartitionId(3),
        offset: Offset(offset),
        timestamp_micros,
    }
}

fn violation(found: &str) -> Violation {
    Violation {
        code: Code::MalformedJson,
        field: "address.city".into(),
        expected: "a JSON text".into(),
        found: found.into(),
    }
}

/// Through a Parquet file and back.
fn landed(rows: RejectedRows) -> Vec<RejectedRow> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rejected.parquet");
    let file = File::create(&path).expect("a file");
    let mut writer = ArrowWriter::try_new(file, arrow_schema(), None).expect("a writer");
    writer.write(&rows.finish().batch).expect("written");
    writer.close().expect("closed");
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).expect("the file"))
        .expect("a reader")
        .with_batch_size(7)
        .build()
        .expect("batches");
    let mut landed = Vec::new();
    for batch in reader {
        let batch = batch.expect("a batch");
        assert_eq!(
            batch.schema().fields(),
            arrow_schema().fields(),
            "the file keeps the schema"
        );
        landed.extend((0..batch.num_rows()).map(|row| read_row(&batch, row).expect("a row")));
    }
    landed
}

#[test]
fn hostile_records_land_byte_for_byte() {
    let hostile: [&[u8]; 6] = [
        b"",
        b"\0\0\0",
        b"\x1b]0;owned\x07\x1b[2J",
        b"\xff\xfe\xc3\x28",
        b"{\"a\":",
        "\u{202e}gpj.exe".as_bytes(),
    ];
    let mut rows = RejectedRows::new();
    for (offset, payload) in (0..).zip(hostile) {
        let headers = [
            ("trace".to_owned(), Some(payload.to_vec())),
            (String::new(), None),
        ];
        rows.push(
            Some(payload),
            payload,
            &headers,
            &violation("\x1b[31mred"),
            &meta(offset, Some(-offset)),
        );
    }
    rows.push(
        None,
        b"x",
        &[("name".to_owned(), Some(Vec::new()))],
        &violation(""),
        &meta(99, None),
    );
    rows.push(None, b"y", &[], &violation(""), &meta(100, None));
    assert_eq!(rows.len(), 8);

    let landed = landed(rows);
    assert_eq!(landed.len(), 8);
    for ((offset, payload), row) in (0..).zip(hostile).zip(&landed) {
        assert_eq!(row.payload, payload);
        assert_eq!(row.key.as_deref(), Some(payload));
        assert_eq!(row.headers[0].value.as_deref(), Some(payload));
        assert_eq!(
            row.headers[1],
            RejectedHeader {
                key: String::new(),
                value: None
            }
        );
        assert_eq!(
            (row.code.as_str(), row.found.as_str()),
            ("malformed_json", "\x1b[31mred")
        );
        assert_eq!((row.partition, row.offset), (PartitionId(3), Offset(offset)));
        assert_eq!(row.timestamp_micros, Some(-offset));
    }
    assert_eq!(
        landed[6].headers[0].value.as_deref(),
        Some(&b""[..]),
        "an empty value is not a missing one"
    );
    assert_eq!((landed[6].key.as_ref(), landed[6].timestamp_micros), (None, None));
    assert!(landed[7].headers.is_empty());
}

#[test]
fn the_memory_held_is_counted_before_it_is_spent_elsewhere() {
    let mut rows = RejectedRows::new();
    assert!(
        rows.bytes() < 4096,
        "{} bytes before the first record",
        rows.bytes()
    );
    let payload = vec![b'x'; 1 << 20];
    for offset in 0..32 {
        rows.push(
            Some(b"key"),
            &payload,
            &[("h".to_owned(), Some(b"v".to_vec()))],
            &violation("x"),
            &meta(offset, None),
        );
    }
    let held = rows.bytes();
    assert!(
        (32 << 20..80 << 20).contains(&held),
        "32 MiB of payload, {held} bytes counted"
    );
}

#[test]
fn a_file_of_something_else_is_refused_by_column() {
    let batch = RejectedRows::new()
        .finish()
        .batch
        .project(&[0, 1])
        .expect("two columns");
    assert_eq!(
        read_row(&batch, 0),
        Err(NotRejectedRows {
            column: column::KAFKA_TIMESTAMP
        })
    );
}

/// A file of records at these offsets, `millis` apart, every third with another code.
fn file_of(folder: &std::path::Path, name: &str, offsets: std::ops::Range<i64>) -> RejectedFile {
    let mut rows = RejectedRows::new();
    for offset in offsets.clone() {
        let code = if offset % 3 == 0 {
            Code::Minimum
        } else {
            Code::Type
        };
        let violation = Violation {
            code,
            ..violation("x")
        };
        let payload = format!("payload {offset}");
        rows.push(
            None,
            payload.as_bytes(),
            &[],
            &violation,
            &meta(offset, Some(offset * 1000)),
        );
    }
    let path = folder.join(name);
    let mut writer =
        ArrowWriter::try_new(File::create(&path).expect("a file"), arrow_schema(), None).expect("a writer");
    writer.write(&rows.finish().batch).expect("written");
    writer.close().expect("closed");
    RejectedFile {
        content: content_of(&path, (offsets.end - offsets.start) as u64),
        paths: vec![folder.join("not there"), path],
        times_micros: Some((offsets.start * 1000, (offsets.end - 1) * 1000)),
    }
}

fn content_of(path: &std::path::Path, rows: u64) -> FileContent {
    let content = std::fs::read(path).expect("readable");
    FileContent {
        bytes: content.len() as u64,
        sha256: Checksum::of(&content),
        rows,
    }
}

#[test]
fn a_scan_counts_all_that_passes_and_reads_the_newest_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = [
        file_of(folder.path(), "late", 20_000..40_000),
        file_of(folder.path(), "early", 0..20_000),
        file_of(folder.path(), "later", 40_000..40_010),
    ];
    let all = scan(&files, &RejectedFilter::default(), 15).expect("scanned");
    let payloads: Vec<String> = all
        .newest
        .iter()
        .map(|(_, row)| String::from_utf8_lossy(&row.payload).into_owned())
        .collect();
    let expected: Vec<String> = (39_995..40_010)
        .rev()
        .map(|offset| format!("payload {offset}"))
        .collect();
    assert_eq!(payloads, expected);
    assert_eq!(
        all.newest.iter().map(|(file, _)| *file).collect::<Vec<_>>(),
        [[2; 10].as_slice(), &[0; 5]].concat()
    );
    assert_eq!(
        all.counts[1],
        BTreeMap::from([("minimum".to_owned(), 6_667), ("type".to_owned(), 13_333)])
    );

    let filter = RejectedFilter {
        code: Some("minimum".into()),
        since_micros: Some(30_000_000),
        until_micros: Some(30_009_000),
    };
    let some = scan(&files, &filter, 100).expect("scanned");
    let offsets: Vec<i64> = some.newest.iter().map(|(_, row)| row.offset.0).collect();
    assert_eq!(
        offsets,
        [30_006, 30_003, 30_000],
        "until is exclusive, since inclusive"
    );
    assert_eq!(some.counts[0]["minimum"], 3);
    assert!(some.counts[1].is_empty() && some.counts[2].is_empty());
}

#[test]
fn files_outside_of_the_time_asked_for_are_not_opened() {
    let file = RejectedFile {
        paths: vec!["not there".into()],
        times_micros: Some((1000, 2000)),
        content: FileContent {
            bytes: 0,
            sha256: Checksum::of(b""),
            rows: 0,
        },
    };
    let until = RejectedFilter {
        until_micros: Some(1000),
        ..RejectedFilter::default()
    };
    assert!(
        scan(std::slice::from_ref(&file), &until, 1)
            .expect("not opened")
            .newest
            .is_empty()
    );
    let since = RejectedFilter {
        since_micros: Some(2000),
        ..RejectedFilter::default()
    };
    let error = scan(&[file], &since, 1).expect_err("opened").to_string();
    assert!(
        error.starts_with("rejected file not there cannot be read"),
        "{error}"
    );
}

#[test]
fn a_record_is_found_by_its_position() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = [
        file_of(folder.path(), "a", 0..9_000),
        file_of(folder.path(), "b", 8_500..10_000),
    ];
    let found = find(&files, PartitionId(3), Offset(8_700)).expect("read");
    assert_eq!(found.len(), 2, "once in each generation");
    assert!(found.iter().all(|(_, row)| row.payload == b"payload 8700"));
    assert!(
        find(&files, PartitionId(2), Offset(8_700))
            .expect("read")
            .is_empty()
    );
}

#[test]
fn a_damaged_file_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("cut.parquet");
    std::fs::write(&path, b"PAR1 and then nothing").expect("written");
    let file = RejectedFile {
        content: content_of(&path, 1),
        paths: vec![path],
        times_micros: None,
    };
    let error = scan(&[file], &RejectedFilter::default(), 1)
        .expect_err("refused")
        .to_string();
    assert!(error.contains("cut.parquet is damaged"), "{error}");
}

/// What Parquet's own headers claim is believed only of the very bytes that were committed.
#[test]
fn a_file_that_somebody_changed_is_refused_before_it_is_parsed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = file_of(folder.path(), "a", 0..100);
    let path = file.paths[1].clone();
    let whole = std::fs::read(&path).expect("readable");
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for (content, fault) in [
        (flipped, "its SHA-256 is"),
        (whole[1..].to_vec(), "bytes, expected"),
    ] {
        std::fs::write(&path, content).expect("written");
        let error = find(std::slice::from_ref(&file), PartitionId(3), Offset(1)).expect_err("refused");
        let error = error.to_string();
        assert!(
            error.contains("not the one that was committed") && error.contains(fault),
            "{error}"
        );
    }
}

#[test]
fn a_file_of_more_rows_than_were_committed_is_refused_before_its_rows_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut file = file_of(folder.path(), "a", 0..100);
    file.content.rows = 99;
    let error = find(std::slice::from_ref(&file), PartitionId(3), Offset(1)).expect_err("refused");
    assert!(
        error.to_string().contains("it has 100 rows, expected 99"),
        "{error}"
    );
}

#[test]
fn whole_records_come_a_few_at_a_time_and_are_copied_exactly() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = file_of(folder.path(), "a", 0..100);
    let mut copied = RejectedRows::new();
    let mut sizes = Vec::new();
    read_whole::<ScanError>(&file, 7, |rows| {
        sizes.push(rows.len());
        rows.iter().for_each(|row| copied.push_row(row));
        Ok(())
    })
    .expect("read");
    assert!(
        sizes.len() == 15 && sizes.iter().all(|size| *size <= 7),
        "{sizes:?}"
    );
    let mut originals = Vec::new();
    read_whole::<ScanError>(&file, 1000, |rows| {
        originals.extend(rows);
        Ok(())
    })
    .expect("read");
    assert_eq!(landed(copied), originals);
}

proptest! {
    #[test]
    fn any_bytes_come_back(
        records in prop::collection::vec(
            (
                prop::option::of(prop::collection::vec(any::<u8>(), 0..20)),
                prop::collection::vec(any::<u8>(), 0..200),
                prop::collection::vec((".{0,8}", prop::option::of(prop::collection::vec(any::<u8>(), 0..9))), 0..4),
                ".{0,20}",
                prop::option::of(any::<i64>()),
            ),
            0..40,
        )
    ) {
        let mut rows = RejectedRows::new();
        for (offset, (key, payload, headers, found, time)) in (0..).zip(&records) {
            rows.push(key.as_deref(), payload, headers, &violation(found), &meta(offset, *time));
        }
        let landed = landed(rows);
        prop_assert_eq!(landed.len(), records.len());
        for (row, (key, payload, headers, found, time)) in landed.iter().zip(&records) {
            prop_assert_eq!(&row.key, key);
            prop_assert_eq!(&row.payload, payload);
            prop_assert_eq!(&row.found, found);
            prop_assert_eq!(&row.timestamp_micros, time);
            let pairs: Vec<_> = row.headers.iter().map(|h| (h.key.clone(), h.value.clone())).collect();
            prop_assert_eq!(&pairs, headers);
        }
    }
}
