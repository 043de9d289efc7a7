//! The windowed platform: teams, windows, a join, anomalies, alerts and PostgreSQL, each against a model in plain Rust.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::place::{PARTITIONS, Place, START, Said, Sent, time};
use crate::post::Post;
use crate::receiver::{Posts, is_signed_with};
use crate::server::psql;

const TOPICS: [&str; 4] = ["clicks", "views", "ratings", "client_tickets"];
const SECRET: &str = "a secret of the test's own";
/// The item that is suddenly clicked on.
const ITEM: i64 = 100_000;

/// What the example has landed, and what it was given.
struct Run {
    place: Place,
    sent: Vec<Sent>,
    said: Said,
    posts: Vec<Post>,
    receiver: Posts,
}

/// Lands a quarter of an hour of the shop, with a rush for one item and a wave of critical tickets in it.
fn run(postgres: &str) -> Run {
    let receiver = Posts::start();
    let mut place = Place::new("windowed-platform.toml", &TOPICS);
    place.set("PG_URL", postgres.to_owned());
    place.set("ALERT_URL", receiver.url.clone());
    place.set("ALERT_SECRET", SECRET.to_owned());
    // One roll, however slow the machine: no window is shown before all its rows are there.
    place.set("EVENTLAKE_LAKE_ROLL_INTERVAL", "10m".to_owned());
    place.check();
    let mut sent = place.generate(&TOPICS, 100, "7", "15m");
    for (topic, events) in own_events() {
        let offsets = (0..PARTITIONS).map(|partition| {
            let of_partition = |sent: &&Sent| sent.topic == topic && sent.partition == i64::from(partition);
            sent.iter().filter(of_partition).count() as i64
        });
        let mut offsets: Vec<i64> = offsets.collect();
        place.send(topic, &events);
        for (partition, event) in events {
            let next = &mut offsets[partition as usize];
            sent.push(Sent {
                topic: topic.to_owned(),
                partition: i64::from(partition),
                offset: *next,
                event,
            });
            *next += 1;
        }
    }
    let said = place.run(&["ingest", "--until-end"]);
    Run {
        place,
        sent,
        said,
        posts: receiver.taken(),
        receiver,
    }
}

/// A click on the item every 30 s and then a rush, ratings after clicks, critical tickets; and at the end an event in each
/// partition, which closes the windows.
fn own_events() -> [(&'static str, Vec<(i32, Value)>); 4] {
    let at = |secs: i64| (start() + TimeDelta::seconds(secs)).to_rfc3339();
    let click = |user: i64, item: i64, secs: i64| json!({"event_type": "click", "user_id": user, "item_id": item, "timestamp": at(secs), "page_url": "/", "click_duration": 0.5});
    let rating = |user: i64, item: i64, secs: i64| json!({"event_type": "rating", "user_id": user, "item_id": item, "timestamp": at(secs), "rating": 5});
    let ticket = |id: i64, secs: i64| {
        json!({"ticket_id": format!("own-{id}"), "client_id": 1, "created_at": at(secs), "request": "Aidez-moi",
               "type": "technique", "priority": if secs < 3_000 { "critique" } else { "basse" }})
    };
    let view = |secs: i64| json!({"event_type": "view", "user_id": 1, "item_id": 1, "timestamp": at(secs), "view_duration": 1.5, "device_type": "mobile"});
    let end = 3_600;
    let each = |event: &dyn Fn() -> Value| (0..PARTITIONS).map(|partition| (partition, event())).collect();
    let mut clicks: Vec<(i32, Value)> = (0..20).map(|n| (0, click(5_001, ITEM, 5 + n * 30))).collect();
    clicks.extend((0..40).map(|n| (0, click(5_002 + n, ITEM, 605 + n))));
    // Too early to compare with anything, and the last before a silence.
    clicks.extend((0..30).map(|n| (1, click(6_000 + n, ITEM + 1, 20 + n))));
    clicks.extend((0..30).map(|n| (2, click(6_000 + n, ITEM + 2, 890 + n))));
    clicks.extend::<Vec<_>>(each(&|| click(1, 1, end)));
    // Before the click, at its moment, after it twice, and of others.
    let led = [
        (5_003, ITEM, 600),
        (5_003, ITEM, 606),
        (5_003, ITEM, 620),
        (5_003, ITEM, 640),
        (5_004, 1, 650),
    ];
    let mut ratings: Vec<(i32, Value)> = led
        .iter()
        .map(|(user, item, secs)| (1, rating(*user, *item, *secs)))
        .collect();
    ratings.extend::<Vec<_>>(each(&|| rating(1, 1, end)));
    let mut tickets: Vec<(i32, Value)> = (0..20).map(|n| (2, ticket(n, 485 + n))).collect();
    tickets.extend::<Vec<_>>(each(&|| ticket(99, end)));
    let views = each(&|| view(end));
    [
        ("clicks", clicks),
        ("views", views),
        ("ratings", ratings),
        ("client_tickets", tickets),
    ]
}

fn start() -> DateTime<Utc> {
    time(&json!(START))
}

impl Run {
    fn of(&self, topic: &str) -> impl Iterator<Item = &Sent> {
        self.sent.iter().filter(move |sent| sent.topic == topic)
    }

    /// How far event time has come: to the newest event of the partition that is furthest behind, in seconds since 1970.
    fn watermark(&self, topic: &str) -> i64 {
        let mut newest: BTreeMap<i64, i64> = BTreeMap::new();
        for sent in self.of(topic) {
            let of_partition = newest.entry(sent.partition).or_insert(i64::MIN);
            *of_partition = (*of_partition).max(sent.at().timestamp());
        }
        assert_eq!(newest.len(), PARTITIONS as usize, "every partition has events");
        *newest.values().min().expect("partitions")
    }

    /// Clicks by window and item, in windows of 60 s every 10 s.
    fn clicks_by_item(&self) -> BTreeMap<(i64, i64), i64> {
        let closed = self.watermark("clicks");
        let mut clicks = BTreeMap::new();
        for click in self.of("clicks") {
            for window in windows_with(click.at(), 60, 10).filter(|window| window + 60 <= closed) {
                *clicks.entry((window, click.number("item_id"))).or_default() += 1;
            }
        }
        clicks
    }

    /// Items that are clicked on unusually often: by window and item the clicks, their mean before and the z-score.
    fn unusual_items(&self) -> BTreeMap<(i64, i64), (i64, f64, f64)> {
        let clicks = self.clicks_by_item();
        let items: BTreeSet<i64> = clicks.keys().map(|(_, item)| *item).collect();
        let mut unusual = BTreeMap::new();
        for window in self.unusual_windows() {
            let seen = |(at, _): &&(i64, i64)| (window..window + 360).contains(at);
            let starts: Vec<i64> = clicks.keys().filter(seen).map(|(at, _)| *at).collect();
            let (oldest, newest) = (window, window + 350);
            // Others have begun or ended in a silence.
            if starts.first() != Some(&oldest) || starts.last() != Some(&newest) {
                continue;
            }
            for item in &items {
                let count = |at: i64| clicks.get(&(at, *item)).copied().unwrap_or(0);
                let earlier: Vec<f64> = (oldest..=newest - 60)
                    .step_by(10)
                    .map(|at| count(at) as f64)
                    .collect();
                let mean = earlier.iter().sum::<f64>() / 30.0;
                let square = earlier.iter().map(|clicks| clicks * clicks).sum::<f64>() / 30.0;
                let deviation = (square - mean * mean).max(0.0).sqrt().max(1.0);
                let z_score = (count(newest) as f64 - mean) / deviation;
                if count(newest) > 0 && z_score > 3.0 {
                    unusual.insert((window, *item), (count(newest), mean, z_score));
                }
            }
        }
        unusual
    }

    /// Every window of 6 minutes with windows of clicks in it, all of them closed.
    fn unusual_windows(&self) -> impl Iterator<Item = i64> {
        let clicks = self.clicks_by_item();
        let first = clicks.keys().next().expect("clicks").0 - 350;
        let closed = self.watermark("clicks");
        (first..)
            .step_by(10)
            .take_while(move |window| window + 350 + 60 <= closed)
    }

    /// By window of a minute: tickets and critical ones among them.
    fn critical(&self) -> BTreeMap<i64, (i64, i64)> {
        let closed = self.watermark("client_tickets");
        let first = self.of("client_tickets").map(Sent::at).min().expect("tickets");
        let first = first.timestamp().div_euclid(60) * 60;
        let mut windows: BTreeMap<i64, (i64, i64)> =
            (first..=closed - 60).step_by(60).map(|at| (at, (0, 0))).collect();
        for ticket in self.of("client_tickets") {
            if let Some((tickets, critical)) = windows.get_mut(&(ticket.at().timestamp().div_euclid(60) * 60))
            {
                *tickets += 1;
                *critical += i64::from(ticket.text("priority") == "critique");
            }
        }
        windows
    }

    fn teams(&self) -> BTreeMap<String, (i64, i64)> {
        let mut teams: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for ticket in self.of("client_tickets") {
            let team = match ticket.text("type") {
                "support" => "Support team",
                "technique" => "Technical team",
                "facturation" => "Billing team",
                "commercial" => "Sales team",
                other => panic!("{other} has no team"),
            };
            let (tickets, critical) = teams.entry(team.to_owned()).or_default();
            *tickets += 1;
            *critical += i64::from(ticket.text("priority") == "critique");
        }
        teams
    }

    /// The rows of one of the example's files.
    fn rows(&self, name: &str) -> Vec<Value> {
        self.place.rows(&format!("output/platform/{name}"))
    }
}

/// When the windows begin that hold this time, in seconds since 1970.
fn windows_with(at: DateTime<Utc>, size: i64, slide: i64) -> impl Iterator<Item = i64> {
    let secs = at.timestamp();
    (secs - size + 1..=secs).filter(move |window| window.rem_euclid(slide) == 0)
}

/// When a row's window begins; asserts how long it is.
fn window(row: &Value, size: i64) -> i64 {
    let start = time(&row["window_start"]).timestamp();
    assert_eq!(time(&row["window_end"]).timestamp(), start + size, "{row}");
    start
}

fn number(row: &Value, name: &str) -> i64 {
    row[name].as_i64().unwrap_or_else(|| panic!("{name}: {row}"))
}

fn float(row: &Value, name: &str) -> f64 {
    row[name].as_f64().unwrap_or_else(|| panic!("{name}: {row}"))
}

/// The URL of a database where nobody listens: a port that was just given back.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    format!("postgres://nobody:nothing@{address}/none")
}

#[test]
fn every_output_but_a_database_that_is_away_has_the_values_of_a_model() {
    let run = run(&nobody());
    let away: Vec<&str> = run
        .said
        .stderr
        .lines()
        .filter(|line| line.contains("postgres"))
        .collect();
    assert!(
        away.iter()
            .any(|line| line.contains("the output does not take rows")),
        "{}",
        run.said.stderr
    );
    assert_teams_are_right(&run);
    assert_windows_are_right(&run);
    assert_joins_are_right(&run);
    assert_unusual_items_are_right(&run);
    assert_shares_are_right(&run);
    assert_alerts_are_right(&run);
    run.place.run(&["verify", "--kafka"]);
}

fn assert_teams_are_right(run: &Run) {
    let rows = run.rows("tickets_by_team.json");
    let shown: BTreeMap<String, (i64, i64)> = rows
        .iter()
        .map(|row| {
            let team = row["support_team"].as_str().expect("a team").to_owned();
            (team, (number(row, "tickets"), number(row, "critical")))
        })
        .collect();
    assert_eq!((shown.len(), rows.len()), (4, 4));
    assert_eq!(shown, run.teams());
    assert!(run.said.stdout.contains("Billing team"), "{}", run.said.stdout);
}

fn assert_windows_are_right(run: &Run) {
    let rows = run.rows("clicks_by_item.jsonl");
    let shown: BTreeMap<(i64, i64), i64> = rows
        .iter()
        .map(|row| ((window(row, 60), number(row, "item_id")), number(row, "clicks")))
        .collect();
    assert_eq!(rows.len(), shown.len(), "each window once");
    assert_eq!(shown, run.clicks_by_item());
}

fn assert_joins_are_right(run: &Run) {
    let closed = run.watermark("clicks").min(run.watermark("ratings"));
    let of_window = |at: DateTime<Utc>| at.timestamp().div_euclid(300) * 300;
    let mut expected: BTreeMap<(i64, i64, i64, i64), (i64, i64)> = BTreeMap::new();
    for click in run
        .of("clicks")
        .filter(|click| of_window(click.at()) + 300 <= closed)
    {
        let who = (click.number("user_id"), click.number("item_id"));
        for rating in run.of("ratings") {
            let is_led = who == (rating.number("user_id"), rating.number("item_id"))
                && click.at() < rating.at()
                && of_window(click.at()) == of_window(rating.at());
            if is_led {
                let key = (of_window(click.at()), who.0, who.1, click.at().timestamp_micros());
                let rated_at = rating.at().timestamp_micros();
                let (first, ratings) = expected.entry(key).or_insert((rated_at, 0));
                *first = (*first).min(rated_at);
                *ratings += 1;
            }
        }
    }
    assert!(
        expected.len() > 1 && expected.values().any(|(_, ratings)| *ratings == 2),
        "{expected:?}"
    );
    let rows = run.rows("clicks_that_led_to_ratings.jsonl");
    let shown: BTreeMap<(i64, i64, i64, i64), (i64, i64)> = rows
        .iter()
        .map(|row| {
            let clicked_at = time(&row["clicked_at"]).timestamp_micros();
            let key = (
                window(row, 300),
                number(row, "user_id"),
                number(row, "item_id"),
                clicked_at,
            );
            (
                key,
                (time(&row["rated_at"]).timestamp_micros(), number(row, "ratings")),
            )
        })
        .collect();
    assert_eq!(rows.len(), shown.len(), "each click once");
    assert_eq!(shown, expected);
}

fn assert_unusual_items_are_right(run: &Run) {
    let expected = run.unusual_items();
    let items: BTreeSet<i64> = expected.keys().map(|(_, item)| *item).collect();
    assert!(items.contains(&ITEM) && items.contains(&(ITEM + 2)), "{items:?}");
    assert!(!items.contains(&(ITEM + 1)), "nothing is said after a start");
    let rows = run.rows("unusual_items.jsonl");
    let shown: BTreeMap<(i64, i64), &Value> = rows
        .iter()
        .map(|row| ((window(row, 360), number(row, "item_id")), row))
        .collect();
    assert_eq!(shown.len(), rows.len());
    assert_eq!(
        shown.keys().collect::<Vec<_>>(),
        expected.keys().collect::<Vec<_>>()
    );
    for (key, (clicks, mean, z_score)) in expected {
        let row = shown[&key];
        assert_eq!(number(row, "clicks"), clicks, "{row}");
        assert_eq!(time(&row["since"]).timestamp(), key.0 + 350, "{row}");
        assert!((float(row, "mean") - mean).abs() < 1e-9, "{mean}: {row}");
        assert!((float(row, "z_score") - z_score).abs() < 1e-9, "{z_score}: {row}");
    }
}

fn assert_shares_are_right(run: &Run) {
    let rows = run.rows("critical_share.jsonl");
    let shown: BTreeMap<i64, (i64, i64)> = rows
        .iter()
        .map(|row| (window(row, 60), (number(row, "tickets"), number(row, "critical"))))
        .collect();
    assert_eq!(shown.len(), rows.len());
    assert_eq!(shown, run.critical());
    for row in &rows {
        let tickets = number(row, "tickets");
        if tickets == 0 {
            assert_eq!(row["share"], Value::Null, "{row}");
        } else {
            let share = number(row, "critical") as f64 / tickets as f64;
            assert!((float(row, "share") - share).abs() < 1e-9, "{row}");
        }
    }
}

/// What is told of one key, given its windows in order and whether the condition holds in each: when it begins, and when it is
/// over. Within the cooldown, which is longer than the test, nothing more is.
fn told(windows: impl Iterator<Item = (i64, bool)>) -> Vec<(i64, &'static str)> {
    let mut windows = windows.skip_while(|(_, holds)| !holds);
    let begins = windows.next().map(|(window, _)| (window, "firing"));
    let ends = windows
        .find(|(_, holds)| !holds)
        .map(|(window, _)| (window, "resolved"));
    begins.into_iter().chain(ends).collect()
}

fn assert_alerts_are_right(run: &Run) {
    let unusual = run.unusual_items();
    let mut expected: BTreeSet<(String, i64, String, String)> = BTreeSet::new();
    let items: BTreeSet<i64> = unusual.keys().map(|(_, item)| *item).collect();
    for item in items {
        let holds = |window: i64| {
            unusual
                .get(&(window, item))
                .is_some_and(|(clicks, _, z_score)| *clicks >= 20 && *z_score > 8.0)
        };
        for (window, status) in told(run.unusual_windows().map(|window| (window, holds(window)))) {
            let key = json!({"item_id": item}).to_string();
            expected.insert(("item_in_a_rush".to_owned(), window, status.to_owned(), key));
        }
    }
    assert!(!expected.is_empty());
    let critical = run.critical();
    let holds = |(tickets, critical): (i64, i64)| tickets >= 5 && critical * 2 > tickets;
    let of_tickets = told(critical.iter().map(|(window, counts)| (*window, holds(*counts))));
    assert_eq!(of_tickets.len(), 2, "a wave, and its end");
    for (window, status) in of_tickets {
        let name = "many_critical_tickets".to_owned();
        expected.insert((name, window, status.to_owned(), "{}".to_owned()));
    }

    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let posted: BTreeSet<(String, i64, String, String)> = run
        .posts
        .iter()
        .map(|post| {
            let alert = post.json();
            let window = time(&alert["window_start"]).timestamp();
            (
                text(&alert["alert"]),
                window,
                text(&alert["status"]),
                alert["key"].to_string(),
            )
        })
        .collect();
    assert_eq!(posted, expected);
    assert_eq!(posted.len(), run.posts.len(), "each once");
    let mut keys = BTreeSet::new();
    for post in &run.posts {
        assert!(is_signed_with(post, SECRET), "{}", post.json());
        assert!(!is_signed_with(post, "another"));
        assert!(keys.insert(post.header("idempotency-key").expect("a key").to_owned()));
        let alert = post.json();
        let is_ticket = alert["alert"] == "many_critical_tickets";
        assert_eq!(alert["severity"], if is_ticket { "critical" } else { "warning" });
        assert_eq!(
            alert["view"],
            if is_ticket {
                "critical_share"
            } else {
                "unusual_items"
            }
        );
    }
    for (name, _, status, _) in &expected {
        let severity = if name == "item_in_a_rush" {
            "warning"
        } else {
            "critical"
        };
        let line = format!("alert [{severity}] {name} {status}: ");
        let logged = run.said.stderr.matches(&line).count();
        let told = expected
            .iter()
            .filter(|told| (&told.0, &told.2) == (name, status))
            .count();
        assert_eq!(logged, told, "{line}: {}", run.said.stderr);
    }
    assert!(!run.said.stderr.contains(SECRET));
}

/// Needs a server: `EVENTLAKE_TEST_POSTGRES=$(scripts/postgres.sh start --port 0) cargo test --release --test examples -- --ignored`.
#[test]
#[ignore = "needs a PostgreSQL: scripts/postgres.sh"]
fn postgres_gets_the_totals_by_team_that_it_missed() {
    let server =
        std::env::var("EVENTLAKE_TEST_POSTGRES").expect("EVENTLAKE_TEST_POSTGRES is the server's URL");
    let database = format!("examples_{}", std::process::id());
    ask(&server, &format!("CREATE DATABASE {database}"));
    let (base, _) = server.rsplit_once('/').expect("a URL with a database");
    let url = format!("{base}/{database}");
    let mut run = run(&nobody());
    run.place.set("PG_URL", url.clone());
    run.place.run(&["ingest", "--until-end"]);
    assert!(run.receiver.taken().is_empty(), "no alert is told again");
    assert_teams_are_right(&run);
    let table = ask(
        &url,
        "SELECT support_team, tickets, critical FROM tickets_by_team ORDER BY support_team",
    );
    let expected: Vec<String> = run
        .teams()
        .iter()
        .map(|(team, (tickets, critical))| format!("{team}|{tickets}|{critical}"))
        .collect();
    assert_eq!(table.lines().collect::<Vec<_>>(), expected);
    let kept = ask(&url, "SELECT table_name, view_name FROM eventlake_views");
    assert!(kept.ends_with("tickets_by_team|tickets_by_team\n"), "{kept}");
    ask(&server, &format!("DROP DATABASE {database} WITH (FORCE)"));
}

/// The rows of a statement, a line each.
fn ask(url: &str, statement: &str) -> String {
    let output = psql(url, statement).output();
    let output = output.expect("psql is installed with the server");
    assert!(
        output.status.success(),
        "{statement}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}
