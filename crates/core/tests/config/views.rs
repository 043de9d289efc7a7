//! `[[views]]`: what each setting comes to, and every kind of fault with its place.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use eventlake_core::config::{
    ObjectFormat, OutputConfig, OutputKind, ViewConfig, ViewStart, WindowConfig, known_variables,
};

use proptest::prelude::*;

use crate::case::{Case, FILE, GOOD, GOOD_VIEW};
use crate::edited;

const SECRETS: [&str; 4] = ["hunter2", "postgres://me:hunter2@db/x", "from a file", "s3cr3t"];

/// A good view with lines added to it.
fn with(added: &str) -> Case {
    Case::new(format!("{GOOD_VIEW}{added}\n"))
}

/// A view whose outputs are these.
fn with_outputs(outputs: &str) -> Case {
    Case::new(GOOD_VIEW.replace(r#"[{ to = "console" }]"#, outputs))
}

/// The one fault, behind its place; no secret is in it.
fn fault(case: Case) -> String {
    let faults = case.faults();
    assert_eq!(faults.lines().count(), 1, "{}: {faults:?}", case.text);
    for secret in SECRETS {
        assert!(!faults.contains(secret), "{faults}");
    }
    let (_, message) = faults.split_once(": ").expect("a place and a message");
    message.trim_end().to_owned()
}

fn view_of(case: Case) -> ViewConfig {
    let [view] = &case.config().views[..] else {
        panic!("one view")
    };
    view.clone()
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn a_view_needs_four_lines_and_the_defaults_work() {
    let view = view_of(Case::new(GOOD_VIEW));
    assert_eq!(
        (view.name.as_str(), view.sql.text.as_str()),
        ("v", "SELECT count(*) FROM events")
    );
    assert_eq!((view.window, view.every), (None, None));
    assert_eq!((view.start, view.groups_max), (ViewStart::Lake, 100_000));
    assert_eq!(view.outputs, [OutputConfig::Console { rows_max: 20 }]);
    assert!(Case::new(GOOD).config().views.is_empty());
}

#[test]
fn every_setting_of_a_view_reaches_its_place() {
    let view = view_of(with(
        "every = \"5s\"\nstart = \"now\"\nmax_groups = 7\nwindow = { size = \"60s\", slide = \"10s\", lateness = \"30s\" }",
    ));
    assert_eq!(view.every, Some(secs(5)));
    assert_eq!((view.start, view.groups_max), (ViewStart::Now, 7));
    let window = WindowConfig {
        size: secs(60),
        slide: secs(10),
        lateness: secs(30),
    };
    assert_eq!(view.window, Some(window));
}

#[test]
fn windows_tumble_and_take_what_is_a_minute_late_unless_told() {
    let window = view_of(with("window.size = \"1h\"")).window.expect("a window");
    assert_eq!(
        (window.size, window.slide, window.lateness),
        (secs(3600), secs(3600), secs(60))
    );
}

#[test]
fn every_output_reaches_its_place() {
    let outputs = r#"[
        { to = "console", rows = 3 }, { to = "json", path = "out/a.json" }, { to = "jsonl", path = "out/a.jsonl" },
        { to = "csv", path = "/tmp/a.csv" }, { to = "postgres", url_env = "PG", table = "t" },
        { to = "mongodb", url_env = "MONGO", database = "d", collection = "c" },
        { to = "webhook", url = "http://127.0.0.1:1/", secret_file = "password" },
        { to = "webhook", url_file = "address" }, { to = "object", url = "s3://b/x.csv" },
        { to = "object", url = "gs://b/p/", format = "parquet" }, { to = "object", url = "az://c/x", format = "json" }]"#;
    let view = view_of(
        with_outputs(outputs)
            .with("PG", "postgres://me:hunter2@db/x")
            .with("MONGO", "mongodb://me:hunter2@db"),
    );
    let kinds: BTreeSet<&str> = view.outputs.iter().map(OutputConfig::kind).collect();
    assert_eq!(kinds, OutputKind::ALL.map(OutputKind::name).into());
    let [
        console,
        json,
        jsonl,
        csv,
        postgres,
        mongodb,
        webhook,
        unsigned,
        objects @ ..,
    ] = &view.outputs[..]
    else {
        panic!("more outputs than {:?}", view.outputs)
    };
    assert_eq!(*console, OutputConfig::Console { rows_max: 3 });
    let path = |text: &str| PathBuf::from(text);
    assert_eq!(
        *json,
        OutputConfig::Json {
            path: path("out/a.json")
        }
    );
    assert_eq!(
        *jsonl,
        OutputConfig::JsonLines {
            path: path("out/a.jsonl")
        }
    );
    assert_eq!(
        *csv,
        OutputConfig::Csv {
            path: path("/tmp/a.csv")
        }
    );
    let OutputConfig::Postgres { url, table } = postgres else {
        panic!("not {postgres:?}")
    };
    assert_eq!(
        (url.reveal(), table.as_str()),
        ("postgres://me:hunter2@db/x", "t")
    );
    let OutputConfig::Mongodb {
        url,
        database,
        collection,
    } = mongodb
    else {
        panic!("not {mongodb:?}")
    };
    assert_eq!(
        (url.reveal(), database.as_deref(), collection.as_str()),
        ("mongodb://me:hunter2@db", Some("d"), "c")
    );
    let OutputConfig::Webhook {
        url,
        secret: Some(secret),
    } = webhook
    else {
        panic!("not {webhook:?}")
    };
    assert_eq!(
        (url.reveal(), secret.reveal()),
        ("http://127.0.0.1:1/", "from a file")
    );
    let OutputConfig::Webhook { url, secret: None } = unsigned else {
        panic!("not {unsigned:?}")
    };
    assert_eq!(url.reveal(), "https://example/hunter2");
    let object = |output: &OutputConfig| match output {
        OutputConfig::Object { address, format } => (address.to_string(), *format),
        other => panic!("not {other:?}"),
    };
    let expected = [
        ("s3://b/x.csv", ObjectFormat::Csv),
        ("gs://b/p/", ObjectFormat::Parquet),
        ("az://c/x", ObjectFormat::JsonLines),
    ];
    let expected = expected.map(|(url, format)| (url.to_owned(), format));
    assert_eq!(objects.iter().map(object).collect::<Vec<_>>(), expected);
    let shown = format!("{view:?} {view:#?}");
    assert!(!SECRETS.iter().any(|secret| shown.contains(secret)), "{shown}");
}

#[test]
fn outputs_may_be_tables_with_headers_of_their_own() {
    let text = GOOD_VIEW.replace(
        "outputs = [{ to = \"console\" }]",
        "[[views.outputs]]\nto = \"csv\"\npath = \"a.csv\"",
    );
    assert_eq!(
        view_of(Case::new(text)).outputs,
        [OutputConfig::Csv { path: "a.csv".into() }]
    );
}

#[test]
fn all_faults_of_views_come_in_one_run_with_their_places() {
    let text = r#"[kafka]
brokers = "a:1"
[[topics]]
name = "events"
schema = "s.json"
[[views]]
name = "events"
sql = "SELECT BAD"
every = "1ms"
evry = "1s"
window = { size = "10s", slide = "1m", late = "1s" }
outputs = []
[[views]]
name = "a.b"
sql = """SELECT
  BAD"""
outputs = [{ to = "jsn", path = "x" }, { to = "csv", rows = 1 },
  { to = "postgres", url = "hunter2", url_env = "hunter3", tabel = "t" }]
[[views]]
window.lateness = "1s"
"#;
    let expected = r#"conf/eventlake.toml:7:8: views.name: "events" is already the table of the topic at line 4; expected another name
conf/eventlake.toml:9:9: views.every: expected a duration from "100ms" to "1d", such as "5s", found "1ms"
conf/eventlake.toml:10:1: unknown key "evry" in [[views]]; did you mean "every"?
conf/eventlake.toml:11:34: views.window.slide: 1m is longer than window.size (10s): rows in between would be in no window
conf/eventlake.toml:11:40: unknown key "window.late" in [[views]]; did you mean "window.size"?
conf/eventlake.toml:12:11: views.outputs: expected one or more tables, such as [{ to = "console" }, { to = "json", path = "output/tickets.json" }], found none; a view without outputs would do nothing
conf/eventlake.toml:14:8: views.name: "a.b" cannot be a name: only ASCII letters, digits and '_' are allowed
conf/eventlake.toml:16:3: views.sql: BAD is bad with 1 tables
conf/eventlake.toml:17:19: views.outputs.to: expected "console", "json", "jsonl", "csv", "postgres", "mongodb", "webhook" or "object", found "jsn"; did you mean "json"?
conf/eventlake.toml:17:40: views.outputs.path is missing: expected the path of a file on this machine
conf/eventlake.toml:17:54: unknown key "rows" in an output to "csv"; it belongs to "console"
conf/eventlake.toml:18:3: views.outputs.table is missing: expected the name of a table in the database, or "schema.table"
conf/eventlake.toml:18:39: views.outputs.url_env: url is there too; expected one of url, url_env and url_file
conf/eventlake.toml:18:60: unknown key "tabel" in an output to "postgres"; did you mean "table"?
conf/eventlake.toml:19:1: views.name is missing: expected the view's name
conf/eventlake.toml:19:1: views.sql is missing: expected a query, such as "SELECT type, count(*) AS count FROM tickets GROUP BY type"
conf/eventlake.toml:19:1: views.outputs is missing: expected one or more tables, such as [{ to = "console" }, { to = "json", path = "output/tickets.json" }]
conf/eventlake.toml:20:19: views.window.lateness: it needs window.size, which is not there
"#;
    assert_eq!(Case::new(text).faults(), expected);
}

#[test]
fn each_kind_of_fault_of_a_view_is_named() {
    let cases = [
        (
            "every = \"99ms\"",
            "views.every: expected a duration from \"100ms\" to \"1d\"",
        ),
        ("every = \"25h\"", "found \"25h\""),
        (
            "start = \"earliest\"",
            "views.start: expected \"lake\" or \"now\", found \"earliest\"",
        ),
        (
            "max_groups = 0",
            "views.max_groups: expected a number from 1 to 10000000",
        ),
        ("max_groups = 10000001", "found the number 10000001"),
        (
            "window = \"60s\"",
            "views.window: expected a table, found \"60s\"",
        ),
        (
            "window.size = \"999ms\"",
            "views.window.size: expected a duration from \"1s\" to \"31d\"",
        ),
        ("window.size = \"32d\"", "found \"32d\""),
        (
            "window = { size = \"5s\", slide = \"500ms\" }",
            "views.window.slide: expected a duration from \"1s\"",
        ),
        (
            "window = { size = \"5s\", lateness = \"32d\" }",
            "views.window.lateness: expected a duration from \"0s\" to",
        ),
        (
            "window.slide = \"5s\"",
            "views.window.slide: it needs window.size, which is not there",
        ),
        (
            "window.lateness = \"5s\"",
            "views.window.lateness: it needs window.size, which is not there",
        ),
        (
            "window = { size = \"5s\", slide = \"6s\" }",
            "views.window.slide: 6s is longer than window.size (5s)",
        ),
        (
            "window = { size = \"1441s\", slide = \"1s\" }",
            "in more than 1440 windows of 1441s, one every 1s",
        ),
        (
            "window.sise = \"5s\"",
            "unknown key \"window.sise\" in [[views]]; did you mean \"window.size\"?",
        ),
        (
            "table = \"t\"",
            "unknown key \"table\" in [[views]]; it belongs in [[topics]]",
        ),
    ];
    for (added, expected) in cases {
        let message = fault(with(added));
        assert!(
            message.contains(expected),
            "{added:?} gives {message:?}, expected {expected:?}"
        );
    }
    for right in [
        "every = \"100ms\"",
        "every = \"1d\"",
        "max_groups = 10000000",
        "window = { size = \"1440s\", slide = \"1s\" }",
        "window = { size = \"5s\", slide = \"5s\" }",
        "window = { size = \"31d\", lateness = \"31d\" }",
        "window = { size = \"1s\", lateness = \"0s\" }",
    ] {
        assert_eq!(with(right).faults(), "", "{right}");
    }
    let single = Case::new(GOOD_VIEW.replace("[[views]]", "[views]"));
    assert!(
        fault(single)
            .starts_with("views: expected [[views]] tables, found a table; write it with two brackets")
    );
    let empty = fault(Case::new(GOOD_VIEW.replace("SELECT count(*) FROM events", " ")));
    assert!(empty.starts_with("views.sql: expected a query"), "{empty}");
}

#[test]
fn each_kind_of_fault_of_an_output_is_named() {
    let cases = [
        ("[]", "found none; a view without outputs would do nothing"),
        (
            "{ to = \"console\" }",
            "found a table; write it in brackets, [{ ... }]",
        ),
        ("\"s3cr3t\"", "views.outputs: expected one or more tables"),
        ("[\"s3cr3t\"]", "\"output/tickets.json\" }], found a text"),
        ("[{}]", "views.outputs.to is missing: expected \"console\""),
        (
            "[{ to = 1 }]",
            "views.outputs.to: expected \"console\", \"json\", \"jsonl\", \"csv\", \"postgres\", \"mongodb\", \"webhook\" or \"object\", found",
        ),
        ("[{ to = \"Postgre\" }]", "did you mean \"postgres\"?"),
        ("[{ to = \"kafka\" }]", "or \"object\", found \"kafka\""),
        (
            "[{ to = \"postgres://me:hunter2@db/x\" }]",
            "views.outputs.to: expected \"console\"",
        ),
        (
            "[{ to = \"object\" }]",
            "views.outputs.url is missing: expected one of url, url_env and url_file",
        ),
        (
            "[{ to = \"object\", url = \"https://hunter2/x.json\" }]",
            "views.outputs.url: expected an address that begins with s3:// or gs:// or az://",
        ),
        (
            "[{ to = \"object\", url = \"s3://s3cr3t:hunter2@b/x.json\" }]",
            "views.outputs.url: there is an '@' before the bucket; what gives access stands in variables",
        ),
        (
            "[{ to = \"object\", url_env = \"PG\" }]",
            "views.outputs.url_env: ",
        ),
        (
            "[{ to = \"object\", url = \"s3://b/x.txt\" }]",
            "views.outputs.format is missing: the object's name ends with none of .json, .jsonl, .csv and .parquet; expected \"json\"",
        ),
        (
            "[{ to = \"object\", url = \"s3://b/x/\" }]",
            "views.outputs.format is missing: a prefix does not tell it; expected \"json\"",
        ),
        (
            "[{ to = \"object\", url = \"s3://b/x\", format = \"xml\" }]",
            "views.outputs.format: expected \"json\", \"jsonl\", \"csv\" or \"parquet\", found \"xml\"",
        ),
        (
            "[{ to = \"object\", url = \"s3://b/x.csv\" }, { to = \"object\", url = \"s3://b/x.csv\", format = \"json\" }]",
            "views.outputs.url: s3://b/x.csv is the url of the output at line 10; expected an object, or a prefix, for each output",
        ),
        (
            "[{ to = \"object\", url = \"s3://b/p/\", format = \"csv\" }, { to = \"object\", url = \"s3://b/p/q/x.csv\" }]",
            "views.outputs.url: s3://b/p/q/x.csv lies below the url of the output at line 10",
        ),
        (
            "[{ to = \"object\", url = \"s3://b/p/x.csv\" }, { to = \"object\", url = \"s3://b/\", format = \"csv\" }]",
            "views.outputs.url: s3://b/ contains the url of the output at line 10",
        ),
        (
            "[{ to = \"mongodb\", url = \"mongodb://hunter2/d\" }]",
            "views.outputs.collection is missing: expected the name of a collection",
        ),
        (
            "[{ to = \"mongodb\", url = \"mongodb://hunter2/d\", table = \"t\", collection = \"c\" }]",
            "unknown key \"table\" in an output to \"mongodb\"; it belongs to \"postgres\"",
        ),
        (
            "[{ to = \"console\", rows = 0 }]",
            "views.outputs.rows: expected a number of rows from 1 to 10000, found the number 0",
        ),
        (
            "[{ to = \"console\", path = \"p\" }]",
            "unknown key \"path\" in an output to \"console\"; it belongs to \"json\", \"jsonl\", \"csv\"",
        ),
        ("[{ to = \"console\", row = 1 }]", "did you mean \"rows\"?"),
        (
            "[{ to = \"console\", colour = \"s3cr3t\" }]",
            "unknown key \"colour\" in an output to \"console\"; expected to, rows",
        ),
        (
            "[{ to = \"csv\" }]",
            "views.outputs.path is missing: expected the path of a file",
        ),
        (
            "[{ to = \"csv\", path = \"\" }]",
            "views.outputs.path: expected the path of a file",
        ),
        (
            "[{ to = \"csv\", path = \"out/\" }]",
            "found \"out/\"; it names a folder",
        ),
        ("[{ to = \"csv\", path = \"out/..\" }]", "it names a folder"),
        ("[{ to = \"csv\", path = \"out/.\" }]", "it names a folder"),
        (
            "[{ to = \"csv\", path = \"s3://hunter2@bucket/x.csv\" }]",
            "expected the path of a file on this machine, found an address",
        ),
        (
            "[{ to = \"webhook\" }]",
            "views.outputs.url is missing: expected one of url, url_env and url_file",
        ),
        (
            "[{ to = \"webhook\", url = 5 }]",
            "views.outputs.url: expected a text",
        ),
        (
            "[{ to = \"webhook\", url = { env = \"s3cr3t\" } }]",
            "views.outputs.url: expected a text, found an array or a table",
        ),
        (
            "[{ to = \"webhook\", url = \" \" }]",
            "views.outputs.url: expected a text, found an empty one",
        ),
        (
            "[{ to = \"webhook\", url = \"s3cr3t\\n\" }]",
            "views.outputs.url: a control character cannot stand there",
        ),
        (
            "[{ to = \"webhook\", url_env = \"NOT_SET\" }]",
            "views.outputs.url_env: the variable NOT_SET is not set",
        ),
        // Which of the two is meant cannot be told: nothing more is said of either.
        (
            "[{ to = \"webhook\", url_env = \"NOT_SET\", url_file = \"nowhere\" }]",
            "views.outputs.url_file: url_env is there too; expected one of url, url_env and url_file",
        ),
        (
            "[{ to = \"webhook\", url_env = \"BLANK\" }]",
            "views.outputs.url_env: it is empty",
        ),
        (
            "[{ to = \"webhook\", url_env = \"postgres://me:hunter2@db/x\" }]",
            "views.outputs.url_env: expected the name of a variable",
        ),
        (
            "[{ to = \"webhook\", url_file = \"postgres://me:hunter2@db/x\" }]",
            "views.outputs.url_file: expected the path of a file",
        ),
        (
            "[{ to = \"webhook\", url_file = \"nowhere\" }]",
            "views.outputs.url_file: cannot read conf/nowhere: no such file",
        ),
        (
            "[{ to = \"webhook\", url_file = \"empty\" }]",
            "views.outputs.url_file: it is empty",
        ),
        (
            "[{ to = \"webhook\", url_file = \"two-lines\" }]",
            "views.outputs.url_file: a control character",
        ),
        (
            "[{ to = \"webhook\", url = \"https://hunter2\", secret_env = \"NOT_SET\" }]",
            "views.outputs.secret_env: the variable NOT_SET is not set",
        ),
        (
            "[{ to = \"webhook\", url = \"https://hunter2\", secret = \"hunter2\", secret_file = \"x\" }]",
            "views.outputs.secret_file: secret is there too",
        ),
        (
            "[{ to = \"webhook\", url = \"https://hunter2\", secret = [\"s3cr3t\"] }]",
            "views.outputs.secret: expected a text",
        ),
        (
            "[{ to = \"postgres\", url = \"postgres://hunter2\", table = \"postgres://me:hunter2@db/x\" }]",
            "views.outputs.table: expected the name of a table in the database, or \"schema.table\", found an address",
        ),
        (
            "[{ to = \"postgres\", url = \"postgres://hunter2\", table = 5 }]",
            "views.outputs.table: expected the name of a table in the database",
        ),
    ];
    for (outputs, expected) in cases {
        let message = fault(with_outputs(outputs).with("BLANK", " "));
        assert!(
            message.contains(expected),
            "{outputs} gives {message:?}, expected {expected:?}"
        );
    }
}

#[test]
fn an_address_is_one_of_its_output_and_is_not_repeated() {
    let outputs = |to: &str, url: &str| {
        let table = match to {
            "postgres" => ", table = \"t\"",
            "mongodb" => ", database = \"d\", collection = \"c\"",
            _ => "",
        };
        format!("[{{ to = \"{to}\", {url}{table} }}]")
    };
    let expected = |to| match to {
        "webhook" => "expected an address that begins with http:// or https://",
        "mongodb" => "expected an address that begins with mongodb:// or mongodb+srv://",
        _ => "expected an address that begins with postgres:// or postgresql://",
    };
    for (to, url) in [
        ("webhook", "hunter2"),
        ("webhook", "ftp://hunter2"),
        ("webhook", "httpx://hunter2"),
        ("webhook", " https://hunter2"),
        ("webhook", "postgres://me:hunter2@db/x"),
        ("postgres", "hunter2"),
        ("postgres", "host=db password=hunter2"),
        ("postgres", "https://me:hunter2@db/x"),
        ("mongodb", "postgres://me:hunter2@db/x"),
    ] {
        let written = fault(with_outputs(&outputs(to, &format!("url = \"{url}\""))));
        assert_eq!(written, format!("views.outputs.url: {}", expected(to)), "{url}");
        let by_variable = fault(with_outputs(&outputs(to, "url_env = \"U\"")).with("U", url));
        assert_eq!(
            by_variable,
            format!("views.outputs.url_env: {}", expected(to)),
            "{url}"
        );
    }
    let by_file = fault(with_outputs(&outputs("webhook", "url_file = \"password\"")));
    assert_eq!(
        by_file,
        format!("views.outputs.url_file: {}", expected("webhook"))
    );
    for (to, url) in [
        ("webhook", "http://a/b"),
        ("webhook", "https://a/b"),
        ("postgres", "postgres://a/b"),
        ("postgres", "postgresql://a/b"),
        ("mongodb", "mongodb://a/b"),
        ("mongodb", "mongodb+srv://a/b"),
    ] {
        let faults = with_outputs(&outputs(to, &format!("url = \"{url}\""))).faults();
        assert_eq!(faults, "", "{url}");
    }
}

#[test]
fn a_table_in_a_database_is_one_or_two_names() {
    let table = |table: &str| {
        with_outputs(&format!(
            "[{{ to = \"postgres\", url = \"postgres://db/x\", table = \"{table}\" }}]"
        ))
    };
    let long = "a".repeat(63);
    for right in ["t", "s.t", "Mixed Case.t-1", &long, &format!("{long}.{long}")] {
        assert_eq!(table(right).faults(), "", "{right}");
    }
    let many_bytes = "é".repeat(32);
    for (wrong, reason) in [
        ("a.b.c", "there is more than one '.'"),
        (".", "a name in it is empty"),
        ("a.", "a name in it is empty"),
        (".a", "a name in it is empty"),
        ("a. ", "a name in it is empty"),
        (&format!("{long}a"), "a name in it is longer than 63 bytes"),
        (&format!("s.{many_bytes}"), "a name in it is longer than 63 bytes"),
        ("a\\tb", "a control character cannot stand there"),
        ("a.\\u0007", "a control character cannot stand there"),
    ] {
        let message = fault(table(wrong));
        let expected =
            "views.outputs.table: expected the name of a table in the database, or \"schema.table\", found ";
        assert!(
            message.starts_with(expected) && message.ends_with(reason),
            "{wrong}: {message}"
        );
    }
    let blank = fault(table(""));
    assert!(blank.ends_with("found \"\""), "{blank}");
}

#[test]
fn a_collection_is_one_of_a_database_that_is_named() {
    let output =
        |url: &str, names: &str| with_outputs(&format!("[{{ to = \"mongodb\", url = \"{url}\", {names} }}]"));
    for (url, names) in [
        ("mongodb://a/d", "collection = \"c\""),
        ("mongodb+srv://me:hunter2@a/d?w=1", "collection = \"by type.2\""),
        ("mongodb://a", "collection = \"c\", database = \"d\""),
        ("mongodb://a/?w=1", "collection = \"c\", database = \"d\""),
    ] {
        assert_eq!(output(url, names).faults(), "", "{url} {names}");
    }
    let missing = "views.outputs.database is missing: expected the name of a database, as the url names none";
    for url in [
        "mongodb://me:hunter2@a",
        "mongodb://a/",
        "mongodb://a/?authSource=/x",
    ] {
        assert_eq!(fault(output(url, "collection = \"c\"")), missing, "{url}");
    }
    let long = "a".repeat(191);
    for (key, wrong, reason) in [
        ("collection", "", "found \"\""),
        ("collection", "a$b", "no $ may be in it"),
        ("collection", "system.users", "is the server's own"),
        (
            "collection",
            "eventlake_views",
            "there it is noted which collection shows which view",
        ),
        ("collection", &long, "longer than 190 bytes"),
        ("collection", "a\\tb", "a control character cannot stand there"),
        ("database", "a.b", "may be in it"),
        ("database", "a b", "may be in it"),
        ("database", &long, "longer than 63 bytes"),
    ] {
        let other = if key == "database" {
            ", collection = \"c\""
        } else {
            ""
        };
        let message = fault(output("mongodb://a/d", &format!("{key} = \"{wrong}\"{other}")));
        let expected = format!("views.outputs.{key}: expected the name of a {key}");
        assert!(
            message.starts_with(&expected) && message.ends_with(reason),
            "{wrong}: {message}"
        );
    }
}

#[test]
fn what_is_wrong_with_one_secret_hides_nothing_of_another() {
    let faults = with_outputs(
        "[{ to = \"webhook\", url_env = \"NO\", url_file = \"no\", url = \"hunter2\", secret_env = \"NO\" }]",
    )
    .faults();
    let keys: Vec<&str> = faults
        .lines()
        .filter_map(|line| line.split(": ").nth(1))
        .collect();
    assert_eq!(
        keys,
        [
            "views.outputs.url_env",
            "views.outputs.url_file",
            "views.outputs.secret_env"
        ],
        "{faults}"
    );
}

#[test]
fn a_views_name_is_no_other_views_and_no_tables_in_any_case() {
    let second = "[[views]]\nname = \"V\"\nsql = \"SELECT 1\"\noutputs = [{ to = \"console\" }]";
    assert_eq!(
        with(second).faults(),
        format!(
            "{FILE}:12:8: views.name: \"V\" is already the name of the view at line 8; expected another name\n"
        )
    );
    let table = GOOD_VIEW.replace("name = \"v\"", "name = \"Events\"");
    assert_eq!(
        fault(Case::new(table)),
        "views.name: \"Events\" is already the table of the topic at line 5; expected another name"
    );
    let renamed = GOOD_VIEW
        .replace("schema =", "table = \"other\"\nschema =")
        .replace("name = \"v\"", "name = \"events\"");
    assert_eq!(Case::new(renamed).faults(), "", "a topic's name is no table's");
}

#[test]
fn a_file_is_written_by_one_output_of_all_views() {
    let second = |path: &str| {
        let text = GOOD_VIEW.replace("\"console\"", "\"json\", path = \"out/a\"");
        Case::new(format!(
            "{text}[[views]]\nname = \"w\"\nsql = \"SELECT 1\"\noutputs = [{{ to = \"csv\", path = \"{path}\" }}]\n"
        ))
    };
    for (path, relation) in [
        ("out/a", "out/a is"),
        ("./x/../out//a", "./x/../out//a is"),
        ("out/a/b", "out/a/b lies inside"),
        ("out", "out contains"),
    ] {
        assert_eq!(
            second(path).faults(),
            format!(
                "{FILE}:14:33: views.outputs.path: {relation} the path of the output at line 10; expected a file for each output\n"
            )
        );
    }
    for path in ["out/b", "a", "../out/a", "/out/a"] {
        assert_eq!(second(path).faults(), "", "{path}");
    }
}

#[test]
fn no_output_is_written_where_the_lake_has_its_files() {
    for (path, message) in [
        (
            "data/parquet/a.json",
            "data/parquet/a.json lies inside lake.data (data/parquet)",
        ),
        (
            "x/../data/rejected/a",
            "x/../data/rejected/a lies inside lake.rejected (data/rejected)",
        ),
        ("checkpoints", "checkpoints is lake.checkpoints (checkpoints)"),
        ("data", "data contains lake.data (data/parquet)"),
    ] {
        let faults = with_outputs(&format!("[{{ to = \"json\", path = \"{path}\" }}]")).faults();
        let expected =
            format!("{FILE}:10:34: views.outputs.path: {message}; expected a file apart from the lake");
        assert!(faults.starts_with(&expected), "{faults}");
    }
    let moved = GOOD_VIEW.replace("\"console\"", "\"json\", path = \"data/parquet/a\"");
    assert_eq!(
        Case::new(moved).with("EVENTLAKE_LAKE_DATA", "elsewhere").faults(),
        ""
    );
}

#[test]
fn a_fault_of_a_views_sql_has_its_place_in_the_file() {
    for (written, place) in [
        ("sql = \"SELECT BAD\"", "9:15"),
        ("sql = 'é BAD'", "9:10"),
        ("sql = \"\"\"\nSELECT\n  BAD\"\"\"", "11:3"),
        ("sql = \"\\u0053ELECT BAD\"", "9:7"),
    ] {
        let text = GOOD_VIEW.replace("sql = \"SELECT count(*) FROM events\"", written);
        let expected = format!("{FILE}:{place}: views.sql: BAD is bad with 1 tables\n");
        assert_eq!(Case::new(text).faults(), expected, "{written}");
    }
    let by_variable = Case::new(GOOD_VIEW).with("EVENTLAKE_VIEWS_V_SQL", "BAD");
    assert_eq!(
        by_variable.faults(),
        "EVENTLAKE_VIEWS_V_SQL (environment): views.sql: BAD is bad with 1 tables\n"
    );
}

/// What is not known would make what is said of the SQL mislead.
#[test]
fn sql_is_looked_at_only_where_its_tables_and_its_window_are_known() {
    let bad = GOOD_VIEW.replace("SELECT count(*)", "SELECT BAD");
    let says_so = |text: String| Case::new(text).faults().contains("BAD is bad");
    assert!(says_so(bad.clone()));
    // Nor does another fault of the view hide one of its SQL.
    assert!(says_so(bad.replace("name = \"v\"", "name = \"v-1\"")));
    assert!(says_so(bad.replace("console", "consle")));
    assert!(says_so(format!("{bad}every = \"1\"\n")));
    for unknown in [
        bad.replace("s.json", "broken.json"),
        bad.replace("s.json", "nowhere"),
        bad.replace("schema =", "schemas ="),
        bad.replace("[[views]]", "event_time = \"no\"\n[[views]]"),
        bad.replace("[[views]]", "transform.select = \"BAD\"\n[[views]]"),
        bad.replace("[[views]]", "transform.select = 5\n[[views]]"),
        bad.replace("[[views]]", "extra = 5\n[[views]]"),
        format!("{bad}window.size = \"x\"\n"),
        format!("{bad}window.slide = \"1s\"\n"),
        format!("{bad}window = {{ size = \"1s\", slide = \"2s\" }}\n"),
        format!("{bad}window = {{ size = \"1s\", lateness = \"2\" }}\n"),
    ] {
        let faults = Case::new(&unknown).faults();
        assert!(
            !faults.is_empty() && !faults.contains("views.sql: BAD"),
            "{unknown}: {faults}"
        );
    }
}

#[test]
fn variables_win_over_a_views_lines() {
    let case = with("every = \"1s\"\nwindow.size = \"1m\"")
        .with("EVENTLAKE_VIEWS_V_EVERY", "2s")
        .with("EVENTLAKE_VIEWS_V_START", "now")
        .with("EVENTLAKE_VIEWS_V_MAX_GROUPS", "3")
        .with("EVENTLAKE_VIEWS_V_WINDOW_SIZE", "2m")
        .with("EVENTLAKE_VIEWS_V_WINDOW_SLIDE", "")
        .with("EVENTLAKE_VIEWS_V_WINDOW_LATENESS", "4s");
    let view = view_of(case);
    assert_eq!(
        (view.every, view.start, view.groups_max),
        (Some(secs(2)), ViewStart::Now, 3)
    );
    let window = view.window.expect("a window");
    assert_eq!(
        (window.size, window.slide, window.lateness),
        (secs(120), secs(120), secs(4))
    );
    let alone = Case::new(GOOD_VIEW).with("EVENTLAKE_VIEWS_V_WINDOW_SLIDE", "4s");
    assert_eq!(
        alone.faults(),
        "EVENTLAKE_VIEWS_V_WINDOW_SLIDE (environment): views.window.slide: it needs window.size, which is not there\n"
    );
}

#[test]
fn keys_that_no_output_has_are_told_whatever_it_is() {
    let faults = with_outputs(
        "[{ too = \"csv\", path = \"x\" }, { to = \"kafka\", tabel = \"t\", url = \"hunter2\" }]",
    )
    .faults();
    let told: Vec<&str> = faults
        .lines()
        .filter_map(|line| line.split("unknown key ").nth(1))
        .collect();
    let expected = [
        "\"too\" in an output; did you mean \"to\"?",
        "\"tabel\" in an output; did you mean \"table\"?",
    ];
    assert_eq!(told, expected, "{faults}");
    assert!(!faults.contains("hunter2"), "{faults}");
}

proptest! {
    #[test]
    fn no_edit_of_a_view_makes_it_panic(text in edited(VIEWS)) {
        let case = Case::new(text).with("PG", "postgres://me:hunter2@db/x");
        if let Err(faults) = case.resolve() {
            prop_assert!(!faults.is_empty());
            for fault in &faults {
                let shown = fault.to_string();
                prop_assert!(!fault.message.is_empty() && !shown.contains('\n'), "{shown}");
                prop_assert!(!shown.contains("postgres://"), "{shown}");
            }
        }
    }
}

/// All there is of views.
const VIEWS: &str = r#"
[kafka]
brokers = "127.0.0.1:9092"
[[topics]]
name = "events"
schema = "s.json"
[[views]]
name = "v"
sql = """
SELECT é, count(*) FROM events"""
window = { size = "60s", slide = "10s", lateness = "30s" }
every = "5s"
start = "now"
max_groups = 7
outputs = [{ to = "console", rows = 3 }, { to = "json", path = "out/a.json" }, { to = "webhook", url_file = "address" }]
[[views]]
name = "w"
sql = "BAD"
[[views.outputs]]
to = "postgres"
table = "t"
url_env = "PG"
"#;

#[test]
fn variables_of_views_are_known_by_the_views_names() {
    let known = known_variables(&Case::new(GOOD_VIEW).config());
    let of_views: Vec<&str> = known
        .iter()
        .filter_map(|name| name.strip_prefix("EVENTLAKE_VIEWS_"))
        .collect();
    let keys = [
        "SQL",
        "EVERY",
        "START",
        "MAX_GROUPS",
        "WINDOW_SIZE",
        "WINDOW_SLIDE",
        "WINDOW_LATENESS",
    ];
    assert_eq!(of_views, keys.map(|key| format!("V_{key}")));
}

/// The kinds are listed once, their names in the message of `to` are written by hand.
#[test]
fn the_message_about_a_kind_names_them_all() {
    let message = fault(with_outputs("[{ to = \"?\" }]"));
    for kind in OutputKind::ALL {
        assert!(message.contains(&format!("{:?}", kind.name())), "{message}");
    }
}
