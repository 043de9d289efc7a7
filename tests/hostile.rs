//! What senders, brokers' names, schema files and changed lakes may try on the program: terminals, memory, file modes, paths.

#![allow(clippy::disallowed_methods, reason = "tests")]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use eventlake_engine::kafka::builtin::BuiltinBroker;
use rdkafka::config::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use support::without_settings;

/// Escape codes of ESC and of 8-bit CSI, a title, a cleared screen, forged lines, reversed and hidden text.
const HOSTILE: &str = "\u{1b}[2J\u{9b}31m\u{1b}]0;owned\u{7}\r\n2026-01-01 ERROR forged\nhint: forged\u{202e}txt\u{200b}\u{2028}\u{7f}";

struct Workspace {
    folder: tempfile::TempDir,
}

impl Workspace {
    fn new(brokers: &str, schema: &str) -> Workspace {
        let folder = tempfile::tempdir().expect("a folder");
        let text = format!(
            "[kafka]\nbrokers = {brokers:?}\n[kafka.properties]\nsession.timeout.ms = 1500\n\
             [http]\nlisten = \"off\"\n\
             [[topics]]\nname = \"clicks\"\ntable = \"clicks\"\nschema = \"clicks.json\"\nextra = true\n"
        );
        std::fs::write(folder.path().join("eventlake.toml"), text).expect("written");
        std::fs::write(folder.path().join("clicks.json"), schema).expect("written");
        Workspace { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).expect("written");
    }

    /// `before` is a line of shell that runs first: `umask 0`, `ulimit -v N`.
    fn run_after(&self, before: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new("sh");
        command
            .args([
                "-c",
                &format!("{before}; exec \"$@\""),
                "sh",
                env!("CARGO_BIN_EXE_eventlake"),
            ])
            .args(arguments)
            .args(["--config", "eventlake.toml"])
            .current_dir(self.folder.path());
        without_settings(&mut command);
        command.output().expect("the program starts")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.run_after(":", arguments)
    }

    /// Runs it, and asserts that nothing it said could move a terminal or forge a line.
    #[track_caller]
    fn run_harmlessly(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8(said).expect("UTF-8");
        for deceptive in [
            '\u{1b}', '\u{9b}', '\u{7}', '\r', '\u{202e}', '\u{200b}', '\u{2028}', '\u{7f}',
        ] {
            let at = said.find(deceptive);
            assert!(
                at.is_none(),
                "{arguments:?} prints {deceptive:?} at {at:?}: {said:?}"
            );
        }
        let forged = said
            .lines()
            .find(|line| line.starts_with("2026-01-01 ERROR") || line.starts_with("hint: forged"));
        assert_eq!(forged, None, "{arguments:?} lets a line be forged: {said}");
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
        said
    }
}

fn hostile_records() -> Vec<Vec<u8>> {
    let quoted = serde_json::to_string(HOSTILE).expect("a text");
    // JSON's own escapes for what a terminal would act on, and the same bytes raw.
    vec![
        HOSTILE.as_bytes().to_vec(),
        format!("{{\"kind\":{quoted}}}").into_bytes(),
        format!("{{{quoted}:1}}").into_bytes(),
        format!("{{\"kind\":\"a\",\"n\":{quoted}}}").into_bytes(),
        "{\"kind\":\"\u{9b}31m\u{202e}\",\"n\":1}".as_bytes().to_vec(),
        "{\"\u{9b}31m\u{202e}\":1,\"\u{9b}31m\u{202e}\":2}"
            .as_bytes()
            .to_vec(),
        b"\xff\x1b[2J".to_vec(),
    ]
}

const SCHEMA: &str = r#"{"type":"object","required":["kind"],
    "properties":{"kind":{"enum":["a"]},"n":{"type":"integer","maximum":9},"when":{"type":"string","format":"date"}}}"#;

#[test]
fn what_a_sender_wrote_moves_no_terminal_and_forges_no_line() {
    let broker = BuiltinBroker::start(&[("clicks", 1)]).expect("a broker");
    let workspace = Workspace::new(&broker.brokers(), SCHEMA);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", broker.brokers())
        .create()
        .expect("a producer");
    let records = hostile_records();
    for record in &records {
        let header = Header {
            key: &HOSTILE.replace('\0', ""),
            value: Some(record),
        };
        let record = BaseRecord::to("clicks").payload(record).key(record);
        let headers = OwnedHeaders::new().insert(header);
        producer.send(record.headers(headers)).expect("queued");
    }
    producer.flush(Duration::from_secs(30)).expect("delivered");
    for format in ["text", "json"] {
        workspace.run_harmlessly(&["ingest", "--until-end", "-vv", "--log-format", format]);
    }
    let listed = workspace.run_harmlessly(&["rejected", "list"]);
    assert!(listed.contains("\\x1b[2J"), "{listed}");
    workspace.run_harmlessly(&["rejected", "list", "--json"]);
    for offset in 0..records.len() {
        let offset = offset.to_string();
        workspace.run_harmlessly(&["rejected", "show", "clicks", "0", &offset]);
        workspace.run_harmlessly(&["rejected", "show", "clicks", "0", &offset, "--json"]);
    }
    workspace.run_harmlessly(&["rejected", "replay"]);
    workspace.run_harmlessly(&["status"]);
    workspace.run_harmlessly(&["status", "--json"]);
    workspace.run_harmlessly(&["verify"]);
    workspace.run_harmlessly(&["verify", "--json"]);

    workspace.write("events.jsonl", records.join(&b'\n'));
    for json in [&["--quiet"][..], &["--json"]] {
        let said = workspace
            .run_harmlessly(&[&["schema", "check", "clicks.json", "events.jsonl"][..], json].concat());
        assert!(said.contains("malformed_json"), "{said}");
    }
}

#[test]
fn hostile_names_and_files_are_refused_harmlessly() {
    let quoted = serde_json::to_string(HOSTILE).expect("a text");
    let schema =
        format!("{{\"type\":\"object\",{quoted}:1,\"properties\":{{{quoted}:{{\"type\":{quoted}}}}}}}");
    let workspace = Workspace::new(HOSTILE, &schema);
    for command in [
        &["check"][..],
        &["check", "--json"],
        &["schema", "check", "clicks.json"],
        &["ingest"],
    ] {
        workspace.run_harmlessly(command);
    }
    // TOML's own escapes in names, values and keys.
    let toml = HOSTILE.escape_default().to_string().replace("\\u{", "\\U{");
    let toml: String = toml
        .split("\\U{")
        .enumerate()
        .map(|(index, part)| match part.split_once('}') {
            Some((hex, rest)) if index > 0 => format!("\\U{hex:0>8}{rest}"),
            _ => part.to_owned(),
        })
        .collect();
    for line in [
        format!("\"{toml}\" = 1"),
        format!("[kafka]\nbrokers = \"{toml}\""),
        format!("[kafka.properties]\n\"{toml}\" = \"x\""),
        format!(
            "[kafka]\nbrokers = \"a:1\"\n[[topics]]\nname = \"{toml}\"\nschema = \"{toml}\"\nstart = \"{toml}\""
        ),
        format!("[lake]\ndata = \"{toml}\"\nroll_interval = \"{toml}\""),
    ] {
        workspace.write("eventlake.toml", line);
        workspace.run_harmlessly(&["check"]);
        workspace.run_harmlessly(&["check", "--json"]);
        workspace.run_harmlessly(&["status"]);
    }
    workspace.run_harmlessly(&["check", "--config", &format!("/nonexistent/{HOSTILE}")]);
}

#[test]
fn a_name_never_leads_out_of_the_lake() {
    for name in [
        "../x",
        "..",
        ".",
        "/etc",
        "a/b",
        "a\\\\b",
        "C:\\\\x",
        "a\\u0000b",
        "",
        " ",
        "a b",
        "~",
        "-\\u002f..",
        "é",
        "\\u2024\\u2024",
        &"x".repeat(250),
    ] {
        for key in ["name", "table"] {
            let other = if key == "name" {
                "table = \"fine\""
            } else {
                "name = \"fine\""
            };
            let workspace = Workspace::new("127.0.0.1:1", "{\"type\":\"object\",\"properties\":{}}");
            let text = format!(
                "[kafka]\nbrokers = \"127.0.0.1:1\"\n[[topics]]\n{key} = \"{name}\"\n{other}\nschema = \"clicks.json\"\n"
            );
            workspace.write("eventlake.toml", text);
            let output = workspace.run(&["check"]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{key} {name:?}: {said}");
            assert!(
                said.contains(&format!("topics.{key}: ")),
                "{key} {name:?}: {said}"
            );
        }
    }
}

fn entries_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    if folder.is_dir() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            found.extend(entries_below(&entry.expect("an entry").path()));
        }
    }
    found
}

#[test]
fn whatever_is_written_only_its_owner_and_group_may_change() {
    for (umask, forbidden) in [("0", 0o002), ("022", 0o022), ("077", 0o077)] {
        let broker = BuiltinBroker::start(&[("clicks", 1)]).expect("a broker");
        let workspace = Workspace::new(&broker.brokers(), SCHEMA);
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", broker.brokers())
            .create()
            .expect("a producer");
        for payload in ["{\"kind\":\"a\"}", "{"] {
            producer
                .send(BaseRecord::<(), str>::to("clicks").payload(payload))
                .expect("queued");
        }
        producer.flush(Duration::from_secs(30)).expect("delivered");
        let output = workspace.run_after(&format!("umask {umask}"), &["ingest", "--until-end"]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let written = [
            entries_below(&workspace.path("data")),
            entries_below(&workspace.path("checkpoints")),
        ]
        .concat();
        assert!(written.len() > 15, "{written:?}");
        for path in written {
            let mode = std::fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(
                mode & forbidden,
                0,
                "umask {umask}: {} has {mode:o}",
                path.display()
            );
            assert_eq!(mode & 0o400, 0o400, "{} cannot be read", path.display());
            assert!(
                path.is_dir() || mode & 0o111 == 0,
                "{} can be run",
                path.display()
            );
        }
    }
}

/// Address space, so that a reservation of what a length claims counts, touched or not.
const MEMORY: &str = "ulimit -v 1500000";

#[track_caller]
fn assert_survives(workspace: &Workspace, arguments: &[&str], what: &str) -> String {
    let output = workspace.run_after(MEMORY, arguments);
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    let start: String = said.chars().take(600).collect();
    let code = output
        .status
        .code()
        .unwrap_or_else(|| panic!("{what}: ended by a signal: {start}"));
    assert!(code <= 3, "{what}: exit code {code}: {start}");
    assert!(!said.contains("memory allocation"), "{what}: {start}");
    said
}

#[test]
fn hostile_schemas_take_no_more_memory_than_there_is() {
    let many = |text: &str, count: usize| vec![text; count].join(",");
    let property = |rule: &str| format!("{{\"type\":\"object\",\"properties\":{{\"a\":{rule}}}}}");
    let schemas = [
        (
            "a huge repetition",
            property("{\"type\":\"string\",\"pattern\":\"(a{1000}){1000}\"}"),
        ),
        (
            "nested repetitions",
            property("{\"type\":\"string\",\"pattern\":\"((((a{9}){99}){99}){99}){99}\"}"),
        ),
        (
            "a pattern of a million groups",
            property(&format!(
                "{{\"type\":\"string\",\"pattern\":\"{}\"}}",
                "(".repeat(1_000_000)
            )),
        ),
        (
            "unicode classes repeated",
            property("{\"type\":\"string\",\"pattern\":\"[\\\\s\\\\S]{100000}\"}"),
        ),
        (
            "a huge count",
            property("{\"type\":\"string\",\"pattern\":\"a{999999999999999999999}\"}"),
        ),
        (
            "deep nesting",
            format!(
                "{}{}",
                "{\"type\":\"object\",\"properties\":{\"a\":".repeat(100_000),
                "}}".repeat(100_000)
            ),
        ),
        ("deep arrays", "[".repeat(2_000_000)),
        (
            "a huge enum",
            property(&format!("{{\"enum\":[{}]}}", many("\"x\"", 500_000))),
        ),
        (
            "many properties",
            format!(
                "{{\"type\":\"object\",\"properties\":{{{}}}}}",
                (0..50_000)
                    .map(|n| format!("\"p{n}\":{{\"type\":\"string\"}}"))
                    .collect::<Vec<_>>()
                    .join(",")
            ),
        ),
        (
            "a huge bound",
            property(&format!(
                "{{\"type\":\"integer\",\"minimum\":1{}}}",
                "0".repeat(1_000_000)
            )),
        ),
        (
            "a huge exponent",
            property("{\"type\":\"number\",\"multipleOf\":1e-999999999,\"maximum\":1e999999999}"),
        ),
        (
            "a huge length",
            property("{\"type\":\"string\",\"minLength\":99999999999999999999,\"maxLength\":1e300}"),
        ),
        (
            "a huge array",
            property(
                "{\"type\":\"array\",\"minItems\":18446744073709551615,\"items\":{\"type\":\"string\"}}",
            ),
        ),
    ];
    for (what, schema) in schemas {
        let workspace = Workspace::new("127.0.0.1:1", &schema);
        assert_survives(&workspace, &["schema", "check", "clicks.json"], what);
    }
}

#[test]
fn hostile_records_take_no_more_memory_than_there_is() {
    let schema = r#"{"type":"object","properties":{"n":{"type":"integer","multipleOf":3},"x":{"type":"number","multipleOf":0.01},
        "s":{"type":"string","pattern":"^(a+)+$"},"l":{"type":"array","items":{"type":"object",
        "properties":{"a":{"type":"string"},"b":{"type":"string"},"c":{"type":"integer"}}}}}}"#;
    let payloads = [
        ("deep arrays", format!("{{\"u\":{}", "[".repeat(8_000_000))),
        ("deep objects", "{\"u\":".repeat(2_000_000)),
        ("a long number", format!("{{\"n\":{}}}", "9".repeat(8_000_000))),
        (
            "a long fraction",
            format!("{{\"x\":0.{}1}}", "0".repeat(8_000_000)),
        ),
        (
            "a huge exponent",
            "{\"n\":1e999999999999999999,\"x\":1e-999999999999999999}".to_owned(),
        ),
        ("an exponent of an integer", "{\"n\":1e999999999}".to_owned()),
        ("a tiny one", "{\"n\":1e-999999999}".to_owned()),
        (
            "a long string",
            format!("{{\"s\":\"{}b\"}}", "a".repeat(8_000_000)),
        ),
        (
            "escapes",
            format!("{{\"s\":\"{}\"}}", "\\u0061".repeat(2_000_000)),
        ),
        (
            "many small objects",
            format!("{{\"l\":[{}]}}", vec!["{}"; 5_000_000].join(",")),
        ),
        (
            "many unknown fields",
            format!(
                "{{{}}}",
                (0..1_000_000)
                    .map(|n| format!("\"u{n}\":0"))
                    .collect::<Vec<_>>()
                    .join(",")
            ),
        ),
    ];
    let workspace = Workspace::new("127.0.0.1:1", schema);
    for (what, payload) in payloads {
        workspace.write("events.jsonl", payload);
        let said = assert_survives(
            &workspace,
            &["schema", "check", "clicks.json", "events.jsonl", "--json"],
            what,
        );
        assert!(
            said.contains("\"verdict\":"),
            "{what}: {}",
            said.chars().take(300).collect::<String>()
        );
    }
}

#[test]
fn hostile_configurations_take_no_more_memory_than_there_is() {
    let workspace = Workspace::new("127.0.0.1:1", "{\"type\":\"object\",\"properties\":{}}");
    for text in [
        "[lake]\nmemory_limit = \"99999999999999999999TiB\"\nroll_interval = \"999999999999999999999d\""
            .to_owned(),
        "[lake]\nmemory_limit = \"16777215TiB\"\nsnapshot_every = 18446744073709551615".to_owned(),
        format!("a = {}", "[".repeat(1_000_000)),
        format!("{} = 1", vec!["a"; 500_000].join(".")),
        format!("a = \"{}\"", "x".repeat(50_000_000)),
        format!("a = {}", "9".repeat(5_000_000)),
    ] {
        workspace.write("eventlake.toml", &text);
        assert_survives(&workspace, &["check"], &text.chars().take(60).collect::<String>());
    }
}

/// The lock is the one file that is opened whether or not it is there.
#[test]
fn a_link_in_the_place_of_the_lock_is_not_followed() {
    let broker = BuiltinBroker::start(&[("clicks", 1)]).expect("a broker");
    let workspace = Workspace::new(&broker.brokers(), SCHEMA);
    std::fs::create_dir_all(workspace.path("checkpoints/clicks")).expect("created");
    let elsewhere = workspace.path("elsewhere");
    std::os::unix::fs::symlink(&elsewhere, workspace.path("checkpoints/clicks/lock")).expect("a link");
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", broker.brokers())
        .create()
        .expect("a producer");
    producer
        .send(BaseRecord::<(), str>::to("clicks").payload("{"))
        .expect("queued");
    producer.flush(Duration::from_secs(30)).expect("delivered");
    let mut command = Command::new("timeout");
    command.args([
        "5",
        env!("CARGO_BIN_EXE_eventlake"),
        "ingest",
        "--until-end",
        "--config",
        "eventlake.toml",
    ]);
    let output = command
        .current_dir(workspace.folder.path())
        .output()
        .expect("started");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("a link stands where a file of the lake should be"),
        "{said}"
    );
    assert!(!elsewhere.exists(), "the link was followed");
}

/// A lake that somebody changed: sparse files of a terabyte, a Parquet bomb in the place of a rejected file.
#[test]
fn a_changed_lake_takes_no_more_memory_than_there_is() {
    let broker = BuiltinBroker::start(&[("clicks", 1)]).expect("a broker");
    let workspace = Workspace::new(&broker.brokers(), SCHEMA);
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", broker.brokers())
        .create()
        .expect("a producer");
    producer
        .send(BaseRecord::<(), str>::to("clicks").payload("{"))
        .expect("queued");
    producer.flush(Duration::from_secs(30)).expect("delivered");
    assert!(workspace.run(&["ingest", "--until-end"]).status.success());
    let parquet = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "parquet");
    let rejected = entries_below(&workspace.path("data/rejected"))
        .into_iter()
        .find(parquet)
        .expect("a rejected file");
    let commit = workspace.path("checkpoints/clicks/00000000000000000002.json");
    let commands: [&[&str]; 5] = [
        &["verify"],
        &["rejected", "list"],
        &["rejected", "show", "clicks", "0", "0"],
        &["rejected", "replay"],
        &["status"],
    ];
    for path in [&rejected, &commit] {
        let whole = std::fs::read(path).expect("readable");
        std::fs::File::options()
            .write(true)
            .open(path)
            .and_then(|file| file.set_len(1 << 40))
            .expect("a sparse file");
        for command in commands {
            let said = assert_survives(&workspace, command, &format!("{command:?} of {}", path.display()));
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            assert!(
                said.contains(&name) || command == ["status"],
                "{command:?}: {said}"
            );
        }
        std::fs::write(path, whole).expect("written");
    }
    // The lengths in Parquet's footer and page headers: every byte of the file in turn made as large as it can be.
    let whole = std::fs::read(&rejected).expect("readable");
    for at in (0..whole.len()).step_by(97) {
        let mut changed = whole.clone();
        changed[at] ^= 0xff;
        std::fs::write(&rejected, &changed).expect("written");
        let said = assert_survives(
            &workspace,
            &["rejected", "show", "clicks", "0", "0"],
            "a flipped byte",
        );
        assert!(said.contains("is not the one that was committed"), "{said}");
        assert_survives(&workspace, &["verify"], "a flipped byte");
    }
    std::fs::write(&rejected, whole).expect("written");
    assert!(
        workspace
            .run(&["rejected", "show", "clicks", "0", "0"])
            .status
            .success()
    );
}
