//! What views say, held against a query over all rows at once, however the rows were divided into commits; and every refusal.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::{SortColumn, cast};
use arrow::compute::{concat_batches, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use eventlake_core::commit::{
    Checksum, File, FileOffsets, FileSet, GenerationOrdinal, SchemaVersion, StageId, TimeSpan, TopicId,
};
use eventlake_core::config::PartitionBy;
use eventlake_core::names::{FilePath, TimePartition};
use eventlake_core::position::{Offset, PartitionId};
use eventlake_core::schema::EventTime;
use parquet::arrow::ArrowWriter;

use super::*;
use crate::error::QueryError;
use crate::lake::{LiveFile, Table};
use crate::session::{Limits, Session};

const S: i64 = 1_000_000;

/// A lake of two tables, `sales` and `visits`, whose files are written one by one.
struct Lake {
    folder: tempfile::TempDir,
    session: Session,
    files: [Vec<LiveFile>; 2],
}

const NAMES: [&str; 2] = ["sales", "visits"];

fn columns() -> SchemaRef {
    let time = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("shop", DataType::Utf8, true),
        Field::new("user", DataType::Int64, false),
        Field::new("price", DataType::Float64, true),
        Field::new("at", time(), false),
        Field::new("_kafka_partition", DataType::Int32, false),
        Field::new("_kafka_offset", DataType::Int64, false),
        Field::new("_kafka_timestamp", time(), true),
    ]))
}

/// One row: shop, user, price, second.
type Row = (Option<&'static str>, i64, Option<i64>, i64);

impl Lake {
    fn new() -> Lake {
        let folder = tempfile::tempdir().expect("a folder");
        let limits = Limits {
            memory_bytes: 256 << 20,
            spill_folder: folder.path().to_owned(),
            threads: 2,
        };
        Lake {
            folder,
            session: Session::new(&limits).expect("a session"),
            files: [Vec::new(), Vec::new()],
        }
    }

    /// Writes a file of rows whose offsets go on from the last one's.
    fn write(&mut self, table: usize, rows: &[Row]) -> LiveFile {
        let first: u64 = self.files[table].iter().map(|live| live.file.rows).sum();
        let first = i64::try_from(first).expect("few rows");
        let times: Vec<i64> = rows.iter().map(|row| row.3 * S).collect();
        let time =
            || Arc::new(TimestampMicrosecondArray::from(times.clone()).with_timezone("UTC")) as ArrayRef;
        // Quarters add up exactly in whatever order.
        let prices = rows.iter().map(|row| row.2.map(|price| price as f64 / 4.0));
        let offsets = first..first + rows.len() as i64;
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(rows.iter().map(|row| row.0).collect::<StringArray>()),
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1))),
            Arc::new(prices.collect::<Float64Array>()),
            time(),
            Arc::new(Int32Array::from(vec![0; rows.len()])),
            Arc::new(Int64Array::from_iter_values(offsets)),
            time(),
        ];
        let batch = RecordBatch::try_new(columns(), arrays).expect("they fit");
        let path = self.folder.path().join(format!("{table}-{first}.parquet"));
        let mut writer = ArrowWriter::try_new(std::fs::File::create(&path).expect("a file"), columns(), None)
            .expect("a writer");
        writer.write(&batch).expect("written");
        writer.close().expect("closed");
        let live = self.live(table, path, first, &times);
        self.files[table].push(live.clone());
        live
    }

    fn live(&self, table: usize, path: PathBuf, first: i64, times: &[i64]) -> LiveFile {
        let name = TableName::new(NAMES[table]).expect("a table");
        let topic_id = TopicId::new("kRy2mkLrQJmdc3ZNdm1bAQ").expect("an id");
        let hour = TimePartition::of(0, PartitionBy::Day).expect("a day");
        let stage = StageId::from_u128(first as u128 + 1);
        let rows = times.len() as u64;
        LiveFile {
            file: File {
                set: FileSet::Accepted,
                path: FilePath::new(&name, hour, stage, 0, &topic_id),
                generation: GenerationOrdinal(1),
                stage,
                bytes: std::fs::metadata(&path).expect("a file").len(),
                rows,
                sha256: Checksum::NONE,
                offsets: vec![FileOffsets {
                    partition: PartitionId(0),
                    from: Offset(first),
                    next: Offset(first + rows as i64),
                    rows,
                }],
                times: times
                    .iter()
                    .min()
                    .zip(times.iter().max())
                    .map(|(min, max)| TimeSpan {
                        min_micros: *min,
                        max_micros: *max,
                    }),
                schema_version: SchemaVersion::new("abc").expect("a version"),
            },
            places: vec![path],
        }
    }

    /// The tables with these files.
    fn tables(files: [Vec<LiveFile>; 2]) -> Vec<Table> {
        let table = |(name, files): (&str, Vec<LiveFile>)| Table {
            set: FileSet::Accepted,
            name: TableName::new(name).expect("a table"),
            columns: columns(),
            columns_version: SchemaVersion::new("abc").expect("a version"),
            event_time: EventTime::DateTime {
                field: "at".to_owned(),
            },
            partition_by: PartitionBy::Day,
            files,
        };
        NAMES.into_iter().zip(files).map(table).collect()
    }

    fn show(&mut self, files: [Vec<LiveFile>; 2]) {
        self.session.show(Lake::tables(files));
    }

    fn view(&mut self, sql: &str, by_window: bool) -> Result<View, QueryError> {
        self.show([Vec::new(), Vec::new()]);
        self.session.view(sql, by_window)
    }

    /// What a query says over all rows.
    fn ask(&mut self, sql: &str) -> Vec<RecordBatch> {
        self.show(self.files.clone());
        let stop = AtomicBool::new(false);
        let mut answer = self
            .session
            .run(sql, &stop)
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        let mut batches = Vec::new();
        while let Some(batch) = answer.next(&stop).expect("rows") {
            batches.push(batch);
        }
        batches
    }
}

/// The rows as text, sorted.
fn texts(batches: &[RecordBatch]) -> Vec<String> {
    let Some(first) = batches.first() else {
        return Vec::new();
    };
    let all = concat_batches(&first.schema(), batches).expect("of one schema");
    let columns: Vec<ArrayRef> = all
        .columns()
        .iter()
        .map(|column| cast(column, &DataType::Utf8).expect("a text"))
        .collect();
    let sorted = columns.iter().map(|column| SortColumn {
        values: Arc::clone(column),
        options: None,
    });
    let order = lexsort_to_indices(&sorted.collect::<Vec<_>>(), None).expect("sorted");
    let fields = columns.iter().enumerate();
    let fields = fields.map(|(index, _)| Field::new(index.to_string(), DataType::Utf8, true));
    let all =
        RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns).expect("texts");
    let all = take_record_batch(&all, &order).expect("taken");
    let cell = |row: usize| {
        move |column: &ArrayRef| {
            let texts = column
                .as_any()
                .downcast_ref::<StringArray>()
                .expect("texts")
                .clone();
            use arrow::array::Array as _;
            if texts.is_null(row) {
                "null".to_owned()
            } else {
                texts.value(row).to_owned()
            }
        }
    };
    (0..all.num_rows())
        .map(|row| all.columns().iter().map(cell(row)).collect::<Vec<_>>().join("|"))
        .collect()
}

/// Rows without a pattern that a mistake could hide behind, always the same.
fn some_rows(count: usize, seed: u64) -> Vec<Row> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut draw = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % below
    };
    let shops = [Some("north"), Some("south"), Some("west"), None];
    (0..count)
        .map(|_| {
            let shop = shops[draw(4) as usize];
            let price = (draw(9) > 0).then(|| draw(100) as i64 - 50);
            (shop, draw(20) as i64, price, draw(600) as i64)
        })
        .collect()
}

/// Every kind of running view.
const RUNNING: [&str; 14] = [
    "SELECT shop, count(*) AS n FROM sales GROUP BY shop",
    "SELECT shop, \"user\", sum(price) AS s, min(price) AS a, max(at) AS b FROM sales GROUP BY shop, \"user\"",
    "SELECT avg(price) AS p, count(price) AS n, count(*) AS m FROM sales",
    "SELECT shop, count(*) FILTER (WHERE price > 0) AS gains FROM sales WHERE \"user\" > 3 GROUP BY shop HAVING count(*) > 2",
    "SELECT shop, count(DISTINCT \"user\") AS users FROM sales GROUP BY shop",
    "SELECT shop, count(DISTINCT \"user\") AS users, count(DISTINCT price) AS prices, sum(price) AS s FROM sales GROUP BY shop",
    "SELECT DISTINCT shop, \"user\" % 3 AS third FROM sales",
    "SELECT upper(shop) || '!' AS name, sum(price) * 2 + 1 AS s FROM sales GROUP BY upper(shop)",
    "SELECT shop, n, rank() OVER (ORDER BY n DESC, shop) AS place FROM (SELECT shop, count(*) AS n FROM sales GROUP BY shop)",
    "SELECT max(n) AS most FROM (SELECT \"user\", count(*) AS n FROM sales GROUP BY \"user\")",
    "SELECT kind, count(*) AS n FROM (SELECT 'sale' AS kind, \"user\" FROM sales UNION ALL SELECT 'visit', \"user\" FROM visits) GROUP BY kind",
    "WITH paid AS (SELECT * FROM sales WHERE price > 0) SELECT date_trunc('minute', at) AS minute, count(*) AS n FROM paid GROUP BY 1",
    "SELECT shop, bool_or(price > 40) AS dear, bit_xor(\"user\") AS x, min(shop) AS s FROM sales GROUP BY shop",
    "SELECT \"user\", sum(price) AS s FROM sales GROUP BY \"user\" ORDER BY s DESC NULLS LAST, \"user\" LIMIT 5",
];

#[test]
fn a_running_view_says_what_a_query_over_all_rows_says() {
    for (number, sql) in RUNNING.into_iter().enumerate() {
        let mut lake = Lake::new();
        let view = lake
            .view(sql, false)
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(view.kind(), ViewKind::Running, "{sql}");
        let mut groups = Groups::none();
        let rows = some_rows(500, number as u64 + 1);
        for (commit, rows) in rows.chunks(97).enumerate() {
            let table = commit % 2;
            let sales = lake.write(0, rows);
            let visits = lake.write(1, &rows[..rows.len() / 2]);
            // Some commits add to one table, some to both, one to none.
            match table {
                0 => lake.show([vec![sales], vec![visits]]),
                _ => {
                    lake.show([vec![sales], vec![]]);
                    groups = lake.session.add_rows(&view, &groups).expect("added");
                    lake.show([vec![], vec![visits]]);
                }
            }
            groups = lake.session.add_rows(&view, &groups).expect("added");
            // As after a new start.
            let bytes = groups.to_bytes().expect("bytes");
            groups = lake.session.groups_of(&view, &bytes).expect("its own state");
            lake.show([vec![], vec![]]);
            let said = lake.session.result_of(&view, &groups).expect("rows");
            assert_eq!(texts(&said), texts(&lake.ask(sql)), "{sql} after commit {commit}");
            if let Some(first) = said.first() {
                let names = |columns: &SchemaRef| -> Vec<(String, DataType)> {
                    let fields = columns.fields().iter();
                    fields
                        .map(|field| (field.name().clone(), field.data_type().clone()))
                        .collect()
                };
                assert_eq!(names(&first.schema()), names(view.columns()), "{sql}");
            }
        }
    }
}

#[test]
fn a_view_without_rows_says_what_a_query_says() {
    for sql in RUNNING {
        let mut lake = Lake::new();
        let view = lake.view(sql, false).expect("a view");
        let said = lake.session.result_of(&view, &Groups::none()).expect("rows");
        let asked = lake.ask(sql);
        assert_eq!(texts(&said), texts(&asked), "{sql}");
    }
}

#[test]
fn its_key_tells_the_rows_of_a_view_apart() {
    let mut lake = Lake::new();
    let mut key = |sql: &str, by_window| {
        let view = lake
            .view(sql, by_window)
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        let fields = view.columns().fields().clone();
        view.key().map(|key| {
            let names = key.iter().map(|position| fields[*position].name().clone());
            names.collect::<Vec<_>>()
        })
    };
    let named = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    let grouped = "SELECT count(*) AS n, shop AS s, \"user\" FROM sales GROUP BY \"user\", shop";
    assert_eq!(key(grouped, false), named(&["user", "s"]));
    assert_eq!(key(grouped, true), named(&["window_start", "user", "s"]));
    assert_eq!(key("SELECT count(*) AS n FROM sales", false), named(&[]));
    assert_eq!(
        key("SELECT count(*) AS n FROM sales", true),
        named(&["window_start"])
    );
    assert_eq!(key("SELECT count(*) AS n FROM sales GROUP BY shop", false), None);
    assert_eq!(
        key("SELECT DISTINCT shop, \"user\" FROM sales", false),
        named(&["shop", "user"])
    );
    assert_eq!(
        key(
            "SELECT s.shop FROM sales s JOIN visits v ON s.\"user\" = v.\"user\"",
            true
        ),
        None
    );
    assert_eq!(
        key("SELECT shop FROM sales", false),
        named(&["_kafka_generation", "_kafka_partition", "_kafka_offset"])
    );
}

#[test]
fn a_view_of_rows_shows_each_row_with_where_it_came_from() {
    for (sql, expected) in [
        (
            "SELECT shop, price * 2 AS twice FROM sales WHERE price > 10",
            "SELECT shop, price * 2 AS twice, _kafka_partition, _kafka_offset, 3 FROM sales WHERE price > 10",
        ),
        ("SELECT * FROM sales", "SELECT *, 3 FROM sales"),
        (
            "SELECT x.shop FROM (SELECT shop, \"user\" FROM sales AS t WHERE \"user\" > 5) AS x",
            "SELECT shop, _kafka_partition, _kafka_offset, 3 FROM sales WHERE \"user\" > 5",
        ),
        (
            "SELECT _kafka_offset, shop FROM sales",
            "SELECT _kafka_offset, shop, _kafka_partition, 3 FROM sales",
        ),
    ] {
        let mut lake = Lake::new();
        let view = lake
            .view(sql, false)
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(view.kind(), ViewKind::Rows, "{sql}");
        let mut said = Vec::new();
        for rows in some_rows(200, 9).chunks(61) {
            let file = lake.write(0, rows);
            lake.show([vec![file], vec![]]);
            said.extend(lake.session.rows_of(&view, 3).expect("rows"));
        }
        assert_eq!(texts(&said), texts(&lake.ask(expected)), "{sql}");
    }
}

#[test]
fn a_window_says_what_a_query_over_its_time_says() {
    let join = "SELECT s.\"user\", count(*) AS n FROM sales s JOIN visits v ON s.\"user\" = v.\"user\" AND v.at <= s.at GROUP BY s.\"user\"";
    let ranked = "SELECT shop, price, row_number() OVER (PARTITION BY shop ORDER BY price, \"user\", at, _kafka_offset) AS place FROM sales";
    for sql in [RUNNING[0], RUNNING[2], join, ranked] {
        let mut lake = Lake::new();
        let view = lake
            .view(sql, true)
            .unwrap_or_else(|error| panic!("{sql}: {error}"));
        for rows in some_rows(300, 4).chunks(83) {
            lake.write(0, rows);
            lake.write(1, &some_rows(60, rows.len() as u64));
        }
        // Sliding ones, so that there are rows on many borders, and some that hold little or nothing.
        let sliding = (0..28).map(|number| (20 * number, 20 * number + 60));
        let others = [(300, 310), (590, 700), (5_000, 6_000)];
        let spans = sliding.chain(others).map(|(from, until)| Span {
            from: from * S,
            until: until * S,
        });
        let spans: Vec<Span> = spans.collect();
        let tables = Lake::tables(lake.files.clone());
        let together = lake.session.windows_of(&view, &spans, &tables).expect("rows");
        lake.session.hold_at_most(20_000);
        let halved = lake.session.windows_of(&view, &spans, &tables).expect("rows");
        for (place, span) in spans.into_iter().enumerate() {
            let alone = lake.session.windows_of(&view, &[span], &tables).expect("rows");
            let said = &alone[0];
            assert_eq!(texts(&together[place]), texts(said), "{sql} at {span:?}");
            assert_eq!(texts(&halved[place]), texts(said), "{sql} at {span:?}");
            let within = |table: &str| {
                format!(
                    "(SELECT * FROM {table} WHERE at >= to_timestamp_micros({}) AND at < to_timestamp_micros({}))",
                    span.from, span.until
                )
            };
            let asked = sql
                .replace("FROM sales", &format!("FROM {} AS", within("sales")))
                .replace("JOIN visits", &format!("JOIN {} AS", within("visits")));
            let asked = if asked.contains("AS s ") {
                asked
            } else {
                asked.replace(" AS GROUP", " AS sales GROUP")
            };
            let asked = if asked.ends_with(" AS") {
                asked + " sales"
            } else {
                asked
            };
            let expected: Vec<String> = texts(&lake.ask(&asked));
            let own: Vec<RecordBatch> = said
                .iter()
                .map(|batch| {
                    batch
                        .project(&(2..batch.num_columns()).collect::<Vec<_>>())
                        .expect("columns")
                })
                .collect();
            assert_eq!(texts(&own), expected, "{sql} at {span:?}");
        }
    }
}

#[test]
fn the_event_times_of_rows_come_with_their_partitions() {
    let mut lake = Lake::new();
    let file = lake.write(0, &[(None, 1, None, 7), (None, 2, None, 5)]);
    lake.show([vec![file], vec![]]);
    let event_time = EventTime::DateTime {
        field: "at".to_owned(),
    };
    let sales = TableName::new("sales").expect("a table");
    let times = lake.session.times_of(&sales, &event_time).expect("times");
    assert_eq!(times, [(0, 7 * S), (0, 5 * S)]);
    let times = lake.session.times_of(&sales, &EventTime::Kafka).expect("times");
    assert_eq!(times, [(0, 7 * S), (0, 5 * S)]);
}

#[test]
fn what_cannot_be_kept_up_to_date_is_refused() {
    let cases = [
        (
            "SELECT * FROM sales s JOIN visits v ON s.\"user\" = v.\"user\"",
            "a join needs a window",
        ),
        ("SELECT count(*) FROM sales s, visits v", "a join needs a window"),
        (
            "SELECT shop FROM sales ORDER BY shop",
            "there is nothing to sort or to limit",
        ),
        (
            "SELECT shop FROM sales LIMIT 3",
            "there is nothing to sort or to limit",
        ),
        (
            "SELECT rank() OVER (ORDER BY price) FROM sales",
            "OVER needs a window or groups below it",
        ),
        (
            "SELECT shop, array_agg(price) FROM sales GROUP BY shop",
            "depends on the order",
        ),
        ("SELECT first_value(price) FROM sales", "depends on the order"),
        ("SELECT median(price) FROM sales", "keep every value for ever"),
        ("SELECT now() AS t, count(*) FROM sales", "not the same each time"),
        (
            "SELECT shop FROM sales WHERE random() < 0.5",
            "not the same each time",
        ),
        (
            "SELECT count(*) FROM sales WHERE \"user\" IN (SELECT \"user\" FROM visits)",
            "a join needs a window",
        ),
        ("SELECT 1", "it reads no table"),
        (
            "SELECT shop FROM sales UNION ALL SELECT shop FROM visits",
            "reads one table",
        ),
        (
            "SELECT shop, count(*) FROM sales GROUP BY ROLLUP (shop)",
            "GROUPING SETS",
        ),
        (
            "SELECT table_name FROM information_schema.tables",
            "accepted rows alone",
        ),
        ("EXPLAIN SELECT 1", "a view is a SELECT"),
        ("SELECT shopp FROM sales", "no column shopp"),
        ("SELECT shop FROM sale", "did you mean sales?"),
        (
            "SELECT price AS _kafka_offset FROM sales",
            "give yours another name",
        ),
    ];
    for (sql, expected) in cases {
        let mut lake = Lake::new();
        match lake.view(sql, false) {
            Err(QueryError::Sql(fault)) => {
                assert!(fault.to_string().contains(expected), "{sql}: {fault}");
            }
            other => panic!("{sql}: {other:?}"),
        }
    }
    let mut lake = Lake::new();
    let clash = lake.view("SELECT shop AS window_end FROM sales", true);
    assert!(matches!(clash, Err(QueryError::Sql(fault)) if fault.to_string().contains("window_end")));
}

#[test]
fn the_state_of_another_view_is_not_taken_for_its_own() {
    let mut lake = Lake::new();
    let view = lake.view(RUNNING[0], false).expect("a view");
    let other = lake.view(RUNNING[1], false).expect("a view");
    assert_ne!(view.state_form(), other.state_form());
    let file = lake.write(0, &some_rows(10, 1));
    lake.show([vec![file], vec![]]);
    let groups = lake.session.add_rows(&view, &Groups::none()).expect("added");
    let bytes = groups.to_bytes().expect("bytes");
    assert!(lake.session.groups_of(&other, &bytes).is_none());
    assert!(lake.session.groups_of(&view, &bytes[..bytes.len() / 2]).is_none());
    assert!(lake.session.groups_of(&view, b"nothing of the kind").is_none());
}
