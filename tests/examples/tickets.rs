//! Counts of tickets that are always current, and every ticket as a line of JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::place::{Place, Sent, time};
use crate::wait::wait_until;

const TICKETS: usize = 100;

/// How many tickets have each value of these fields, ascending, as a view's rows.
fn counts(sent: &[Sent], fields: &[&str]) -> Vec<Value> {
    let mut counts: BTreeMap<Vec<&str>, u64> = BTreeMap::new();
    for ticket in sent {
        let values = fields.iter().map(|field| ticket.text(field)).collect();
        *counts.entry(values).or_default() += 1;
    }
    let row = |(values, count): (&Vec<&str>, &u64)| {
        let mut row = serde_json::Map::new();
        for (field, value) in fields.iter().zip(values) {
            row.insert((*field).to_owned(), json!(value));
        }
        row.insert("tickets".to_owned(), json!(count));
        Value::Object(row)
    };
    counts.iter().map(row).collect()
}

fn assert_counts(place: &Place, sent: &[Sent]) {
    for (name, fields) in [
        ("tickets_by_type", &["type"][..]),
        ("tickets_by_priority", &["priority"]),
        ("tickets_by_type_and_priority", &["type", "priority"]),
    ] {
        assert_eq!(
            place.rows(&format!("output/{name}.json")),
            counts(sent, fields),
            "{name}"
        );
    }
}

#[test]
fn counts_by_type_and_priority_are_current_in_files_and_on_the_console() {
    let place = Place::new("live-ticket-counts.toml", &["client_tickets"]);
    place.check();
    let mut sent = place.generate(&["client_tickets"], TICKETS, "7", "2h");
    let shown = place.run(&["ingest", "--until-end"]).stdout;
    assert_counts(&place, &sent);
    let shown: Vec<Vec<&str>> = shown
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    for row in counts(&sent, &["type", "priority"]) {
        let count = row["tickets"].to_string();
        let cells = vec![
            row["type"].as_str().expect("text"),
            row["priority"].as_str().expect("text"),
            &count,
        ];
        assert!(shown.contains(&cells), "{cells:?} in {shown:?}");
    }

    // Under a running daemon, the files come to hold the counts of what is sent.
    let daemon = place.start();
    sent.extend(place.generate(&["client_tickets"], TICKETS, "8", "1h"));
    wait_until("the counts of all tickets", || {
        let shown = place.rows("output/tickets_by_type_and_priority.json");
        shown == counts(&sent, &["type", "priority"])
    });
    daemon.stop();
    assert_counts(&place, &sent);
    assert_eq!(
        place.names("output"),
        [
            "tickets_by_priority.json",
            "tickets_by_type.json",
            "tickets_by_type_and_priority.json"
        ]
    );
}

#[test]
fn every_ticket_is_a_line_of_json_and_totals_are_replaced() {
    let place = Place::new("tickets-to-json.toml", &["client_tickets"]);
    place.check();
    let mut sent = place.generate(&["client_tickets"], TICKETS, "7", "2h");
    let shown = place.run(&["ingest", "--until-end"]).stdout;
    assert_every_ticket(&place, &sent);
    assert_totals(&place, &sent);
    assert!(
        shown.contains("every_ticket") && shown.contains("ticket_totals"),
        "{shown}"
    );

    let daemon = place.start();
    sent.extend(place.generate(&["client_tickets"], TICKETS, "8", "1h"));
    wait_until("the totals of all tickets", || {
        let rows = place.rows("output/ticket_totals.json");
        let shown: u64 = rows.iter().filter_map(|row| row["tickets"].as_u64()).sum();
        shown == sent.len() as u64
    });
    daemon.stop();
    assert_every_ticket(&place, &sent);
    assert_totals(&place, &sent);
    assert_eq!(place.names("output"), ["ticket_totals.json", "tickets.jsonl"]);
}

/// Each ticket once, with what it says and where it came from.
fn assert_every_ticket(place: &Place, sent: &[Sent]) {
    let expected: BTreeMap<(i64, i64), Value> = sent
        .iter()
        .map(|ticket| {
            let micros = ticket.at().timestamp_micros();
            let fields = ["ticket_id", "client_id", "type", "priority", "request"];
            let said: Vec<&Value> = fields.iter().map(|field| &ticket.event[*field]).collect();
            ((ticket.partition, ticket.offset), json!([said, micros]))
        })
        .collect();
    assert_eq!(expected.len(), sent.len());
    let rows = place.rows("output/tickets.jsonl");
    assert_eq!(rows.len(), sent.len());
    let shown: BTreeMap<(i64, i64), Value> = rows
        .iter()
        .map(|row| {
            let number = |name: &str| row[name].as_i64().unwrap_or_else(|| panic!("{name}: {row}"));
            let fields = ["ticket_id", "client_id", "type", "priority", "request"];
            let said: Vec<&Value> = fields.iter().map(|field| &row[*field]).collect();
            let micros = time(&row["created_at"]).timestamp_micros();
            (
                (number("_kafka_partition"), number("_kafka_offset")),
                json!([said, micros]),
            )
        })
        .collect();
    assert_eq!(shown, expected);
}

fn assert_totals(place: &Place, sent: &[Sent]) {
    let mut totals: BTreeMap<&str, (u64, u64, i64)> = BTreeMap::new();
    for ticket in sent {
        let (tickets, critical, newest) = totals.entry(ticket.text("type")).or_default();
        *tickets += 1;
        *critical += u64::from(ticket.text("priority") == "critique");
        *newest = (*newest).max(ticket.at().timestamp_micros());
    }
    let expected: Vec<Value> = totals
        .iter()
        .map(|(kind, (tickets, critical, newest))| json!([kind, tickets, critical, newest]))
        .collect();
    let rows = place.rows("output/ticket_totals.json");
    let shown: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!([
                row["type"],
                row["tickets"],
                row["critical"],
                time(&row["newest"]).timestamp_micros()
            ])
        })
        .collect();
    assert_eq!(shown, expected);
}
