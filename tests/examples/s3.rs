//! Tickets by type and team as an object in S3: on a real server by value, and what can be said without one.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::bucket::Bucket;
use crate::place::{Place, Sent};
use crate::wait::wait_until;

const TICKETS: usize = 100;
const NAME: &str = "tickets_by_team.json";

fn team(kind: &str) -> &'static str {
    match kind {
        "support" => "Support team",
        "technique" => "Technical team",
        "facturation" => "Billing team",
        "commercial" => "Sales team",
        other => panic!("a type that nobody answers: {other}"),
    }
}

/// A row for each type and its team, as the view has it.
fn counts(sent: &[Sent]) -> Vec<Value> {
    let mut counts: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for ticket in sent {
        let (tickets, critical) = counts.entry(ticket.text("type")).or_default();
        *tickets += 1;
        *critical += u64::from(ticket.text("priority") == "critique");
    }
    assert_eq!(counts.len(), 4, "tickets of each type");
    let row = |(kind, (tickets, critical)): (&&str, &(u64, u64))| json!({"type": kind, "support_team": team(kind), "tickets": tickets, "critical": critical});
    counts.iter().map(row).collect()
}

fn objects(text: &str) -> Vec<Value> {
    let object = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    text.lines().map(object).collect()
}

#[test]
#[ignore = "needs an S3 server: EVENTLAKE_TEST_S3"]
fn the_object_in_s3_holds_the_counts_of_each_type_and_team() {
    let bucket = Bucket::shared();
    let mut place = Place::new("tickets-by-team-to-s3.toml", &["client_tickets"]);
    place.set("TICKETS_S3_URL", format!("{}{NAME}", bucket.url));
    for (name, value) in bucket.variables() {
        place.set(name, value);
    }
    place.check();
    let mut sent = place.generate(&["client_tickets"], TICKETS, "7", "2h");
    place.run(&["ingest", "--until-end"]);
    assert_eq!(objects(&bucket.text(NAME)), counts(&sent));
    // Under a running daemon it comes to hold the counts of what is sent.
    let daemon = place.start();
    sent.extend(place.generate(&["client_tickets"], TICKETS, "8", "1h"));
    wait_until("the counts of all tickets", || {
        objects(&bucket.text(NAME)) == counts(&sent)
    });
    daemon.stop();
    assert_eq!(objects(&bucket.text(NAME)), counts(&sent));
    assert_eq!(
        bucket.noted(NAME, "eventlakeview").as_deref(),
        Some("tickets_by_type_and_team")
    );
}

#[test]
fn tickets_have_their_team_and_a_store_that_is_away_stops_nothing() {
    let mut place = Place::new("tickets-by-team-to-s3.toml", &["client_tickets"]);
    place.set("TICKETS_S3_URL", format!("s3://bucket/{NAME}"));
    // Nobody listens there.
    place.set("AWS_ENDPOINT_URL", "http://127.0.0.1:9".to_owned());
    place.set("AWS_ACCESS_KEY_ID", "nobody".to_owned());
    place.set("AWS_SECRET_ACCESS_KEY", "hunter2/hunter2".to_owned());
    place.check();
    let sent = place.generate(&["client_tickets"], TICKETS, "7", "2h");
    let said = place.run(&["ingest", "--until-end"]);
    assert!(
        said.stderr.contains("S3 at 127.0.0.1:9: it cannot be reached"),
        "{}",
        said.stderr
    );
    assert!(!said.stderr.contains("hunter2"), "{}", said.stderr);
    let sql = "SELECT type, support_team, count(*) AS tickets, count(*) FILTER (WHERE priority = 'critique') AS critical \
               FROM tickets GROUP BY type, support_team ORDER BY type";
    let asked = place.run(&["query", "--quiet", sql, "--format", "json"]);
    assert_eq!(objects(&asked.stdout), counts(&sent));
    let checked = place.run(&["check"]).stdout;
    assert!(checked.contains("console, object"), "{checked}");
}
