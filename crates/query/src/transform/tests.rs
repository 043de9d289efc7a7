//! What a transform makes of events, what it refuses, and which event it fails for.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray as _, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit};
use eventlake_core::violation::{Code, Verdict};

use super::*;

fn frame() -> Frame {
    let time = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Frame {
        columns: Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("type", DataType::Utf8, true),
            Field::new("email", DataType::Utf8, true),
            Field::new("created_at", time(), false),
            Field::new("_kafka_partition", DataType::Int32, false),
            Field::new("_kafka_offset", DataType::Int64, false),
            Field::new("_kafka_timestamp", time(), true),
        ])),
        traced: 3,
        event_time: Some("created_at".to_owned()),
    }
}

/// Events of these ids and types, at offsets from 0.
fn events(rows: &[(i64, Option<&str>)]) -> RecordBatch {
    let offsets = 0..rows.len() as i64;
    let times: Vec<i64> = offsets.clone().map(|offset| offset * 1_000_000).collect();
    let time = || Arc::new(TimestampMicrosecondArray::from(times.clone()).with_timezone("UTC")) as ArrayRef;
    let emails = rows.iter().map(|(id, _)| Some(format!("Person{id}@example.org")));
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|(id, _)| *id))),
        Arc::new(rows.iter().map(|(_, text)| *text).collect::<StringArray>()),
        Arc::new(emails.collect::<StringArray>()),
        time(),
        Arc::new(Int32Array::from(vec![7; rows.len()])),
        Arc::new(Int64Array::from_iter_values(offsets)),
        time(),
    ];
    RecordBatch::try_new(frame().columns, arrays).expect("they fit")
}

fn compile(select: Option<&str>, condition: Option<&str>) -> RowTransform {
    RowTransform::compile(select, condition, &frame())
        .unwrap_or_else(|errors| panic!("{select:?} {condition:?}: {errors:#?}"))
}

fn names(transform: &RowTransform) -> Vec<String> {
    let schema = transform.schema();
    schema.fields().iter().map(|field| field.name().clone()).collect()
}

fn texts(batch: &RecordBatch, name: &str) -> Vec<Option<String>> {
    let column = batch.column_by_name(name).expect(name);
    column
        .as_string::<i32>()
        .iter()
        .map(|text| text.map(str::to_owned))
        .collect()
}

fn offsets(batch: &RecordBatch) -> Vec<i64> {
    let column = batch.column_by_name("_kafka_offset").expect("traced");
    column.as_primitive::<Int64Type>().values().to_vec()
}

const TEAM: &str = "CASE type WHEN 'support' THEN 'Support team' WHEN 'technique' THEN 'Technical team' \
                    WHEN 'facturation' THEN 'Billing team' WHEN 'commercial' THEN 'Sales team' END AS support_team";

#[test]
fn columns_are_derived_masked_and_dropped() {
    let transform = compile(
        Some(&format!(
            "* REPLACE (regexp_replace(email, '^[^@]*', '***') AS email), {TEAM}"
        )),
        None,
    );
    assert_eq!(
        names(&transform),
        [
            "id",
            "type",
            "email",
            "created_at",
            "support_team",
            "_kafka_partition",
            "_kafka_offset",
            "_kafka_timestamp"
        ]
    );
    let (rows, verdicts) = transform.apply(&events(&[
        (1, Some("technique")),
        (2, None),
        (3, Some("commercial")),
    ]));
    assert_eq!(verdicts, vec![Verdict::Accepted; 3]);
    assert_eq!(rows.schema(), transform.schema());
    let team = |text: &str| Some(text.to_owned());
    assert_eq!(
        texts(&rows, "support_team"),
        [team("Technical team"), None, team("Sales team")]
    );
    assert_eq!(texts(&rows, "email"), vec![team("***@example.org"); 3]);
    assert_eq!(offsets(&rows), [0, 1, 2]);

    let dropped = compile(Some("* EXCLUDE (email)"), None);
    assert_eq!(names(&dropped)[..3], ["id", "type", "created_at"]);
    let named = compile(Some("created_at, id AS ticket"), None);
    assert_eq!(names(&named)[..3], ["created_at", "ticket", "_kafka_partition"]);
}

#[test]
fn rows_stay_for_which_the_condition_is_true_and_for_no_other() {
    let rows = [(1, Some("a")), (2, None), (3, Some("b")), (4, Some("a"))];
    let (kept, verdicts) = compile(None, Some("type <> 'b'")).apply(&events(&rows));
    use Verdict::{Accepted, Filtered};
    assert_eq!(
        verdicts,
        [Accepted, Filtered, Filtered, Accepted],
        "null is not true"
    );
    assert_eq!(offsets(&kept), [0, 3]);
    let (kept, verdicts) = compile(None, Some("NULL")).apply(&events(&rows));
    assert_eq!((kept.num_rows(), verdicts), (0, vec![Filtered; 4]));
    let (kept, verdicts) =
        compile(None, Some("_kafka_offset >= 2 AND _kafka_partition = 7")).apply(&events(&rows));
    assert_eq!((offsets(&kept), verdicts.len()), (vec![2, 3], 4));
    let (kept, verdicts) = compile(None, Some("id > 0")).apply(&events(&[]));
    assert_eq!((kept.num_rows(), verdicts.len()), (0, 0));
}

/// Against arithmetic of our own: a row fails alone, wherever it stands, and takes no other with it.
#[test]
fn an_event_that_it_fails_for_is_named_and_no_other_suffers() {
    let transform = compile(
        Some("*, 1000 / (id % 10) AS share, CAST(type AS BIGINT) AS number"),
        Some("id % 3 <> 0"),
    );
    let rows: Vec<(i64, String)> = (0..500)
        .map(|id| {
            (
                id,
                if id % 7 == 0 {
                    "no number".to_owned()
                } else {
                    (id * 2).to_string()
                },
            )
        })
        .collect();
    let borrowed: Vec<(i64, Option<&str>)> =
        rows.iter().map(|(id, text)| (*id, Some(text.as_str()))).collect();
    let (made, verdicts) = transform.apply(&events(&borrowed));
    let mut expected = Vec::new();
    for ((id, _), verdict) in rows.iter().zip(&verdicts) {
        if id % 3 == 0 {
            assert_eq!(
                *verdict,
                Verdict::Filtered,
                "{id}: what is filtered is not worked out"
            );
        } else if id % 10 == 0 || id % 7 == 0 {
            let Verdict::Rejected(violation) = verdict else {
                panic!("{id}: {verdict:?}");
            };
            let field = if id % 10 == 0 { "share" } else { "number" };
            assert_eq!(
                (violation.code, violation.field.as_str()),
                (Code::Transform, field),
                "{id}: {violation}"
            );
        } else {
            assert_eq!(*verdict, Verdict::Accepted, "{id}");
            expected.push((*id, 1000 / (id % 10), id * 2));
        }
    }
    let column = |name: &str| {
        made.column_by_name(name)
            .expect(name)
            .as_primitive::<Int64Type>()
            .values()
            .to_vec()
    };
    let made: Vec<_> = column("id")
        .into_iter()
        .zip(column("share"))
        .zip(column("number"))
        .map(|((a, b), c)| (a, b, c))
        .collect();
    assert_eq!(made, expected);
    assert!(expected.len() > 200);
}

/// The verdict on an event is that of the event alone: whatever batch it comes in, and at which place.
#[test]
fn a_verdict_does_not_depend_on_what_stands_beside_it() {
    let transform = compile(
        Some("*, CASE WHEN id > 5 THEN 100 / (id - 8) ELSE 0 END AS x"),
        Some("id <> 3 AND 10 / (id - 3) > -100 OR type = 'b'"),
    );
    let rows: Vec<(i64, Option<&str>)> = (0..64)
        .map(|n| (n * 7 % 12, [Some("a"), Some("b"), None][n as usize % 3]))
        .collect();
    let whole = events(&rows);
    let (_, together) = transform.apply(&whole);
    let alone: Vec<Verdict> = (0..rows.len())
        .flat_map(|row| transform.apply(&whole.slice(row, 1)).1)
        .collect();
    assert_eq!(together, alone);
    for length in [2, 3, 5, 17] {
        let parts = (0..rows.len()).step_by(length);
        let parted: Vec<Verdict> = parts
            .flat_map(|from| {
                transform
                    .apply(&whole.slice(from, length.min(rows.len() - from)))
                    .1
            })
            .collect();
        assert_eq!(together, parted, "batches of {length}");
    }
    assert!(
        together
            .iter()
            .any(|verdict| matches!(verdict, Verdict::Rejected(_))),
        "by zero"
    );
}

#[test]
fn sums_beyond_their_type_are_no_values() {
    let transform = compile(Some("*, id + 1 AS next, id * 2 AS twice"), None);
    let (made, verdicts) = transform.apply(&events(&[(1, None), (i64::MAX, None), (i64::MAX / 2 + 1, None)]));
    assert_eq!(made.num_rows(), 1);
    let fields: Vec<_> = verdicts
        .iter()
        .filter_map(|verdict| match verdict {
            Verdict::Rejected(violation) => Some(violation.field.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(fields, ["next", "twice"]);
}

#[test]
fn types_are_those_that_every_reader_takes() {
    let transform = compile(
        Some(
            "created_at, CAST(id AS SMALLINT) AS small, CAST(id AS REAL) AS real, arrow_cast(type, 'Utf8View') AS view, \
             CAST(created_at AS DATE) AS day, date_trunc('hour', created_at) AS hour_of, character_length(email) AS length, \
             arrow_cast(created_at, 'Timestamp(Nanosecond, None)') AS nanos, make_array(id, 2) AS list, \
             named_struct('a', id) AS inner, CAST(id AS DECIMAL(10, 2)) AS price, id > 1 AS flag",
        ),
        None,
    );
    let schema = transform.schema();
    let of = |name: &str| schema.field_with_name(name).expect(name).data_type().to_string();
    let micros = "Timestamp(µs, \"UTC\")";
    for (name, expected) in [
        ("small", "Int64"),
        ("real", "Float64"),
        ("view", "Utf8"),
        ("day", "Date32"),
        ("hour_of", micros),
        ("length", "Int64"),
        ("nanos", micros),
        ("price", "Decimal128(10, 2)"),
        ("flag", "Boolean"),
    ] {
        assert_eq!(of(name), expected, "{name}");
    }
    assert!(
        of("list").starts_with("List(") && of("inner").starts_with("Struct("),
        "{} {}",
        of("list"),
        of("inner")
    );
    let (made, verdicts) = transform.apply(&events(&[(5, Some("a")), (40_000, Some("b"))]));
    assert_eq!(made.num_rows(), 1, "{verdicts:?}");
    assert!(
        matches!(&verdicts[1], Verdict::Rejected(violation) if violation.field == "small"),
        "{verdicts:?}"
    );
    assert_eq!(
        made.column_by_name("small")
            .expect("small")
            .as_primitive::<Int64Type>()
            .value(0),
        5
    );
}

#[test]
fn what_cannot_be_a_transform_is_refused_with_its_place() {
    let (select, condition) = (TransformPart::Select, TransformPart::Where);
    for (piece, sql, place, words) in [
        (select, "*, emial", Some((1, 4)), "did you mean email?"),
        (
            select,
            "*,\n  lower(emial) AS x",
            Some((2, 9)),
            "did you mean email?",
        ),
        (select, "*, lower(email)", None, "add as and a name"),
        (select, "*, lower(email) AS email", None, ""),
        (select, "id", None, "leaves out created_at"),
        (
            select,
            "* REPLACE (created_at + INTERVAL '1 day' AS created_at)",
            None,
            "must pass as it is",
        ),
        (select, "*, id AS _kafka_row", None, "the lake's own"),
        (select, "*, id AS date", None, "key of the lake's time partitions"),
        (select, "*, id AS \"ID\"", None, "differ by case"),
        (select, "*, NULL AS nothing", None, "of no type"),
        (
            select,
            "*, created_at - created_at AS span",
            None,
            "does not keep",
        ),
        (
            select,
            "*, now() AS seen",
            None,
            "not the same for the same event",
        ),
        (
            select,
            "*, random() AS r",
            None,
            "not the same for the same event",
        ),
        (select, "created_at, count(*) AS n", None, ""),
        (select, "*, row_number() OVER () AS n", None, "other rows"),
        (select, "*, (SELECT 1) AS n", None, "other rows"),
        (select, "*, unnest(make_array(1, 2)) AS n", None, "other rows"),
        (select, "* FROM clicks", Some((1, 3)), ""),
        (select, "*, $1 AS n", None, ""),
        (select, "*; DROP TABLE x", Some((1, 2)), ""),
        (condition, "prio = 1", Some((1, 1)), "no column prio"),
        (condition, "id", None, "boolean"),
        (condition, "id = 1 ORDER BY id", Some((1, 8)), ""),
        (condition, "id IN (SELECT 1)", None, ""),
        (condition, "count(*) > 1", None, ""),
        (
            condition,
            "created_at > now()",
            None,
            "not the same for the same event",
        ),
        (condition, "id >", None, "expected"),
    ] {
        let compiled = match piece {
            TransformPart::Select => RowTransform::compile(Some(sql), None, &frame()),
            TransformPart::Where => RowTransform::compile(None, Some(sql), &frame()),
        };
        let errors = compiled.expect_err(sql);
        assert_eq!(errors.len(), 1, "{sql}: {errors:#?}");
        let line = errors[0].fault.on_one_line();
        assert_eq!(errors[0].part, piece, "{sql}");
        assert!(line.to_lowercase().contains(words), "{sql}: {line}");
        assert!(!line.contains('\n'), "{sql}: {line}");
        if place.is_some() {
            assert_eq!(errors[0].fault.place(), place, "{sql}: {line}");
        }
    }
    let both = RowTransform::compile(Some("x"), Some("y"), &frame()).expect_err("both are wrong");
    assert_eq!(both.len(), 2);
}
