//! What goes out: the same values in every format, complete files, and nothing that moves a terminal.

use std::fs::{self, File};
use std::io::Write as _;
use std::process::Stdio;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::shop::{accepted, shared};

const SOME: &str = "SELECT id, price, kind, at FROM orders WHERE id < 500 ORDER BY id";

#[test]
fn parquet_holds_what_json_says() {
    let shop = shared().copy();
    let json = shop.rows(SOME);
    let ended = shop.run(&["query", SOME, "--output", "some.parquet"]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(0), ""),
        "{}",
        ended.stderr
    );
    let piped = shop.run(&["query", SOME, "--format", "parquet"]);
    assert_eq!(piped.bytes, fs::read(shop.path("some.parquet")).expect("a file"));
    let file = File::open(shop.path("some.parquet")).expect("a file");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet");
    let batches: Result<Vec<RecordBatch>, _> = reader.build().expect("a reader").collect();
    let batches = batches.expect("rows");
    let mut row = 0;
    for batch in &batches {
        let ids = batch.column(0).as_primitive::<Int64Type>();
        let prices = batch.column(1).as_primitive::<Float64Type>();
        for index in 0..batch.num_rows() {
            assert_eq!(json[row]["id"], ids.value(index));
            let price = prices.iter().nth(index).expect("a row");
            assert_eq!(json[row]["price"].as_f64(), price);
            row += 1;
        }
    }
    assert_eq!(row, accepted().filter(|order| order.id < 500).count());
    assert_eq!(json.len(), row);
}

#[test]
fn csv_has_a_line_of_names_and_a_line_a_row() {
    let shop = shared();
    let ended = shop.run(&[
        "query",
        "SELECT id, price, kind FROM orders WHERE id < 30 ORDER BY id",
        "--format",
        "csv",
    ]);
    let mut expected = "id,price,kind\n".to_owned();
    for order in accepted().filter(|order| order.id < 30) {
        let price = order.price.map_or(String::new(), |price| format!("{price:?}"));
        expected.push_str(&format!("{},{price},{}\n", order.id, order.kind));
    }
    assert_eq!(ended.stdout, expected);
}

#[test]
fn columns_of_one_name_are_told_apart() {
    let sql = "SELECT a.id, b.id, a.kind FROM orders a JOIN orders b ON a.id + 1 = b.id WHERE a.id = 3";
    let ended = shared().run(&["query", sql, "--json"]);
    assert_eq!(
        ended.stdout, "{\"id\":3,\"id_1\":4,\"kind\":\"book\"}\n",
        "{}",
        ended.stderr
    );
}

#[test]
fn tables_are_aligned_and_say_null() {
    let ended = shared().run(&[
        "query",
        "SELECT 7 AS n, 'é' AS text, NULL AS nothing UNION ALL SELECT 1000, 'long', 'x' ORDER BY n",
    ]);
    assert_eq!(
        ended.stdout,
        "   n  text  nothing\n----  ----  -------\n   7  é     NULL\n1000  long  x\n"
    );
    let none = shared().run(&["query", "SELECT id FROM idle"]);
    assert_eq!(none.stdout, "id\n--\n");
}

#[test]
fn what_came_from_elsewhere_moves_no_terminal() {
    for format in ["table", "json"] {
        let ended = shared().run(&[
            "query",
            "SELECT payload, found FROM rejected.orders LIMIT 5",
            "--format",
            format,
        ]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stdout.contains("car"), "{}", ended.stdout);
        assert!(!ended.stdout.contains('\u{1b}'), "{:?}", ended.stdout);
    }
    let ended = shared().run(&["query", "SELECT 1 AS \"\u{1b}[2J\", chr(27) AS c"]);
    assert!(!ended.stdout.contains('\u{1b}'), "{:?}", ended.stdout);
    let ended = shared().run(&["query", "SELECT \u{1b}[2J FROM \"\u{1b}\""]);
    assert_eq!(ended.code, Some(2));
    assert!(!ended.stderr.contains('\u{1b}'), "{:?}", ended.stderr);
}

#[test]
fn the_statement_may_come_from_a_file_or_standard_input() {
    let shop = shared().copy();
    fs::write(
        shop.path("a.sql"),
        "-- how many\nSELECT count(*) AS n\nFROM orders;\n",
    )
    .expect("written");
    let expected = format!("{{\"n\":{}}}\n", accepted().count());
    let ended = shop.run(&["query", "--file", "a.sql", "--json"]);
    assert_eq!(ended.stdout, expected, "{}", ended.stderr);
    let mut child = shop
        .command(&["query", "--format", "json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin
        .write_all(b"SELECT count(*) AS n FROM orders")
        .expect("taken");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8(output.stdout).expect("UTF-8"), expected);
}

#[test]
fn an_answer_that_fails_leaves_no_file_and_the_old_one_as_it_was() {
    let shop = shared().copy();
    fs::write(shop.path("old.json"), "old").expect("written");
    let failing = "SELECT id / (id - 19999) FROM orders";
    let ended = shop.run(&["query", failing, "--output", "old.json"]);
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(
        ended.stderr.to_lowercase().contains("divide by zero"),
        "{}",
        ended.stderr
    );
    assert_eq!(fs::read_to_string(shop.path("old.json")).expect("a file"), "old");
    let left: Vec<_> = fs::read_dir(shop.path(""))
        .expect("a folder")
        .filter(|entry| {
            entry
                .as_ref()
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .contains(".part")
        })
        .collect();
    assert!(left.is_empty(), "{left:?}");
    let ended = shop.run(&["query", "SELECT 1 AS n", "--output", "old.json"]);
    assert_eq!(ended.code, Some(0));
    assert_eq!(
        fs::read_to_string(shop.path("old.json")).expect("a file"),
        "{\"n\":1}\n"
    );
}
