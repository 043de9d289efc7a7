//! The output on a real PostgreSQL, which the environment names; cases that stop their server start one of their own:
//!
//! `EVENTLAKE_TEST_POSTGRES=$(scripts/postgres.sh start --port 0) cargo test --release --bin eventlake postgres -- --ignored`

mod encrypted;
#[path = "../../../../tests/support/postgres.rs"]
mod server;

use std::sync::Arc;
use std::time::Instant;

use arrow::array::{
    ArrayRef, AsArray as _, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray,
    DurationMillisecondArray, Float32Array, Float64Array, Int8Array, Int32Array, Int64Array, ListArray,
    RecordBatch, StringArray, StringViewArray, StructArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, TimestampNanosecondArray, UInt16Array, UInt32Array, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Fields, Int32Type, Int64Type, Schema, TimestampMicrosecondType};
use eventlake_core::names::ViewName;

use server::{OwnServer, psql};

use super::*;

/// The URL of the server that all cases share.
///
/// # Panics
/// Where the environment names none: a case that was asked for is never skipped.
fn shared() -> String {
    std::env::var("EVENTLAKE_TEST_POSTGRES").unwrap_or_else(|_| {
        panic!(
            "EVENTLAKE_TEST_POSTGRES is not set, so there is no PostgreSQL to test against\n\
             hint: EVENTLAKE_TEST_POSTGRES=$(scripts/postgres.sh start --port 0) cargo test --release --bin eventlake postgres -- --ignored"
        )
    })
}

/// A table that no other case uses, as an output shows it and as anybody sees it.
struct Case {
    output: Postgres,
    other: Connection,
    table: String,
}

impl Case {
    fn new(url: &str) -> Case {
        let table = format!("t{:016x}", rand::random::<u64>());
        let address = Address::parse(url).expect("a URL");
        let mut other = Connection::open(&address, &LIMITS).expect("a connection");
        other.run("SET timezone = 'UTC'").expect("set");
        let output = Postgres::new(Secret::new(url.to_owned()), table.clone());
        Case { output, other, table }
    }

    fn emit(&mut self, emitted: Emitted) -> Result<(), String> {
        emit(&mut self.output, emitted)
    }

    /// All that a table holds, a row a text.
    fn shown(&mut self) -> Vec<String> {
        let query = format!("SELECT t::text FROM {} t ORDER BY 1", quoted(&self.table));
        self.ask(&query)
    }

    /// The first column of what is answered.
    fn ask(&mut self, query: &str) -> Vec<String> {
        let rows = self
            .other
            .run(query)
            .unwrap_or_else(|error| panic!("{query}: {error}"));
        let firsts = rows.into_iter().map(|row| row.into_iter().next().flatten());
        firsts.map(Option::unwrap_or_default).collect()
    }

    fn as_of(&mut self) -> Vec<String> {
        let name = literal(&self.table);
        self.ask(&format!(
            "SELECT as_of FROM eventlake_views WHERE table_name = {name}"
        ))
    }
}

struct Emitted {
    as_of: u64,
    rows: RecordBatch,
    key: Vec<usize>,
    covers: Covers,
}

fn emit(output: &mut Postgres, emitted: Emitted) -> Result<(), String> {
    let windows = match emitted.covers {
        Covers::Windows => {
            let starts = emitted.rows.column(0);
            starts
                .as_primitive::<TimestampMicrosecondType>()
                .values()
                .to_vec()
        }
        Covers::Everything | Covers::NewRows => Vec::new(),
    };
    emit_of(output, emitted, "log-1", &windows)
}

fn emit_of(output: &mut Postgres, emitted: Emitted, lake: &str, windows: &[i64]) -> Result<(), String> {
    let view = ViewName::new("totals").expect("a name");
    let emission = Emission {
        view: &view,
        as_of: emitted.as_of,
        columns: &emitted.rows.schema(),
        key: &emitted.key,
        rows: std::slice::from_ref(&emitted.rows),
        covers: emitted.covers,
        lake,
        windows,
    };
    let outcome = output.emit(&emission, None);
    outcome.map(|_| ()).map_err(|error| format!("{error:#}"))
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let field = |(name, column): &(&str, ArrayRef)| Field::new(*name, column.data_type().clone(), true);
    let fields: Vec<Field> = columns.iter().map(field).collect();
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("rows")
}

/// How much each city has, everything there is.
fn totals(as_of: u64, rows: &[(Option<&str>, i64)]) -> Emitted {
    let cities: StringViewArray = rows.iter().map(|(city, _)| *city).collect();
    let totals = Int64Array::from_iter_values(rows.iter().map(|(_, total)| *total));
    Emitted {
        as_of,
        rows: batch(vec![("city", Arc::new(cities)), ("total", Arc::new(totals))]),
        key: vec![0],
        covers: Covers::Everything,
    }
}

/// How much each city has by window, whole windows.
fn windows(as_of: u64, rows: &[(i64, &str, i64)]) -> Emitted {
    let starts = TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.0 * 60_000_000));
    let cities = StringArray::from_iter_values(rows.iter().map(|row| row.1));
    let totals = Int64Array::from_iter_values(rows.iter().map(|row| row.2));
    Emitted {
        as_of,
        rows: batch(vec![
            (WINDOW, Arc::new(starts.with_timezone("UTC"))),
            ("city", Arc::new(cities)),
            ("total", Arc::new(totals)),
        ]),
        key: vec![0, 1],
        covers: Covers::Windows,
    }
}

#[test]
#[ignore = "needs a PostgreSQL: see the head of src/views/output/postgres/tests.rs"]
fn the_table_is_made_and_follows_the_view() {
    let mut case = Case::new(&shared());
    case.emit(totals(1, &[(Some("Oslo"), 1), (Some("Bern"), 2), (None, 3)]))
        .expect("made");
    assert_eq!(case.shown(), ["(,3)", "(Bern,2)", "(Oslo,1)"]);
    // One stays, the null's changes, one is gone, one is new.
    case.emit(totals(
        2,
        &[(Some("Oslo"), 1), (None, 4), (Some("it's \"Rome\"\\"), 5)],
    ))
    .expect("changed");
    assert_eq!(
        case.shown(),
        ["(\"it's \"\"Rome\"\"\\\\\",5)", "(,4)", "(Oslo,1)"]
    );
    case.emit(totals(3, &[])).expect("emptied");
    assert_eq!(case.shown(), Vec::<String>::new());
    assert_eq!(case.as_of(), ["3"]);
}

#[test]
#[ignore = "needs a PostgreSQL: see the head of src/views/output/postgres/tests.rs"]
fn rows_that_are_the_same_are_not_written_again() {
    let mut case = Case::new(&shared());
    let places = format!("SELECT ctid || xmin::text FROM {}", case.table);
    case.emit(totals(1, &[(Some("Oslo"), 1), (None, 3)]))
        .expect("made");
    let before = case.ask(&places);
    case.emit(totals(2, &[(Some("Oslo"), 1), (None, 3)]))
        .expect("the same");
    assert_eq!(case.ask(&places), before);
}

#[test]
#[ignore = "needs a PostgreSQL: see the head of src/views/output/postgres/tests.rs"]
fn an_older_state_never_replaces_a_newer_one() {
    let mut case = Case::new(&shared());
    case.emit(totals(5, &[(Some("Oslo"), 5)])).expect("made");
    case.emit(totals(4, &[(Some("Oslo"), 4)])).expect("passed over");
    let mut restarted = Postgres::new(Secret::new(shared()), case.table.clone());
    emit(&mut restarted, totals(4, &[(Some("Bern"), 4)])).expect("passed over");
    assert_eq!(
        (case.shown(), case.as_of()),
        (vec!["(Oslo,5)".to_owned()], vec!["5".to_owned()])
    );
    let begun_anew = totals(1, &[(Some("Rome"), 1)]);
    emit_of(&mut restarted, begun_anew, "log-2", &[]).expect("of another lake");
    assert_eq!(
        (case.shown(), case.as_of()),
        (vec!["(Rome,1)".to_owned()], vec!["1".to_owned()])
    );
    emit(&mut restarted, totals(5, &[(Some("Oslo"), 5)])).expect("of the first one again");
    emit(&mut restarted, totals(6, &[(Some("Oslo"), 6)])).expect("newer");
    assert_eq!(
        (case.shown(), case.as_of()),
        (vec!["(Oslo,6)".to_owned()], vec!["6".to_owned()])
    );
}

#[test]
#[ignore = "needs a PostgreSQL: see the head of src/views/output/postgres/tests.rs"]
fn a_window_that_comes_again_replaces_itself_alone() {
    let mut case = Case::new(&shared());
    case.emit(windows(1, &[(1, "Oslo", 1), (1, "Bern", 2), (2, "Oslo", 3)]))
        .expect("made");
    case.emit(windows(2, &[(1, "Oslo", 10), (1, "Rome", 4), (3, "Oslo", 5)]))
        .expect("changed");
    assert_eq!(
        case.shown(),
        [
            "(\"1970-01-01 00:01:00+00\",Oslo,10)",
            "(\"1970-01-01 00:01:00+00\",Rome,4)",
            "(\"1970-01-01 00:02:00+00\",Oslo,3)",
            "(\"1970-01-01 00:03:00+00\",Oslo,5)",
        ]
    );
    let mut more = windows(3, &[(2, "Bern", 6)]);
    more.covers = Covers::NewRows;
    case.emit(more).expect("added");
    assert_eq!(case.shown().len(), 5);
    let both = [60_000_000, 120_000_000];
    let one_without_rows = windows(4, &[(2, "Bern", 7)]);
    emit_of(&mut case.output, one_without_rows, "log-1", &both).expect("changed");
    assert_eq!(
        case.shown(),
        [
            "(\"1970-01-01 00:02:00+00\",Bern,7)",
            "(\"1970-01-01 00:03:00+00\",Oslo,5)",
        ]
    );
}

#[test]
#[ignore = "needs a PostgreSQL: see the head of src/views/output/postgres/tests.rs"]
fn a_view_without_a_key_is_one_row() {
    let mut case = Case::new(&shared());
    let row = |as_of, totals: Vec<Option<i64>>| Emitted {
        as_of,
        rows: batch(vec![("total", Arc::new(Int64Array::from(totals)))]),
        key: Vec::new(),
        covers: Covers::Everything,
    };
    case.emit(row(1, vec![Some(1)])).expect("made");
    case.emit(row(2, vec![None])).expect("changed");
    assert_eq!(case.shown(), ["()"]);
    case.emit(row(3, vec![Some(3)])).expect("changed");
    assert_eq!(case.shown(), ["(3)"]);
    case.emit(row(4, Vec::new())).expect("emptied");
    assert_eq!(case.shown(), Vec::<String>::new());
}

#[test]
#[ignore = "needs a PostgreSQL: see the head of src/views/output/postgres/tests.rs"]
fn every_type_comes_back_as_it_was() {
    let dictionary: DictionaryArray<Int32Type> = vec![Some("d"), None].into_iter().collect();
    let decimal = Decimal128Array::from(vec![Some(-12_345), None]);
    let decimal = decimal.with_precision_and_scale(10, 2).expect("a decimal");
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1), None]), None]);
    let inner = StringArray::from(vec![Some("nul \0 \\u0000"), None]);
    let fields = Fields::from(vec![Field::new("s", DataType::Utf8, true)]);
    let structure = StructArray::new(fields, vec![Arc::new(inner)], None);
    let moment = 1_600_000_000_123_456;
    let moments = TimestampMicrosecondArray::from(vec![Some(moment), None]);
    let nanos = TimestampNanosecondArray::from(vec![Some(moment * 1000 + 999), None]);
    let times = Time64MicrosecondArray::from(vec![Some(1_000_001), None]);
    // Each with the type and the text that PostgreSQL is to have for it.
    let cases: Vec<(ArrayRef, &str, &str)> = vec![
        (
            Arc::new(BooleanArray::from(vec![Some(true), None])),
            "boolean",
            "true",
        ),
        (
            Arc::new(Int8Array::from(vec![Some(i8::MIN), None])),
            "smallint",
            "-128",
        ),
        (
            Arc::new(Int32Array::from(vec![Some(i32::MIN), None])),
            "integer",
            "-2147483648",
        ),
        (
            Arc::new(Int64Array::from(vec![Some(i64::MIN), None])),
            "bigint",
            "-9223372036854775808",
        ),
        (
            Arc::new(UInt16Array::from(vec![Some(u16::MAX), None])),
            "integer",
            "65535",
        ),
        (
            Arc::new(UInt32Array::from(vec![Some(u32::MAX), None])),
            "bigint",
            "4294967295",
        ),
        (
            Arc::new(UInt64Array::from(vec![Some(u64::MAX), None])),
            "numeric(20,0)",
            "18446744073709551615",
        ),
        (Arc::new(Float32Array::from(vec![Some(0.1), None])), "real", "0.1"),
        (
            Arc::new(Float64Array::from(vec![Some(1e300), None])),
            "double precision",
            "1e+300",
        ),
        (
            Arc::new(Float64Array::from(vec![Some(f64::NAN), None])),
            "double precision",
            "NaN",
        ),
        (
            Arc::new(Float64Array::from(vec![Some(f64::NEG_INFINITY), None])),
            "double precision",
            "-Infinity",
        ),
        (Arc::new(decimal), "numeric(10,2)", "-123.45"),
        (
            Arc::new(StringArray::from(vec![Some("a\tb\n\\N\0é"), None])),
            "text",
            "a\tb\n\\N\u{fffd}é",
        ),
        (Arc::new(dictionary), "text", "d"),
        (
            Arc::new(BinaryArray::from(vec![Some(&b"\x00\xff\\"[..]), None])),
            "bytea",
            "\\x00ff5c",
        ),
        (
            Arc::new(Date32Array::from(vec![Some(18_518), None])),
            "date",
            "2020-09-13",
        ),
        (
            Arc::new(Date32Array::from(vec![Some(-719_163), None])),
            "date",
            "0001-12-31 BC",
        ),
        (
            Arc::new(Date32Array::from(vec![Some(i32::MIN), None])),
            "date",
            "-infinity",
        ),
        (Arc::new(times), "time without time zone", "00:00:01.000001"),
        (
            Arc::new(moments.clone()),
            "timestamp without time zone",
            "2020-09-13 12:26:40.123456",
        ),
        (
            Arc::new(moments.with_timezone("UTC")),
            "timestamp with time zone",
            "2020-09-13 12:26:40.123456+00",
        ),
        (
            Arc::new(nanos),
            "timestamp without time zone",
            "2020-09-13 12:26:40.123456",
        ),
        (
            Arc::new(DurationMillisecondArray::from(vec![Some(-61_001), None])),
            "interval",
            "-00:01:01.001",
        ),
        (Arc::new(list), "jsonb", "[1, null]"),
        (
            Arc::new(structure),
            "jsonb",
            "{\"s\": \"nul \u{fffd} \\\\u0000\"}",
        ),
    ];
    let names: Vec<String> = (0..cases.len()).map(|at| format!("c{at}")).collect();
    let columns = names
        .iter()
        .map(String::as_str)
        .zip(cases.iter().map(|case| Arc::clone(&case.0)));
    // Every column is of the key: each type can be compared, and a null is a value.
    let emitted = |as_of| Emitted {
        as_of,
        rows: batch(columns.clone().collect()),
        key: (0..cases.len()).collect(),
        covers: Covers::Everything,
    };
    let mut case = Case::new(&shared());
    case.emit(emitted(1)).expect("made");
    case.emit(emitted(2)).expect("a repeat");
    let table = case.table.clone();
    let ask = |name: &String| {
        format!(
            "SELECT {name}::text || '|' || pg_typeof({name}) FROM {table} WHERE c0 UNION ALL SELECT count(*)::text FROM {table}"
        )
    };
    for (name, (_, type_name, text)) in names.iter().zip(&cases) {
        let type_name = type_name.split('(').next().expect("a split has a first part");
        assert_eq!(
            case.ask(&ask(name)),
            [format!("{text}|{type_name}"), "2".to_owned()],
            "{name}"
        );
    }
}

#[test]
#[ignore = "needs a PostgreSQL: see the head of src/views/output/postgres/tests.rs"]
fn names_of_any_kind_are_names() {
    let mut case = Case::new(&shared());
    let schema = format!("S.{}", case.table);
    case.ask(&format!("CREATE SCHEMA {}", quoted(&schema)));
    let table = format!("{}.\"Ta\"\"ble; '\\é\"", quoted(&schema));
    let mut output = Postgres::new(Secret::new(shared()), table.clone());
    let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let long = "é".repeat(31);
    let rows = batch(vec![
        ("a\"b", Arc::clone(&column)),
        (&long, Arc::clone(&column)),
        ("select", Arc::clone(&column)),
        ("count(Int64(1))", column),
    ]);
    for as_of in [1, 2] {
        let emitted = Emitted {
            as_of,
            rows: rows.clone(),
            key: vec![0, 1],
            covers: Covers::Everything,
        };
        emit(&mut output, emitted).expect("shown");
    }
    assert_eq!(
        case.ask(&format!("SELECT sum({}) FROM {table}", quoted(&long))),
        ["3"]
    );
    let books = format!("SELECT table_name FROM {}.eventlake_views", quoted(&schema));
    assert_eq!(case.ask(&books), ["Ta\"ble; '\\é"]);
    let mut nowhere = Postgres::new(Secret::new(shared()), "no_such_schema.t".to_owned());
    let error = emit(&mut nowhere, totals(1, &[])).expect_err("no schema");
    assert!(
        error.contains("no_such_schema.t: schema \"no_such_schema\" does not exist"),
        "{error}"
    );
}

#[test]
#[ignore = "needs a PostgreSQL: see the head of src/views/output/postgres/tests.rs"]
fn a_table_of_another_shape_is_refused() {
    let mut case = Case::new(&shared());
    let table = case.table.clone();
    case.ask(&format!(
        "CREATE TABLE {table} (city text PRIMARY KEY, total text, note int NOT NULL)"
    ));
    let error = case
        .emit(totals(1, &[(Some("Oslo"), 1)]))
        .expect_err("another shape");
    let expected = format!(
        "view totals: PostgreSQL table {table}: it is there, but does not fit the view: column \"total\" is of type text, \
         expected bigint; column \"note\" is none of the view's, and takes no null. hint: change it"
    );
    assert!(error.starts_with(&expected), "{error}");
    case.ask(&format!(
        "DROP TABLE {table}; CREATE TABLE {table} (city text UNIQUE, total bigint)"
    ));
    let error = case
        .emit(totals(1, &[(Some("Oslo"), 1)]))
        .expect_err("its nulls are all different");
    assert!(
        error.contains("UNIQUE NULLS NOT DISTINCT (\"city\") is missing"),
        "{error}"
    );
    case.ask(&format!("DROP TABLE {table}; CREATE VIEW {table} AS SELECT 1"));
    let error = case.emit(totals(1, &[])).expect_err("no table");
    assert!(error.contains("no plain table"), "{error}");
    // Somebody's own table, which fits and has more.
    case.ask(&format!(
        "DROP VIEW {table}; CREATE TABLE {table} (id serial, total numeric, city text PRIMARY KEY)"
    ));
    case.emit(totals(1, &[(Some("Oslo"), 1)])).expect("it fits");
    case.emit(totals(2, &[(Some("Oslo"), 2)])).expect("it fits");
    assert_eq!(case.shown(), ["(1,2,Oslo)"]);
}

#[test]
#[ignore = "needs a PostgreSQL: see the head of src/views/output/postgres/tests.rs"]
fn writers_that_begin_at_once_make_one_table() {
    let mut case = Case::new(&shared());
    let writers = (1..=4).map(|as_of| {
        let mut output = Postgres::new(Secret::new(shared()), case.table.clone());
        std::thread::spawn(move || emit(&mut output, totals(as_of, &[(Some("Oslo"), 1), (None, 2)])))
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.join().expect("no panic").expect("shown");
    }
    assert_eq!((case.shown().len(), case.as_of()), (2, vec!["4".to_owned()]));
}

#[test]
#[ignore = "needs a PostgreSQL: see the head of src/views/output/postgres/tests.rs"]
fn two_views_cannot_share_a_table() {
    let mut case = Case::new(&shared());
    case.emit(totals(1, &[(Some("Oslo"), 1)])).expect("made");
    let name = literal(&case.table);
    case.ask(&format!(
        "UPDATE eventlake_views SET view_name = 'other' WHERE table_name = {name}"
    ));
    let error = case.emit(totals(2, &[])).expect_err("another's");
    assert!(error.contains("it shows the view other"), "{error}");
    assert_eq!(case.shown(), ["(Oslo,1)"]);
}

#[test]
#[ignore = "needs a PostgreSQL: see the head of src/views/output/postgres/tests.rs"]
fn fifty_thousand_rows_are_one_emission() {
    let mut case = Case::new(&shared());
    let rows = |as_of, from: i64| {
        let numbers = from..from + 50_000;
        let keys: StringArray = numbers
            .clone()
            .map(|n| (n % 10_000 != 0).then(|| format!("key {n}")))
            .collect();
        let totals = Int64Array::from_iter_values(numbers);
        // Several groups of nulls, which the second column tells apart.
        let parts = Int64Array::from_iter_values(0..50_000);
        Emitted {
            as_of,
            rows: batch(vec![
                ("key", Arc::new(keys)),
                ("part", Arc::new(parts)),
                ("total", Arc::new(totals)),
            ]),
            key: vec![0, 1],
            covers: Covers::Everything,
        }
    };
    let began = Instant::now();
    case.emit(rows(1, 0)).expect("made");
    // None of the keys is the same.
    case.emit(rows(2, 7)).expect("replaced");
    let table = case.table.clone();
    assert_eq!(
        case.ask(&format!("SELECT count(*) || ' ' || min(total) FROM {table}")),
        ["50000 7"]
    );
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

#[test]
#[ignore = "needs a PostgreSQL: see the head of src/views/output/postgres/tests.rs"]
fn nobody_is_told_the_password() {
    let url = shared();
    let (who, place) = url.rsplit_once('@').expect("a URL with a user");
    let wrong = format!("{}:hunter2@{place}", who.rsplit_once(':').expect("a password").0);
    let nowhere = "postgres://me:hunter2@127.0.0.1:1/db".to_owned();
    let refused = [
        (wrong, "password authentication failed"),
        (nowhere, "cannot be reached"),
    ];
    for (url, expected) in refused {
        let mut output = Postgres::new(Secret::new(url), "t".to_owned());
        let error = emit(&mut output, totals(1, &[])).expect_err("no way in");
        assert!(
            error.contains(expected) && error.contains("PostgreSQL table t"),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
#[ignore = "needs a PostgreSQL: see the head of src/views/output/postgres/tests.rs"]
fn a_server_that_was_restarted_or_killed_goes_on() {
    let server = OwnServer::start_with(&[]);
    let mut case = Case::new(&server.url);
    case.emit(totals(1, &[(Some("Oslo"), 1)])).expect("made");
    for (as_of, end) in [(2, "stop"), (3, "crash")] {
        server.script(&[end]);
        server.script(&["start"]);
        case.emit(totals(as_of, &[(Some("Oslo"), 1)]))
            .expect("over a new connection");
        server.script(&[end]);
        let error = case.emit(totals(9, &[])).expect_err("nobody is there");
        assert!(error.contains("cannot be reached"), "{error}");
        server.script(&["start"]);
        case.emit(totals(
            as_of,
            &[(Some("Oslo"), i64::try_from(as_of).expect("small"))],
        ))
        .expect("over a new connection");
        let mut seen = Case::new(&server.url);
        seen.table = case.table.clone();
        assert_eq!(seen.shown(), [format!("(Oslo,{as_of})")]);
    }
}

#[test]
#[ignore = "needs a PostgreSQL: see the head of src/views/output/postgres/tests.rs"]
fn a_server_that_hangs_is_not_waited_for() {
    let server = OwnServer::start_with(&[]);
    let mut case = Case::new(&server.url);
    case.output.limits = Limits {
        connect: Duration::from_secs(5),
        statement: Duration::from_secs(4),
        silence: Duration::from_secs(5),
    };
    case.emit(totals(1, &[(Some("Oslo"), 1)])).expect("made");
    server.script(&["freeze"]);
    // Once over the connection that there was, once over none.
    for _ in 0..2 {
        let began = Instant::now();
        let error = case.emit(totals(2, &[])).expect_err("it does not answer");
        assert!(error.contains("did not answer in time"), "{error}");
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    }
    server.script(&["thaw"]);
    case.output.limits = LIMITS;
    case.emit(totals(2, &[(Some("Oslo"), 2)]))
        .expect("it answers again");
    assert_eq!(case.shown(), ["(Oslo,2)"]);
}

#[test]
#[ignore = "needs a PostgreSQL: see the head of src/views/output/postgres/tests.rs"]
fn a_statement_that_waits_is_ended() {
    let mut case = Case::new(&shared());
    case.emit(totals(1, &[(Some("Oslo"), 1)])).expect("made");
    case.output.limits.statement = Duration::from_millis(300);
    let table = case.table.clone();
    case.ask(&format!("BEGIN; LOCK TABLE {table}"));
    let error = case.emit(totals(2, &[])).expect_err("somebody holds it");
    assert!(error.contains("statement timeout"), "{error}");
    case.ask("ROLLBACK");
    case.output.limits = LIMITS;
    case.emit(totals(2, &[])).expect("nobody holds it");
    assert_eq!(case.shown(), Vec::<String>::new());
}
