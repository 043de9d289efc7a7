//! The output on a server that speaks MongoDB's protocol, which the environment names; cases that stop their server start one of
//! their own, and one reads back by pymongo, of the Python that EVENTLAKE_PYTHON names:
//!
//! `EVENTLAKE_TEST_MONGO=$(scripts/mongo.sh start --port 0) cargo test --release --features mongodb --bin eventlake mongodb -- --ignored`
//!
//! The server is FerretDB over SQLite. It knows no decimal128, NaN, infinity or list within a list, which unit tests hold instead,
//! and stands still where an update looks at more than a hundred documents: collections are small here.

use std::process::{Command, Stdio};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray as _, BinaryArray, BooleanArray, Date32Array, DurationMillisecondArray, Float32Array,
    Int8Array, Int64Array, ListArray, RecordBatch, StringArray, StringViewArray, StructArray,
    Time64MicrosecondArray, TimestampMicrosecondArray, UInt32Array, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Fields, Int64Type, Schema, TimestampMicrosecondType};
use eventlake_core::names::ViewName;

use super::*;

/// The URL of the server that all cases share.
///
/// # Panics
/// Where the environment names none: a case that was asked for is never skipped.
fn shared() -> String {
    std::env::var("EVENTLAKE_TEST_MONGO").unwrap_or_else(|_| {
        panic!(
            "EVENTLAKE_TEST_MONGO is not set, so there is no server to test against\n\
             hint: EVENTLAKE_TEST_MONGO=$(scripts/mongo.sh start --port 0) cargo test --release --features mongodb --bin eventlake mongodb -- --ignored"
        )
    })
}

/// A server of a case's own, which it may stop.
struct OwnServer {
    folder: tempfile::TempDir,
    url: String,
}

impl OwnServer {
    fn start(more: &[&str]) -> OwnServer {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut server = OwnServer {
            folder,
            url: String::new(),
        };
        server.url = server.script(&[&["start", "--port", "0"], more].concat());
        server
    }

    fn script(&self, arguments: &[&str]) -> String {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/mongo.sh");
        let output = Command::new(script)
            .args(arguments)
            .arg("--dir")
            .arg(self.folder.path().join("server"))
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .expect("the script can be run");
        assert!(output.status.success(), "mongo.sh {arguments:?} failed");
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        self.script(&["stop"]);
    }
}

/// A collection that no other case uses, as an output shows it and as anybody sees it.
struct Case {
    output: Mongo,
    other: Session,
}

impl Case {
    fn new(url: &str) -> Case {
        let collection = format!("c{:016x}", rand::random::<u64>());
        Case {
            output: Mongo::new(Secret::new(url.to_owned()), None, collection),
            other: Session::open(&Secret::new(url.to_owned()), None, &LIMITS).expect("a session"),
        }
    }

    fn emit(&mut self, emitted: Emitted) -> Result<(), String> {
        emit(&mut self.output, emitted)
    }

    /// The collection as another client of the same server reaches it.
    fn target(&self) -> Target<'_> {
        Target {
            database: &self.other.database,
            concern: &self.other.concern,
            collection: &self.output.collection,
            limits: &LIMITS,
        }
    }

    fn ask(&self, command: RawDocumentBuf) -> Document {
        self.other
            .runtime
            .block_on(self.target().run(command))
            .expect("an answer")
    }

    fn find(&self, collection: &str, filter: RawDocumentBuf) -> Vec<Document> {
        let find = rawdoc! { "find": collection, "filter": filter, "batchSize": 1000, "singleBatch": true };
        let answer = self.ask(find);
        let batch = answer
            .get_document("cursor")
            .and_then(|cursor| cursor.get_array("firstBatch"));
        let batch = batch.expect("documents");
        batch
            .iter()
            .map(|one| one.as_document().expect("a document").clone())
            .collect()
    }

    /// The view's fields of all documents, one a text.
    fn shown(&self) -> Vec<String> {
        let mut shown: Vec<String> = self
            .find(&self.output.collection, rawdoc! {})
            .into_iter()
            .map(|document| {
                let own = |name: &str| name.starts_with('_');
                let fields = document.iter().filter(|(name, _)| !own(name));
                fields
                    .map(|(_, value)| value.to_string())
                    .collect::<Vec<_>>()
                    .join(" ")
            })
            .collect();
        shown.sort();
        shown
    }

    fn books(&self) -> Document {
        let id = self.output.collection.as_str();
        self.find(BOOKS, rawdoc! { "_id": id })
            .pop()
            .expect("it is noted")
    }

    fn as_of(&self) -> i64 {
        self.books().get_i64("as_of").expect("a number")
    }

    /// What was shown last, as the documentation says that it is read; none while it is not whole.
    fn whole(&self) -> Option<usize> {
        let books = self.books();
        let (as_of, lake) = (
            books.get_i64("as_of").expect("a number"),
            books.get_str("lake").expect("a text"),
        );
        let found = self
            .find(
                &self.output.collection,
                rawdoc! { "_as_of": as_of, "_lake": lake },
            )
            .len();
        let rows = books.get_i64("rows").expect("a number");
        (i64::try_from(found) == Ok(rows)).then_some(found)
    }
}

struct Emitted {
    as_of: u64,
    rows: RecordBatch,
    key: Vec<usize>,
    covers: Covers,
}

fn emit(output: &mut Mongo, emitted: Emitted) -> Result<(), String> {
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

fn emit_of(output: &mut Mongo, emitted: Emitted, lake: &str, windows: &[i64]) -> Result<(), String> {
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
#[ignore = "needs a server: see the head of src/views/output/mongodb/tests.rs"]
fn the_collection_is_made_and_follows_the_view() {
    let mut case = Case::new(&shared());
    case.emit(totals(1, &[(Some("Oslo"), 1), (Some("Bern"), 2), (None, 3)]))
        .expect("made");
    assert_eq!(case.shown(), ["\"Bern\" 2", "\"Oslo\" 1", "null 3"]);
    // One stays, the null's changes, one is gone, one is new.
    case.emit(totals(2, &[(Some("Oslo"), 1), (None, 4), (Some("$x.y"), 5)]))
        .expect("changed");
    assert_eq!(case.shown(), ["\"$x.y\" 5", "\"Oslo\" 1", "null 4"]);
    let oslo = case.find(&case.output.collection, rawdoc! { "_id": { "city": "Oslo" } });
    assert_eq!(oslo.len(), 1);
    assert_eq!(case.whole(), Some(3));
    case.emit(totals(3, &[])).expect("emptied");
    assert_eq!(case.shown(), Vec::<String>::new());
    assert_eq!(case.whole(), Some(0));
    assert_eq!(case.as_of(), 3);
    assert_eq!(case.books().get_str("view").expect("a text"), "totals");
}

#[test]
#[ignore = "needs a server: see the head of src/views/output/mongodb/tests.rs"]
fn an_older_state_never_replaces_a_newer_one() {
    let mut case = Case::new(&shared());
    case.emit(totals(5, &[(Some("Oslo"), 5)])).expect("made");
    case.emit(totals(4, &[(Some("Oslo"), 4)])).expect("passed over");
    let mut restarted = Mongo::new(Secret::new(shared()), None, case.output.collection.clone());
    emit(&mut restarted, totals(4, &[(Some("Bern"), 4)])).expect("passed over");
    assert_eq!((case.shown(), case.as_of()), (vec!["\"Oslo\" 5".to_owned()], 5));
    let begun_anew = totals(1, &[(Some("Rome"), 1)]);
    emit_of(&mut restarted, begun_anew, "log-2", &[]).expect("of another lake");
    assert_eq!((case.shown(), case.as_of()), (vec!["\"Rome\" 1".to_owned()], 1));
    emit(&mut restarted, totals(5, &[(Some("Oslo"), 5)])).expect("of the first one again");
    emit(&mut restarted, totals(6, &[(Some("Oslo"), 6)])).expect("newer");
    assert_eq!((case.shown(), case.as_of()), (vec!["\"Oslo\" 6".to_owned()], 6));
}

#[test]
#[ignore = "needs a server: see the head of src/views/output/mongodb/tests.rs"]
fn a_document_of_a_newer_emission_is_left_alone() {
    let mut case = Case::new(&shared());
    let cities = ["Oslo", "Bern", "Rome", "Kyiv"];
    let all = |total: i64| cities.map(|city| (Some(city), total));
    case.emit(totals(6, &all(6))).expect("made");
    // As when the writer of the newer one ended before it was noted; one city was not written yet.
    let collection = case.output.collection.clone();
    let mut none = RawArrayBuf::new();
    none.push(rawdoc! { "q": { "city": "Rome" }, "limit": 0 });
    case.ask(rawdoc! { "delete": collection.as_str(), "deletes": none });
    let mut back = RawArrayBuf::new();
    back.push(rawdoc! { "q": { "_id": collection.as_str() }, "u": { "$set": { "as_of": 3_i64 } } });
    case.ask(rawdoc! { "update": BOOKS, "updates": back });
    let mut restarted = Mongo::new(Secret::new(shared()), None, collection);
    restarted.limits.bulk.statements_max = 3;
    emit(&mut restarted, totals(5, &all(5))).expect("what is not newer");
    assert_eq!(
        case.shown(),
        ["\"Bern\" 6", "\"Kyiv\" 6", "\"Oslo\" 6", "\"Rome\" 5"]
    );
    assert_eq!(case.whole(), None);
    emit(&mut restarted, totals(6, &all(6))).expect("shown again");
    assert_eq!(case.whole(), Some(4));
}

#[test]
#[ignore = "needs a server: see the head of src/views/output/mongodb/tests.rs"]
fn a_writer_that_is_overtaken_leaves_nothing_behind() {
    let mut case = Case::new(&shared());
    case.emit(totals(6, &[(Some("Oslo"), 6)])).expect("made");
    // It had found nothing newer, and writes only now.
    let late = totals(5, &[(Some("Oslo"), 5), (Some("Bern"), 5)]);
    let emission = Emission {
        view: &ViewName::new("totals").expect("a name"),
        as_of: late.as_of,
        columns: &late.rows.schema(),
        key: &late.key,
        rows: std::slice::from_ref(&late.rows),
        covers: late.covers,
        lake: "log-1",
        windows: &[],
    };
    let shape = Shape::of(emission.columns, emission.key).expect("a shape");
    let stamp = Stamp::of(&emission).expect("a stamp");
    let writing = case.target();
    case.other
        .runtime
        .block_on(writing.write(&emission, &shape, &stamp))
        .expect("written");
    assert_eq!(
        (case.shown(), case.as_of(), case.whole()),
        (vec!["\"Oslo\" 6".to_owned()], 6, Some(1))
    );
}

#[test]
#[ignore = "needs a server: see the head of src/views/output/mongodb/tests.rs"]
fn a_window_that_comes_again_replaces_itself_alone() {
    let mut case = Case::new(&shared());
    case.emit(windows(1, &[(1, "Oslo", 1), (1, "Bern", 2), (2, "Oslo", 3)]))
        .expect("made");
    case.emit(windows(2, &[(1, "Oslo", 10), (1, "Rome", 4), (3, "Oslo", 5)]))
        .expect("changed");
    let totals_of = |case: &Case| -> Vec<String> {
        let shown = case.shown();
        shown
            .iter()
            .map(|row| row.split_once(") \"").expect("a time").1.to_owned())
            .collect()
    };
    let shown = case.shown();
    assert_eq!(
        totals_of(&case),
        ["Oslo\" 10", "Rome\" 4", "Oslo\" 3", "Oslo\" 5"],
        "{shown:?}"
    );
    let mut more = windows(3, &[(2, "Bern", 6)]);
    more.covers = Covers::NewRows;
    case.emit(more).expect("added");
    assert_eq!(case.shown().len(), 5);
    let both = [60_000_000, 120_000_000];
    let one_without_rows = windows(4, &[(2, "Bern", 7)]);
    emit_of(&mut case.output, one_without_rows, "log-1", &both).expect("changed");
    assert_eq!(totals_of(&case), ["Bern\" 7", "Oslo\" 5"]);
    let indexes = case
        .ask(rawdoc! { "listIndexes": case.output.collection.as_str() })
        .to_string();
    assert!(indexes.contains("\"window_start\""), "{indexes}");
}

#[test]
#[ignore = "needs a server: see the head of src/views/output/mongodb/tests.rs"]
fn rows_that_never_change_are_added_whenever_they_come() {
    let mut case = Case::new(&shared());
    let rows = |as_of, cities: &[(Option<&str>, i64)]| Emitted {
        covers: Covers::NewRows,
        ..totals(as_of, cities)
    };
    case.emit(rows(5, &[(Some("Oslo"), 1)])).expect("made");
    // Of a writer that is behind, and of one that ended in the middle of what it was told.
    case.emit(rows(4, &[(Some("Bern"), 2)])).expect("added");
    case.emit(rows(5, &[(Some("Oslo"), 1), (Some("Rome"), 3)]))
        .expect("added");
    assert_eq!(case.shown(), ["\"Bern\" 2", "\"Oslo\" 1", "\"Rome\" 3"]);
    assert_eq!(case.as_of(), 5);
}

#[test]
#[ignore = "needs a server: see the head of src/views/output/mongodb/tests.rs"]
fn a_view_without_a_key_is_one_document() {
    let mut case = Case::new(&shared());
    let row = |as_of, totals: Vec<Option<i64>>| Emitted {
        as_of,
        rows: batch(vec![("total", Arc::new(Int64Array::from(totals)))]),
        key: Vec::new(),
        covers: Covers::Everything,
    };
    case.emit(row(1, vec![Some(1)])).expect("made");
    case.emit(row(2, vec![None])).expect("changed");
    assert_eq!(case.shown(), ["null"]);
    case.emit(row(3, vec![Some(3)])).expect("changed");
    assert_eq!(case.shown(), ["3"]);
    case.emit(row(4, Vec::new())).expect("emptied");
    assert_eq!(case.shown(), Vec::<String>::new());
}

#[test]
#[ignore = "needs a server, and a Python with pymongo: see the head of src/views/output/mongodb/tests.rs"]
fn every_type_is_read_as_what_it_was_by_another_driver() {
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![Some(vec![Some(1), None]), None]);
    let inner = StringArray::from(vec![Some("s"), None]);
    let fields = Fields::from(vec![Field::new("s", DataType::Utf8, true)]);
    let structure = StructArray::new(fields, vec![Arc::new(inner)], None);
    let moments = TimestampMicrosecondArray::from(vec![Some(1_600_000_000_123_456), None]);
    // Each with what Python is to make of it.
    let cases: Vec<(ArrayRef, &str)> = vec![
        (Arc::new(BooleanArray::from(vec![Some(true), None])), "bool True"),
        (Arc::new(Int8Array::from(vec![Some(i8::MIN), None])), "int -128"),
        (
            Arc::new(UInt32Array::from(vec![Some(u32::MAX), None])),
            "Int64 4294967295",
        ),
        (Arc::new(UInt64Array::from(vec![Some(1), None])), "Int64 1"),
        (
            Arc::new(Int64Array::from(vec![Some(i64::MIN), None])),
            "Int64 -9223372036854775808",
        ),
        (Arc::new(Float32Array::from(vec![Some(0.5), None])), "float 0.5"),
        (
            Arc::new(StringArray::from(vec![Some("a\0é\n"), None])),
            "str 'a\\x00é\\n'",
        ),
        (
            Arc::new(BinaryArray::from(vec![Some(&b"\x00\xff"[..]), None])),
            "bytes b'\\x00\\xff'",
        ),
        (
            Arc::new(Date32Array::from(vec![Some(18_518), None])),
            "datetime datetime.datetime(2020, 9, 13, 0, 0)",
        ),
        (
            Arc::new(Time64MicrosecondArray::from(vec![Some(1_000_001), None])),
            "str '00:00:01.000001'",
        ),
        (
            Arc::new(moments),
            "datetime datetime.datetime(2020, 9, 13, 12, 26, 40, 123000)",
        ),
        (
            Arc::new(DurationMillisecondArray::from(vec![Some(-61_001), None])),
            "Int64 -61001000",
        ),
        (Arc::new(list), "list [1, None]"),
        (Arc::new(structure), "dict {'s': 's'}"),
    ];
    let names: Vec<String> = (0..cases.len()).map(|at| format!("c{at:02}")).collect();
    let columns = names
        .iter()
        .map(String::as_str)
        .zip(cases.iter().map(|case| Arc::clone(&case.0)));
    // Every column but the lists is of the key: each type can be compared, and a null is a value.
    let emitted = |as_of| Emitted {
        as_of,
        rows: batch(columns.clone().collect()),
        key: (0..cases.len() - 2).collect(),
        covers: Covers::Everything,
    };
    let mut case = Case::new(&shared());
    case.emit(emitted(1)).expect("made");
    case.emit(emitted(2)).expect("a repeat");
    let program = "import sys, pymongo\n\
                   documents = list(pymongo.MongoClient(sys.argv[1]).get_default_database()[sys.argv[2]].find({'_as_of': 2}))\n\
                   print(len(documents))\n\
                   for name, value in next(d for d in documents if d['c00']).items():\n\
                   \x20   if name[0] == 'c': print(type(value).__name__, repr(value))\n";
    let python = std::env::var("EVENTLAKE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output = Command::new(python)
        .args(["-c", program, &shared(), &case.output.collection])
        .env("PYTHONIOENCODING", "utf-8")
        .stderr(Stdio::inherit())
        .output()
        .expect("Python can be run");
    assert!(
        output.status.success(),
        "hint: EVENTLAKE_PYTHON names a Python with pymongo"
    );
    let read = String::from_utf8(output.stdout).expect("UTF-8");
    let expected: Vec<&str> = std::iter::once("2")
        .chain(cases.iter().map(|case| case.1))
        .collect();
    assert_eq!(read.lines().collect::<Vec<_>>(), expected);
}

#[test]
#[ignore = "needs a server: see the head of src/views/output/mongodb/tests.rs"]
fn many_rows_go_in_several_commands() {
    let mut case = Case::new(&shared());
    case.output.limits.bulk.statements_max = 7;
    let names: Vec<String> = (0..40).map(|n| format!("city {n:02}")).collect();
    let rows = |as_of, from: usize| {
        let rows: Vec<(Option<&str>, i64)> = names[from..from + 30]
            .iter()
            .map(|name| (Some(name.as_str()), 1))
            .collect();
        totals(as_of, &rows)
    };
    case.emit(rows(1, 0)).expect("made");
    case.emit(rows(2, 10)).expect("replaced");
    assert_eq!((case.shown().len(), case.whole()), (30, Some(30)));
    assert_eq!(case.shown()[0], "\"city 10\" 1");
}

#[test]
#[ignore = "needs a server: see the head of src/views/output/mongodb/tests.rs"]
fn writers_that_begin_at_once_make_one_collection() {
    let mut case = Case::new(&shared());
    let writers = (1..=4).map(|as_of| {
        let mut output = Mongo::new(Secret::new(shared()), None, case.output.collection.clone());
        std::thread::spawn(move || emit(&mut output, totals(as_of, &[(Some("Oslo"), 1), (None, 2)])))
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.join().expect("no panic").expect("shown");
    }
    // For MongoDB, one statement is one step, and the newest stands. For this server it is two, so the newest is said once more.
    case.emit(totals(4, &[(Some("Oslo"), 1), (None, 2)]))
        .expect("shown");
    assert_eq!((case.shown().len(), case.as_of(), case.whole()), (2, 4, Some(2)));
}

#[test]
#[ignore = "needs a server: see the head of src/views/output/mongodb/tests.rs"]
fn a_collection_of_somebody_else_is_refused() {
    let mut case = Case::new(&shared());
    let collection = case.output.collection.clone();
    let mut documents = RawArrayBuf::new();
    documents.push(rawdoc! { "_id": 1, "note": "mine" });
    case.ask(rawdoc! { "insert": collection.as_str(), "documents": documents });
    let error = case
        .emit(totals(1, &[(Some("Oslo"), 1)]))
        .expect_err("somebody's");
    let expected = format!(
        "view totals: MongoDB collection {collection}: it is there, and holds documents that no view wrote. hint: name another one"
    );
    assert!(error.starts_with(&expected), "{error}");
    assert_eq!(case.shown(), ["\"mine\""]);
    let mut case = Case::new(&shared());
    case.emit(totals(1, &[(Some("Oslo"), 1)])).expect("made");
    let mut others = RawArrayBuf::new();
    others.push(
        rawdoc! { "q": { "_id": case.output.collection.as_str() }, "u": { "$set": { "view": "other" } } },
    );
    case.ask(rawdoc! { "update": BOOKS, "updates": others });
    let error = case.emit(totals(2, &[])).expect_err("another's");
    assert!(error.contains("it shows the view other"), "{error}");
    assert_eq!(case.shown(), ["\"Oslo\" 1"]);
}

#[test]
#[ignore = "needs a server: see the head of src/views/output/mongodb/tests.rs"]
fn what_the_server_refuses_of_a_row_is_said() {
    let mut case = Case::new(&shared());
    let rows = batch(vec![("f", Arc::new(Float32Array::from(vec![f32::INFINITY])))]);
    let emitted = Emitted {
        as_of: 1,
        rows,
        key: Vec::new(),
        covers: Covers::Everything,
    };
    // MongoDB takes it; this server does not.
    let error = case.emit(emitted).expect_err("no infinity");
    assert!(
        error.contains("infinity values are not allowed) (error 2)"),
        "{error}"
    );
    assert_eq!(case.as_of(), 0);
}

#[test]
#[ignore = "needs a server: see the head of src/views/output/mongodb/tests.rs"]
fn nobody_is_told_the_password() {
    let url = shared();
    let (who, place) = url.rsplit_once('@').expect("a URL with a user");
    let user = who.rsplit_once(':').expect("a password").0;
    let refused = [
        (
            format!("{user}:hunter2@{place}"),
            "does not let the url's user in",
        ),
        (format!("mongodb://{place}"), "the user may not do that"),
        (
            format!("mongodb://{place}?tls=true"),
            "no server that takes writes can be reached",
        ),
        (
            "mongodb://me:hunter2@127.0.0.1:1/db".to_owned(),
            "no server that takes writes can be reached",
        ),
        ("mongodb://me:hun/ter2@127.0.0.1:1/db".to_owned(), "is ambiguous"),
    ];
    for (url, expected) in refused {
        let mut output = Mongo::new(Secret::new(url), None, "t".to_owned());
        output.limits.reach = Duration::from_secs(2);
        let error = emit(&mut output, totals(1, &[])).expect_err("no way in");
        assert!(
            error.contains(expected) && error.contains("MongoDB collection t"),
            "{error}"
        );
        assert!(error.contains("hint: "), "{error}");
        assert!(!error.contains("hunter2") && !error.contains("ter2"), "{error}");
    }
}

#[test]
#[ignore = "needs a server: see the head of src/views/output/mongodb/tests.rs"]
fn a_server_that_was_restarted_or_killed_goes_on() {
    let server = OwnServer::start(&[]);
    let mut case = Case::new(&server.url);
    case.output.limits.reach = Duration::from_secs(3);
    case.emit(totals(1, &[(Some("Oslo"), 1)])).expect("made");
    for (as_of, end) in [(2, "stop"), (3, "crash")] {
        server.script(&[end]);
        server.script(&["start"]);
        case.emit(totals(as_of, &[(Some("Oslo"), 1)]))
            .expect("over a new connection");
        server.script(&[end]);
        let error = case.emit(totals(9, &[])).expect_err("nobody is there");
        assert!(
            error.contains("no server that takes writes can be reached"),
            "{error}"
        );
        server.script(&["start"]);
        let total = i64::try_from(as_of).expect("small");
        case.emit(totals(as_of, &[(Some("Oslo"), total)]))
            .expect("over a new connection");
        let mut seen = Case::new(&server.url);
        seen.output.collection = case.output.collection.clone();
        assert_eq!(seen.shown(), [format!("\"Oslo\" {as_of}")]);
    }
}

#[test]
#[ignore = "needs a server: see the head of src/views/output/mongodb/tests.rs"]
fn a_server_that_hangs_is_not_waited_for() {
    let server = OwnServer::start(&[]);
    let mut case = Case::new(&server.url);
    case.output.limits.reach = Duration::from_secs(3);
    case.output.limits.silence = Duration::from_secs(4);
    case.emit(totals(1, &[(Some("Oslo"), 1)])).expect("made");
    server.script(&["freeze"]);
    // Once over the connection that there was, which the driver may give up before we do, and once over none.
    for _ in 0..2 {
        let began = Instant::now();
        let error = case.emit(totals(2, &[])).expect_err("it does not answer");
        let expected = [
            "did not answer in time",
            "no server that takes writes can be reached",
        ];
        assert!(
            expected.iter().any(|expected| error.contains(expected)),
            "{error}"
        );
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
    server.script(&["thaw"]);
    case.output.limits = LIMITS;
    case.emit(totals(2, &[(Some("Oslo"), 2)]))
        .expect("it answers again");
    assert_eq!(case.shown(), ["\"Oslo\" 2"]);
}

#[test]
#[ignore = "needs a server: see the head of src/views/output/mongodb/tests.rs"]
fn a_certificate_is_checked_against_authorities() {
    let server = OwnServer::start(&["--tls"]);
    let mut case = Case::new(&server.url);
    case.emit(totals(1, &[(Some("Oslo"), 1)]))
        .expect("its authority is named");
    assert_eq!(case.whole(), Some(1));
    // The machine's authorities do not know it.
    let (unnamed, _) = server.url.split_once("&tlsCAFile=").expect("it names the file");
    let mut output = Mongo::new(Secret::new(unnamed.to_owned()), None, "t".to_owned());
    output.limits.reach = Duration::from_secs(3);
    let error = emit(&mut output, totals(1, &[])).expect_err("an unknown authority");
    assert!(
        error.contains("invalid peer certificate: UnknownIssuer. hint: "),
        "{error}"
    );
}

#[test]
#[ignore = "needs a server: see the head of src/views/output/mongodb/tests.rs"]
fn an_emission_has_an_end() {
    let mut case = Case::new(&shared());
    case.emit(totals(1, &[(Some("Oslo"), 1)])).expect("made");
    case.output.limits.emission = Duration::ZERO;
    case.output.limits.row = Duration::ZERO;
    let error = case
        .emit(totals(2, &[(Some("Oslo"), 2)]))
        .expect_err("no time at all");
    assert!(error.contains("an emission took longer than 0 s"), "{error}");
    case.output.limits = LIMITS;
    case.emit(totals(2, &[(Some("Oslo"), 2)])).expect("time enough");
    assert_eq!(case.whole(), Some(1));
}
