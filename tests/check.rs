//! `eventlake check` and the command line itself, run as users run them.

mod support;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output};

use eventlake_engine::kafka::builtin::BuiltinBroker;
use support::without_settings;

/// The program in the project's folder, with none of the caller's own settings.
fn eventlake(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eventlake"));
    command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    without_settings(&mut command);
    command
}

fn run(command: &mut Command) -> Output {
    command.output().expect("the program starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

fn write(folder: &Path, text: &str) -> String {
    let file = folder.join("eventlake.toml");
    std::fs::write(&file, text).expect("a temporary file");
    file.to_str().expect("a path in UTF-8").to_owned()
}

#[test]
fn the_annotated_file_is_ok_and_shown() {
    let output = run(&mut eventlake(&["check"]));
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    let text = stdout(&output);
    assert!(text.contains("client_tickets  tickets"), "{text}");
    assert!(text.ends_with("\nok\n"), "{text}");
}

#[test]
fn faults_go_to_stderr_one_a_line_and_end_in_two() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = "[kafka]\nbrokers = \"a:1\"\nproperties = { no.such = 1, security.protocol = \"hunter2\" }\n\
                [lake]\nroll_intervall = \"10s\"\n[[topics]]\nname = \"../x\"\nschema = \"none.json\"\n";
    let file = write(folder.path(), text);
    let output = run(&mut eventlake(&["check", "--config", &file]));
    let faults = stderr(&output);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""));
    assert!(
        faults.contains(&format!(
            "{file}:5:1: unknown key \"roll_intervall\" in [lake]; did you mean \"roll_interval\"?\n"
        )),
        "{faults}"
    );
    assert!(
        faults.contains(
            ":3:26: kafka.properties.no.such: librdkafka refuses it: No such configuration property"
        ),
        "{faults}"
    );
    assert!(
        faults.contains(":7:8: topics.name: \"../x\" cannot be a name"),
        "{faults}"
    );
    assert!(faults.contains(":8:10: topics.schema: cannot read "), "{faults}");
    assert!(
        faults.ends_with(&format!("error: 5 faults in {file}\n")),
        "{faults}"
    );
    assert!(!faults.contains("hunter2"), "{faults}");

    let json = run(&mut eventlake(&["check", "--json", "--config", &file]));
    assert_eq!(json.status.code(), Some(2));
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).expect("one JSON object");
    assert_eq!(report["ok"], false);
    assert_eq!(report["faults"][2]["line"], 5);
    assert_eq!(report["faults"].as_array().map(Vec::len), Some(5));
}

#[test]
fn a_new_topic_needs_a_schema_file_and_four_lines() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let schema = r#"{ "type": "object", "required": ["at"], "properties": {
        "at": { "type": "string", "format": "date-time" }, "amount": { "type": "number", "minimum": 0 } } }"#;
    std::fs::write(folder.path().join("payments.schema.json"), schema).expect("a temporary file");
    let annotated = include_str!("../config/eventlake.toml");
    let schemas = concat!(env!("CARGO_MANIFEST_DIR"), "/config/schemas/");
    let four_lines = "[[topics]]\nname = \"payments\"\ntable = \"payments\"\nschema = \"payments.schema.json\"\nevent_time = \"at\"\n";
    let file = write(
        folder.path(),
        &format!("{}\n{four_lines}", annotated.replace("schemas/", schemas)),
    );
    let output = run(&mut eventlake(&["check", "--config", &file, "--json"]));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(report["topics"][4]["name"], "payments");
    assert_eq!(report["topics"][4]["fields"], serde_json::json!(["at", "amount"]));
}

#[test]
fn a_missing_file_and_a_misspelt_command_say_what_to_do() {
    let output = run(&mut eventlake(&["check", "--config", "nowhere.toml"]));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output),
        "nowhere.toml: cannot be read: there is no such file\nerror: 1 fault in nowhere.toml\n\
         hint: name the configuration file with --config FILE or EVENTLAKE_CONFIG\n"
    );
    let output = run(&mut eventlake(&["chek"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("'check'"), "{}", stderr(&output));
    let version = run(&mut eventlake(&["--version"]));
    assert_eq!(
        stdout(&version),
        format!("eventlake {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_misspelt_variable_is_warned_about_and_a_wrong_one_refused() {
    let output = run(eventlake(&["check"]).env("EVENTLAKE_LAKE_MEMRY_LIMIT", "1GiB"));
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("WARN"), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("did you mean EVENTLAKE_LAKE_MEMORY_LIMIT?"),
        "{}",
        stderr(&output)
    );
    let output = run(eventlake(&["check"]).env("EVENTLAKE_LAKE_MEMORY_LIMIT", "1 gig"));
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).starts_with("EVENTLAKE_LAKE_MEMORY_LIMIT (environment): lake.memory_limit: expected")
    );
}

#[test]
fn connect_says_which_topics_are_missing_and_what_partitions_the_others_have() {
    let broker = BuiltinBroker::start(&[("clicks", 3), ("views", 1)]).expect("a broker");
    let check = |topics: &str| {
        let mut command = eventlake(&["check", "--connect", topics]);
        run(command.env("EVENTLAKE_KAFKA_BROKERS", broker.brokers()))
    };
    let output = check("-q");
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(1), "{text}{}", stderr(&output));
    assert!(
        text.contains("missing on the cluster: ratings, client_tickets\nhint: eventlake topics create\n"),
        "{text}"
    );
    for topic in ["ratings", "client_tickets"] {
        broker.create_topic(topic, 2).expect("a topic");
    }
    let output = check("--json");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(report["topics"][0]["partitions_on_cluster"], 3);
    assert_eq!(report["cluster"]["missing_topics"], serde_json::json!([]));
}

#[test]
fn connecting_to_nobody_ends_in_three_within_ten_seconds() {
    let started = std::time::Instant::now();
    let output = run(eventlake(&["check", "--connect"]).env("EVENTLAKE_KAFKA_BROKERS", "127.0.0.1:1"));
    assert_eq!(output.status.code(), Some(3));
    assert!(
        stderr(&output).contains("error: no answer from Kafka at 127.0.0.1:1"),
        "{}",
        stderr(&output)
    );
    assert!(stderr(&output).contains("hint: "), "{}", stderr(&output));
    assert!(started.elapsed().as_secs() < 11, "{:?}", started.elapsed());
}

/// Nobody is told that Kafka agrees where Kafka was not there to ask; and it is asked once, not once a topic.
#[test]
fn a_proof_against_nobody_is_not_checked_within_ten_seconds() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let started = std::time::Instant::now();
    let mut command = eventlake(&["verify", "--kafka", "--json"]);
    command.env("EVENTLAKE_KAFKA_BROKERS", "127.0.0.1:1");
    for root in ["DATA", "REJECTED", "CHECKPOINTS"] {
        command.env(format!("EVENTLAKE_LAKE_{root}"), folder.path().join(root));
    }
    let output = run(&mut command);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(started.elapsed().as_secs() < 11, "{:?}", started.elapsed());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert_eq!(
        (&report["verdict"], &report["kafka_checked"]),
        (&"unchecked".into(), &false.into())
    );
    for topic in report["topics"].as_array().expect("topics") {
        let why = topic["unchecked"].to_string();
        assert!(
            why.contains("no answer from Kafka") && !why.contains("\\n"),
            "{why}"
        );
    }
}

/// librdkafka goes on saying that nobody is there; while the group is joined, many times a second.
#[test]
fn a_broker_that_goes_away_is_one_line() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let topics = [("clicks", 1), ("views", 1), ("ratings", 1), ("client_tickets", 1)];
    let broker = BuiltinBroker::start(&topics).expect("a broker");
    let mut command = eventlake(&["ingest"]);
    command
        .env("EVENTLAKE_KAFKA_BROKERS", broker.brokers())
        .env("EVENTLAKE_HTTP_LISTEN", "off")
        .stderr(std::process::Stdio::piped());
    for root in ["DATA", "REJECTED", "CHECKPOINTS"] {
        command.env(format!("EVENTLAKE_LAKE_{root}"), folder.path().join(root));
    }
    let mut daemon = command.spawn().expect("the program starts");
    let mut said = BufReader::new(daemon.stderr.take().expect("piped")).lines();
    let mut next = || said.next().expect("it goes on").expect("UTF-8");
    while !next().contains("partitions assigned") {}
    let address = broker.brokers().parse().expect("an address");
    drop(broker);
    // Bound but not listening, so it refuses: free, the port could go to the broker of another test.
    let port = tokio::net::TcpSocket::new_v4().expect("a socket");
    port.set_reuseaddr(true).expect("an option");
    port.bind(address).expect("the broker's port");
    while !next().contains("cannot be reached") {}
    std::thread::sleep(std::time::Duration::from_secs(4));
    daemon.kill().expect("it still runs");
    daemon.wait().expect("it ends");
    let rest: Vec<String> = said.map(|line| line.expect("UTF-8")).collect();
    assert!(rest.is_empty(), "{} more lines in 4 s: {rest:#?}", rest.len());
}

/// What starts on a terminal says nothing but its own: the program runs in a pseudo-terminal of util-linux's `script`.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_gets_the_answer_and_nothing_else() {
    let mut inside = Command::new("script");
    let command = format!("{} check", env!("CARGO_BIN_EXE_eventlake"));
    inside
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = match without_settings(&mut inside).output() {
        Ok(output) => output,
        // Not every system brings it; CI's does.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
        Err(error) => panic!("script: {error}"),
    };
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.starts_with("TOPIC "), "{text}");
}

/// A configuration that asks for what this build does not have is told which feature has it, before anybody connects.
#[cfg(not(feature = "tls"))]
#[test]
fn tls_and_scram_without_the_feature_name_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for properties in [
        "security.protocol = \"SASL_SSL\"",
        "security.protocol = \"ssl\"",
        "security.protocol = \"SASL_PLAINTEXT\"\nsasl.mechanism = \"SCRAM-SHA-512\"",
        "sasl.mechanisms = \"OAUTHBEARER\"",
        "ssl.ca.location = \"/etc/ssl/ca.pem\"",
        "ssl.key.password = \"hunter2\"",
    ] {
        let text = format!("[kafka]\nbrokers = \"127.0.0.1:1\"\n[kafka.properties]\n{properties}\n");
        let file = write(folder.path(), &text);
        let output = run(&mut eventlake(&["check", "--config", &file]));
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{properties}: {said}");
        assert!(
            said.contains("hint: build the program with `--features tls`"),
            "{properties}: {said}"
        );
        assert!(!said.contains("hunter2"), "{said}");
    }
}

/// What is said of a view with these outputs beside the annotated file's topics; the password `hunter2` never is.
fn view_with(sql: &str, outputs: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let schemas = concat!(env!("CARGO_MANIFEST_DIR"), "/config/schemas/");
    let annotated = include_str!("../config/eventlake.toml").replace("schemas/", schemas);
    let text = format!("{annotated}\n[[views]]\nname = \"v\"\nsql = \"{sql}\"\noutputs = {outputs}\n");
    let output = run(&mut eventlake(&[
        "check",
        "--config",
        &write(folder.path(), &text),
    ]));
    let said = stderr(&output);
    assert!(!said.contains("hunter2"), "{said}");
    (output.status.code(), said)
}

/// The same of an output: the configuration is understood, and refused before anything runs.
#[test]
fn an_output_to_mongodb_needs_its_feature() {
    let view = |sql: &str, url: &str| {
        let outputs = format!("[{{ to = \"mongodb\", url = \"{url}\", collection = \"c\" }}]");
        view_with(sql, &outputs)
    };
    let good = "SELECT type, count(*) AS count FROM tickets GROUP BY type";
    let (code, said) = view(good, "mongodb://me:hunter2@127.0.0.1:1/d");
    if !cfg!(feature = "mongodb") {
        assert_eq!(code, Some(2), "{said}");
        assert!(
            said.contains("hint: build it with `--features mongodb`"),
            "{said}"
        );
        return;
    }
    assert_eq!(code, Some(0), "{said}");
    for (sql, url, expected) in [
        (good, "mongodb://me:hun/ter2@127.0.0.1:1/d", "is ambiguous"),
        (
            "SELECT avg(length(type)) FROM tickets",
            "mongodb://127.0.0.1:1/d",
            "cannot be a field of a document: a dot",
        ),
        (
            "SELECT count(*) AS count FROM tickets GROUP BY type",
            "mongodb://127.0.0.1:1/d",
            "replaces documents by their key",
        ),
    ] {
        let (code, said) = view(sql, url);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}

/// A URL that asks for what cannot be is found before anybody connects, and so is a file that it names.
#[test]
fn an_output_to_postgres_is_held_against_its_url() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let place = folder.path().display();
    let good = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/views/output/webhook/tests/receiver.pem"
    );
    std::fs::write(folder.path().join("empty.pem"), "").expect("written");
    for (url, expected) in [
        ("postgres://me:hunter2@127.0.0.1:1/d".to_owned(), None),
        (
            format!(
                "postgres://me:hunter2@127.0.0.1:1/d?sslmode=verify-full&sslrootcert={good}&sslcert={good}&sslkey={good}"
            ),
            None,
        ),
        (
            "postgres://me:hun/ter2@127.0.0.1:1/d".to_owned(),
            Some("the output's url is ambiguous".to_owned()),
        ),
        (
            "postgres://me:hunter2@127.0.0.1:1/d?sslmode=verify_full".to_owned(),
            Some(
                "has an sslmode that is not known. hint: disable, allow, prefer, require, verify-ca"
                    .to_owned(),
            ),
        ),
        (
            "postgres://me:hunter2@127.0.0.1:1/d?sslmode=verify-ca".to_owned(),
            Some("hint: name the authority's file by sslrootcert".to_owned()),
        ),
        (
            format!("postgres://me:hunter2@127.0.0.1:1/d?sslmode=verify-ca&sslrootcert={place}/none.pem"),
            Some(format!(
                "the url's sslrootcert names {place}/none.pem, which cannot be read: No such file"
            )),
        ),
        (
            format!("postgres://me:hunter2@127.0.0.1:1/d?sslmode=require&sslrootcert={place}/empty.pem"),
            Some(format!(
                "the url's sslrootcert names {place}/empty.pem, which holds no certificate in PEM"
            )),
        ),
        (
            format!(
                "postgres://me:hunter2@127.0.0.1:1/d?sslmode=require&sslcert={good}&sslkey={place}/empty.pem"
            ),
            Some(format!(
                "the url's sslkey names {place}/empty.pem, which holds no private key in PEM"
            )),
        ),
    ] {
        let outputs = format!("[{{ to = \"postgres\", url = \"{url}\", table = \"t\" }}]");
        let (code, said) = view_with("SELECT type, count(*) AS n FROM tickets GROUP BY type", &outputs);
        match expected {
            None => assert_eq!(code, Some(0), "{url}: {said}"),
            Some(expected) => {
                assert_eq!(code, Some(2), "{url}: {said}");
                assert!(said.contains(&expected), "{url}: {said}");
                assert!(said.contains("eventlake.toml:"), "no place: {said}");
            }
        }
    }
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let output = run(&mut eventlake(&["completions", shell]));
        assert_eq!(output.status.code(), Some(0));
        assert!(stdout(&output).contains("check"), "{shell}");
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    use std::process::Stdio;
    let mut child = eventlake(&["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the program ends");
    assert_eq!(stderr(&output), "");
    assert_eq!(output.status.code(), Some(0));
}
