//! Figures are those of an independent count over what was sent.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::shop::{ORDERS, Order, accepted, shared};

fn table(arguments: &[&str]) -> Value {
    let ended = shared().run(&[&["report", "--json", "--table", "orders"], arguments].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let report: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    report["tables"][0].clone()
}

fn column(table: &Value, name: &str) -> Value {
    let columns = table["columns"].as_array().expect("columns");
    let found = columns.iter().find(|column| column["name"] == name);
    found
        .unwrap_or_else(|| panic!("no column {name}: {columns:?}"))
        .clone()
}

/// The value at rank ceil(n * percent / 100).
fn at_rank(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent).div_ceil(100) - 1]
}

#[test]
fn numbers_are_those_of_the_orders_sent() {
    let table = table(&[]);
    let rows = accepted().count();
    assert_eq!(table["rows"], rows);
    let commits = std::fs::read_dir(shared().path("checkpoints/orders")).expect("the log");
    let numbers = commits.filter_map(|entry| {
        let name = entry
            .expect("an entry")
            .file_name()
            .into_string()
            .expect("a name");
        name.strip_suffix(".json")?.parse::<u64>().ok()
    });
    assert_eq!(table["commit"].as_u64(), numbers.max());
    let price = column(&table, "price");
    let mut prices: Vec<f64> = accepted().filter_map(|order| order.price).collect();
    prices.sort_by(f64::total_cmp);
    assert_eq!(price["nulls"], rows - prices.len());
    let mut different = prices.clone();
    different.dedup();
    assert_eq!(
        (&price["distinct"], &price["estimated"]),
        (&json!(different.len()), &json!(false))
    );
    for (name, percent) in [("p5", 5), ("p25", 25), ("p50", 50), ("p75", 75), ("p95", 95)] {
        assert_eq!(price["quantiles"][name], at_rank(&prices, percent), "{name}");
    }
    let mean = prices.iter().sum::<f64>() / prices.len() as f64;
    assert!((price["mean"].as_f64().expect("a number") - mean).abs() < 1e-9);
    let histogram = price["histogram"].as_array().expect("bins");
    let within: u64 = histogram
        .iter()
        .map(|bin| bin["rows"].as_u64().expect("rows"))
        .sum();
    assert_eq!(within, prices.len() as u64);
    for (index, bin) in histogram.iter().enumerate() {
        let (from, to) = (
            bin["from"].as_f64().expect("from"),
            bin["to"].as_f64().expect("to"),
        );
        let is_last = index + 1 == histogram.len();
        let inside = |price: &&f64| **price >= from && (**price < to || is_last && **price == to);
        assert_eq!(bin["rows"], prices.iter().filter(inside).count(), "{bin}");
    }
}

#[test]
fn frequent_values_are_those_of_the_orders_sent() {
    let table = table(&["--top", "3"]);
    let expected = |of: fn(&Order) -> &'static str| {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        accepted().for_each(|order| *counts.entry(of(&order)).or_default() += 1);
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(value, rows)| (std::cmp::Reverse(*rows), *value));
        let counts = counts.into_iter().take(3);
        Value::from_iter(counts.map(|(value, rows)| json!({"value": value, "rows": rows})))
    };
    assert_eq!(column(&table, "kind")["top"], expected(|order| order.kind));
    assert_eq!(column(&table, "place.city")["top"], expected(|order| order.city));
    let tags = column(&table, "tags");
    assert_eq!(
        (&tags["type"], &tags["min"], &tags["max"]),
        (&json!("list"), &json!(2), &json!(2))
    );
}

#[test]
fn volume_is_that_of_the_hours_asked_for() {
    let table = table(&["--from", "2026-11-21T05:00:00Z", "--to", "2026-11-21T08:00:00Z"]);
    let steps = table["volume"]["steps"].as_array().expect("steps");
    let hours: Vec<i64> = vec![5, 6, 7];
    assert_eq!(steps.len(), hours.len());
    for (step, hour) in steps.iter().zip(hours) {
        let from = format!("2026-11-21T{hour:02}:00:00.000000Z");
        let rows = accepted().filter(|order| order.hour() == (21, hour)).count();
        assert_eq!(*step, json!({"from": from, "rows": rows}));
    }
}

#[test]
fn many_values_are_estimated_closely_and_said_to_be() {
    let table = table(&["--exact-up-to", "100"]);
    let id = column(&table, "id");
    assert_eq!((&id["estimated"], &id["top"]), (&json!(true), &Value::Null));
    let rows = accepted().count() as f64;
    let near = |found: &Value, expected: f64, part: f64| {
        let found = found.as_f64().expect("a number");
        assert!(
            (found - expected).abs() <= ORDERS as f64 * part,
            "{found}, expected {expected}"
        );
    };
    near(&id["distinct"], rows, 0.05);
    near(&id["quantiles"]["p50"], ORDERS as f64 / 2.0, 0.02);
    assert_eq!(column(&table, "kind")["estimated"], false);
}

#[test]
fn repeated_keys_are_those_of_the_orders_sent() {
    let mut counts: BTreeMap<(i64, &str), u64> = BTreeMap::new();
    accepted().for_each(|order| *counts.entry((order.id % 97, order.kind)).or_default() += 1);
    let table = table(&["--key", "orders=userName,kind"]);
    let found = &table["duplicates"];
    let surplus: u64 = counts.values().map(|rows| rows - 1).sum();
    let repeated = counts.values().filter(|rows| **rows > 1).count();
    assert_eq!(found["keys"], counts.len());
    assert_eq!(found["surplus_rows"], surplus);
    assert_eq!(found["repeated_keys"], repeated);
    assert_eq!(found["most"][0]["rows"], *counts.values().max().expect("some"));
    let unique = self::table(&["--key", "orders=id"]);
    assert_eq!(unique["duplicates"]["surplus_rows"], 0);
    assert_eq!(unique["duplicates"]["most"], json!([]));
}

#[test]
fn rejected_records_have_a_reason_and_an_example() {
    let table = table(&[]);
    let refused = ORDERS as usize - accepted().count();
    let reason = &table["rejected"]["reasons"][0];
    assert_eq!(
        (&reason["code"], &reason["field"]),
        (&json!("enum"), &json!("kind"))
    );
    assert_eq!(
        (&reason["rows"], &table["rejected"]["rows"]),
        (&json!(refused), &json!(refused))
    );
    let payload = reason["example"]["payload"].as_str().expect("a payload");
    let payload: Value = serde_json::from_str(payload).expect("the record's JSON");
    assert_eq!(payload["id"].as_i64().expect("an id") % 50, 7);
}
