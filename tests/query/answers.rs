//! Answers are those of an independent count, and only the files are read that can hold them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::shop::{Order, accepted, shared};

#[test]
fn aggregates_are_those_of_an_independent_count() {
    let mut expected: BTreeMap<&str, (i64, f64, i64)> = BTreeMap::new();
    for order in accepted() {
        let (count, sum, greatest) = expected.entry(order.kind).or_default();
        *count += 1;
        *sum += order.price.unwrap_or(0.0);
        *greatest = order.id.max(*greatest);
    }
    let rows = shared().rows(
        "SELECT kind, count(*) AS n, sum(price) AS total, max(id) AS last FROM orders GROUP BY kind ORDER BY kind",
    );
    let expected: Vec<Value> = expected
        .into_iter()
        .map(|(kind, (n, total, last))| json!({"kind": kind, "n": n, "total": total, "last": last}))
        .collect();
    assert_eq!(rows, expected);
    let users: BTreeSet<i64> = accepted().map(|order| order.id % 97).collect();
    assert_eq!(
        shared().value("SELECT count(DISTINCT \"userName\") FROM orders"),
        users.len()
    );
    let without = accepted().filter(|order| order.price.is_none()).count();
    assert_eq!(
        shared().value("SELECT count(*) FROM orders WHERE price IS NULL"),
        without
    );
}

#[test]
fn every_row_comes_back_as_it_was_sent() {
    let rows = shared().rows(
        "SELECT id, at, kind, price, place['city'] AS city, tags[1] AS tag, _kafka_partition AS p FROM public.orders ORDER BY id",
    );
    let sent: Vec<Order> = accepted().collect();
    assert_eq!(rows.len(), sent.len());
    for (row, order) in rows.iter().zip(&sent) {
        let at = chrono::DateTime::parse_from_rfc3339(row["at"].as_str().expect("a time")).expect("RFC 3339");
        assert_eq!(at.timestamp_micros(), order.at_micros);
        let expected = json!({"id": order.id, "at": row["at"], "kind": order.kind, "price": order.price,
            "city": order.city, "tag": "new", "p": order.id % 3});
        assert_eq!(*row, expected);
    }
}

#[test]
fn joins_windows_and_subqueries_are_those_of_an_independent_count() {
    let pairs = {
        let mut by_user: BTreeMap<i64, i64> = BTreeMap::new();
        accepted().for_each(|order| *by_user.entry(order.id % 97).or_default() += 1);
        by_user.values().map(|orders| orders * orders).sum::<i64>()
    };
    let joined =
        shared().value("SELECT count(*) FROM orders a JOIN orders b ON a.\"userName\" = b.\"userName\"");
    assert_eq!(joined, pairs);
    let dearest = accepted().filter_map(|order| order.price).fold(0.0, f64::max);
    let above = accepted().filter(|order| order.price == Some(dearest)).count();
    assert_eq!(
        shared().value("SELECT count(*) FROM orders WHERE price = (SELECT max(price) FROM orders)"),
        above
    );
    let second = shared().rows(
        "SELECT kind, id FROM (SELECT kind, id, row_number() OVER (PARTITION BY kind ORDER BY id) AS n FROM orders) \
         WHERE n = 2 ORDER BY kind",
    );
    for row in second {
        let of_kind: Vec<Order> = accepted().filter(|order| order.kind == row["kind"]).collect();
        assert_eq!(row["id"], of_kind[1].id);
    }
}

#[test]
fn refused_records_are_a_table_of_their_own() {
    let refused = crate::shop::ORDERS as usize - accepted().count();
    let rows = shared().rows("SELECT code, field, count(*) AS n FROM rejected.orders GROUP BY code, field");
    assert_eq!(rows, [json!({"code": "enum", "field": "kind", "n": refused})]);
    let first = shared().value(
        "SELECT CAST(payload AS VARCHAR) AS payload FROM rejected.orders WHERE _kafka_partition = 1 ORDER BY _kafka_offset LIMIT 1",
    );
    let first: Value = serde_json::from_str(first.as_str().expect("text")).expect("JSON");
    assert_eq!(first["id"], 7);
}

#[test]
fn a_table_without_rows_has_columns_all_the_same() {
    assert_eq!(shared().value("SELECT count(*) FROM idle"), 0);
    assert!(shared().rows("SELECT id, hour FROM idle WHERE id > 3").is_empty());
    assert!(shared().rows("SELECT * FROM rejected.idle").is_empty());
    let joined = "SELECT count(*) FROM orders JOIN idle USING (id)";
    assert_eq!(shared().value(joined), 0);
}

#[test]
fn the_lake_describes_itself() {
    let tables = shared().rows(
        "SELECT table_schema AS s, table_name AS t FROM information_schema.tables \
         WHERE table_schema <> 'information_schema' ORDER BY 1, 2",
    );
    let expected = [
        ("public", "idle"),
        ("public", "orders"),
        ("rejected", "idle"),
        ("rejected", "orders"),
    ];
    assert_eq!(tables, expected.map(|(s, t)| json!({"s": s, "t": t})));
    let described = shared().rows("DESCRIBE orders");
    let names: Vec<&Value> = described.iter().map(|row| &row["column_name"]).collect();
    assert_eq!(
        names,
        [
            "id",
            "at",
            "kind",
            "price",
            "userName",
            "tags",
            "place",
            "_kafka_partition",
            "_kafka_offset",
            "_kafka_timestamp",
            "date",
            "hour"
        ]
    );
    assert!(!shared().rows("SHOW TABLES").is_empty());
}

/// How many data files a plan names.
fn files_read(condition: &str) -> usize {
    let plan = shared().rows(&format!("EXPLAIN SELECT id FROM orders WHERE {condition}"));
    let physical = plan
        .iter()
        .find(|row| row["plan_type"] == "physical_plan")
        .expect("a plan");
    let plan = physical["plan"].as_str().expect("text");
    // DataFusion names the first few of many, and says that there are more.
    assert!(!plan.contains("..."), "{plan}");
    plan.matches(".parquet").count()
}

#[test]
fn only_files_are_read_that_can_hold_what_is_asked_for() {
    let all = shared().files("data/parquet").len();
    assert!(all >= 30, "{all} files");
    let in_hour = |files: &str| {
        let all = shared().files("data/parquet");
        all.iter()
            .filter(|path| path.display().to_string().contains(files))
            .count()
    };
    let one = in_hour("date=2026-11-21/hour=05/");
    assert!(one > 0);
    let asked = |condition: &str, rows: usize, files: usize| {
        let counted = shared().value(&format!("SELECT count(id + 0) FROM orders WHERE {condition}"));
        assert_eq!(counted, rows, "{condition}");
        assert_eq!(files_read(condition), files, "{condition}");
    };
    let rows = |of: &dyn Fn(&Order) -> bool| accepted().filter(of).count();
    asked(
        "date = '2026-11-21' AND hour = 5",
        rows(&|order| order.hour() == (21, 5)),
        one,
    );
    asked(
        "hour = 5 AND date > '2026-11-20'",
        rows(&|order| order.hour().1 == 5),
        one,
    );
    let from = "at >= '2026-11-21T05:00:00Z' AND at < '2026-11-21T06:00:00Z'";
    asked(from, rows(&|order| order.hour() == (21, 5)), one);
    asked("date = '2027-01-01'", 0, 0);
    asked("at < '2020-01-01T00:00:00Z'", 0, 0);
    asked("_kafka_partition = 9", 0, 0);
    asked("_kafka_offset < 0", 0, 0);
    // Each partition's first ten offsets are the first thirty orders: all of one hour.
    asked("_kafka_offset < 10", rows(&|order| order.id < 30), 1);
}

#[test]
fn counts_need_no_file() {
    let shop = shared().copy();
    for file in shop.files("data/parquet") {
        std::fs::remove_file(file).expect("removed");
    }
    assert_eq!(
        shop.value("SELECT count(*) FROM orders"),
        accepted().count(),
        "the log knows the rows of each file"
    );
}
