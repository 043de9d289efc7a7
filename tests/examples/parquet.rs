//! Three topics as Parquet by the hour, and nothing else.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow::array::AsArray as _;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};

use crate::place::{Place, Sent};

const TOPICS: [&str; 3] = ["clicks", "views", "ratings"];
const DATA: &str = "data/topics-to-parquet/parquet";

/// Where a row came from: partition and offset.
type Position = (i64, i64);
/// Whose it is: user and item.
type Subject = (i64, i64);

#[test]
fn every_row_is_in_the_folder_of_its_hour_and_nothing_else_is_written() {
    let place = Place::new("topics-to-parquet.toml", &TOPICS);
    place.check();
    let sent = place.generate(&TOPICS, 120, "7", "5h");
    let said = place.run(&["ingest", "--until-end"]);
    assert_eq!(said.stdout, "", "there are no views");
    for topic in TOPICS {
        let mut expected: BTreeMap<(String, Position), Subject> = BTreeMap::new();
        for event in sent.iter().filter(|event| event.topic == topic) {
            let position = (event.partition, event.offset);
            expected.insert(
                (folder(event), position),
                (event.number("user_id"), event.number("item_id")),
            );
        }
        assert_eq!(expected.len(), 120);
        assert_eq!(landed(&place.path(DATA).join(topic)), expected, "{topic}");
    }
    let hours = place.names(&format!("{DATA}/clicks/date=2025-11-20"));
    assert!(hours.len() > 2, "several hours, found {hours:?}");
    assert_eq!(place.names("."), ["config", "confirmed.jsonl", "data"]);
    place.run(&["verify", "--kafka"]);
}

#[test]
fn rolls_are_ten_seconds_apart() {
    let place = Place::new("topics-to-parquet.toml", &TOPICS);
    let shown = place.run(&["check"]).stdout;
    assert!(shown.contains("rolls        every 10s"), "{shown}");
    assert_eq!(shown.matches("  hour\n").count(), 3, "{shown}");
}

/// Where an event belongs, below its table's folder.
fn folder(event: &Sent) -> String {
    event.at().format("date=%Y-%m-%d/hour=%H").to_string()
}

/// The rows of all files below a table's folder, by folder and position.
fn landed(table: &Path) -> BTreeMap<(String, Position), Subject> {
    let mut files = Vec::new();
    files_below(table, &mut files);
    let mut rows = BTreeMap::new();
    for path in files {
        let of_hour = path.parent().expect("a folder");
        let name = of_hour
            .strip_prefix(table)
            .expect("below it")
            .display()
            .to_string();
        let file = File::open(&path).expect("a file");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet");
        for batch in reader.build().expect("a reader") {
            let batch = batch.expect("rows");
            let column = |name: &str| {
                let values = batch.column_by_name(name).unwrap_or_else(|| panic!("no {name}"));
                let values = cast(values, &DataType::Int64).expect("integers");
                values.as_primitive::<Int64Type>().values().to_vec()
            };
            let (partitions, offsets) = (column("_kafka_partition"), column("_kafka_offset"));
            let (users, items) = (column("user_id"), column("item_id"));
            for row in 0..batch.num_rows() {
                let key = (name.clone(), (partitions[row], offsets[row]));
                let before = rows.insert(key, (users[row], items[row]));
                assert_eq!(before, None, "offset {} twice", offsets[row]);
            }
        }
    }
    rows
}

/// What `**/*.parquet` finds.
fn files_below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            found.push(path);
        }
    }
}
