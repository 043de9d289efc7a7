//! A real Kafka with TLS and SASL: everything works with the right credentials, and each wrong one is one clear line.
//!
//! `scripts/kafka.sh start --secure` gives one; `EVENTLAKE_TEST_SECURE` names its folder `secure`, and
//! `EVENTLAKE_TEST_BROKERS` its plain address, by which the cases produce and look.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cluster::Cluster;
use crate::events::mixed_stream;
use crate::landing::assert_exactly;
use crate::producer::produce;
use crate::workspace::{Ended, Topic, Workspace};

/// A refusal is told within this, the start of the program on a busy machine included.
const PROMPT: Duration = Duration::from_secs(8);
const WRONG_PASSWORD: &str = "wrong-horse-4711";

struct Secure {
    folder: PathBuf,
    cluster: Cluster,
}

/// How a client presents itself.
struct Credentials<'a> {
    protocol: &'a str,
    mechanism: &'a str,
    password: Option<&'a str>,
    authority: &'a str,
}

const RIGHT: Credentials<'static> = Credentials {
    protocol: "SASL_SSL",
    mechanism: "PLAIN",
    password: None,
    authority: "ca.pem",
};

impl Secure {
    fn new() -> Secure {
        let folder = std::env::var_os("EVENTLAKE_TEST_SECURE").unwrap_or_else(|| {
            panic!(
                "EVENTLAKE_TEST_SECURE is not set, so there is no Kafka with TLS to test against\n\
                 hint: start one by scripts/kafka.sh start --secure --dir DIR; it is DIR/secure"
            )
        });
        Secure {
            folder: folder.into(),
            cluster: Cluster::real(),
        }
    }

    fn text(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.folder.join(name)).expect("kafka.sh wrote it");
        text.trim().to_owned()
    }

    fn workspace(&self, address: &str, credentials: &Credentials<'_>, topics: Vec<Topic>) -> Workspace {
        let mut space = Workspace::without_cluster(address, topics);
        let password = match credentials.password {
            Some(password) => password.to_owned(),
            None => self.text("password"),
        };
        std::fs::write(space.path("password"), password).expect("written");
        space.kafka_properties = format!(
            "security.protocol = \"{}\"\nsasl.mechanism = \"{}\"\nsasl.username = \"{}\"\n\
             sasl.password = {{ file = \"../password\" }}\nssl.ca.location = \"{}\"\n",
            credentials.protocol,
            credentials.mechanism,
            self.text("user"),
            path(&self.folder, credentials.authority),
        );
        space
    }

    /// The one line and the hint that each command gives, promptly and without the password.
    fn refused(&self, address: &str, credentials: &Credentials<'_>, line: &str, hint: &str) {
        let space = self.workspace(address, credentials, vec![Topic::new("clicks", "clicks")]);
        let commands: [&[&str]; 4] = [
            &["check", "--connect"],
            &["ingest", "--until-end", "--quiet"],
            &["topics", "list"],
            &["generate", "--count", "1", "--topics", "clicks", "--quiet"],
        ];
        for command in commands {
            let ended = space.run(command).expect_code(3);
            let told: Vec<&str> = ended.stderr.lines().collect();
            let expected = format!("error: no answer from Kafka at {address}: {line}");
            assert!(
                told.len() == 2 && told[0].starts_with(&expected) && told[1].starts_with("hint: "),
                "{command:?}: expected `{expected}` and a hint, found:\n{}",
                ended.stderr
            );
            assert!(told[1].contains(hint), "{command:?}: {}", told[1]);
            assert!(ended.took < PROMPT, "{command:?} took {:?}", ended.took);
            assert_no_secret(&ended, &self.text("password"));
        }
        let ended = space.run(&["status"]).expect_code(0);
        assert!(
            ended.stdout.contains("! kafka does not answer"),
            "{}",
            ended.stdout
        );
        assert_no_secret(&ended, &self.text("password"));
    }
}

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).to_string_lossy().into_owned()
}

fn assert_no_secret(ended: &Ended, password: &str) {
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(
        !said.contains(WRONG_PASSWORD) && !said.contains(password),
        "{said}"
    );
}

#[test]
#[ignore = "needs a Kafka with TLS: see the head of tests/pipeline/secure.rs"]
fn sasl_records_land_by_every_mechanism() {
    let secure = Secure::new();
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let credentials = Credentials { mechanism, ..RIGHT };
        let topic = secure.cluster.topic(&format!("secret-{mechanism}"));
        let topics = vec![Topic::new(&topic, "events").with("event_time = \"at\"")];
        let space = secure.workspace(&secure.text("address"), &credentials, topics);
        space.run(&["topics", "create"]).expect_code(0);
        space.run(&["check", "--connect"]).expect_code(0);
        let sent = produce(&secure.cluster, &topic, mixed_stream(0, 500, 1));
        let ended = space.ingest_until_end().expect_code(0);
        assert_no_secret(&ended, &secure.text("password"));
        assert_exactly(&space, &topic, "events", &sent);
        let status = space.run(&["status"]).expect_code(0);
        assert!(status.stdout.contains(" answers"), "{}", status.stdout);
        let listed = space.run(&["topics", "list"]).expect_code(0);
        assert!(listed.stdout.contains(&topic), "{}", listed.stdout);
    }
}

#[test]
#[ignore = "needs a Kafka with TLS: see the head of tests/pipeline/secure.rs"]
fn sasl_the_generator_produces_what_the_daemon_lands() {
    let secure = Secure::new();
    let credentials = Credentials {
        mechanism: "SCRAM-SHA-512",
        ..RIGHT
    };
    // The generator's own topic, which earlier runs may have left.
    let topics = vec![Topic::new("clicks", "clicks")];
    let space = secure.workspace(&secure.text("address"), &credentials, topics);
    space.run(&["topics", "create"]).expect_code(0);
    let landed = || {
        let ended = space.ingest_until_end().expect_code(0);
        assert_no_secret(&ended, &secure.text("password"));
        let status = space.run(&["status", "--json"]).expect_code(0);
        let status: serde_json::Value = serde_json::from_str(&status.stdout).expect("one object");
        let lake = &status["topics"][0]["lake"];
        let rows = |set: &str| lake[set]["rows"].as_u64().expect("a count");
        rows("accepted") + rows("rejected")
    };
    let before = landed();
    let generated = space.run(&["generate", "--count", "200", "--topics", "clicks"]);
    assert_no_secret(&generated.expect_code(0), &secure.text("password"));
    assert_eq!(landed(), before + 200);
}

#[test]
#[ignore = "needs a Kafka with TLS: see the head of tests/pipeline/secure.rs"]
fn sasl_a_wrong_password_is_one_clear_line() {
    let secure = Secure::new();
    let address = secure.text("address");
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let credentials = Credentials {
            mechanism,
            password: Some(WRONG_PASSWORD),
            ..RIGHT
        };
        let line = "SASL authentication error: Authentication failed";
        secure.refused(&address, &credentials, line, "check the sasl.* properties");
    }
}

#[test]
#[ignore = "needs a Kafka with TLS: see the head of tests/pipeline/secure.rs"]
fn sasl_an_expired_certificate_is_one_clear_line() {
    let secure = Secure::new();
    let line = "the broker's certificate has expired";
    let hint = "the broker needs a new certificate";
    secure.refused(&secure.text("expired-address"), &RIGHT, line, hint);
}

#[test]
#[ignore = "needs a Kafka with TLS: see the head of tests/pipeline/secure.rs"]
fn sasl_an_unknown_authority_is_one_clear_line() {
    let secure = Secure::new();
    let credentials = Credentials {
        authority: "unknown-ca.pem",
        ..RIGHT
    };
    let line = "the broker's certificate was signed by an authority that is not known here";
    secure.refused(&secure.text("address"), &credentials, line, "set ssl.ca.location");
}

#[test]
#[ignore = "needs a Kafka with TLS: see the head of tests/pipeline/secure.rs"]
fn sasl_tls_to_a_plain_port_is_one_clear_line() {
    let secure = Secure::new();
    let address = secure.cluster.brokers().to_owned();
    let line = "SSL handshake failed: Disconnected";
    secure.refused(&address, &RIGHT, line, "that port does not speak TLS");
}

#[test]
#[ignore = "needs a Kafka with TLS: see the head of tests/pipeline/secure.rs"]
fn sasl_plain_text_to_a_tls_port_is_one_clear_line() {
    let secure = Secure::new();
    let address = secure.text("address");
    for protocol in ["PLAINTEXT", "SASL_PLAINTEXT"] {
        let credentials = Credentials { protocol, ..RIGHT };
        let space = secure.workspace(&address, &credentials, vec![Topic::new("clicks", "clicks")]);
        let ended = space.run(&["check", "--connect"]).expect_code(3);
        let said = ended
            .stderr
            .lines()
            .filter(|line| line.starts_with("error: "))
            .count();
        assert_eq!(said, 1, "{}", ended.stderr);
        ended.expect_said(&[
            "it closes the connection at the first request",
            "hint: that port may want TLS or SASL, or be no Kafka at all: check security.protocol",
        ]);
    }
}

#[test]
#[ignore = "needs a Kafka with TLS: see the head of tests/pipeline/secure.rs"]
fn sasl_an_authority_that_is_no_file_is_one_clear_line() {
    let secure = Secure::new();
    let credentials = Credentials {
        authority: "no-such.pem",
        ..RIGHT
    };
    let space = secure.workspace(
        &secure.text("address"),
        &credentials,
        vec![Topic::new("clicks", "clicks")],
    );
    let ended = space.run(&["check", "--connect"]).expect_code(3);
    assert_eq!(ended.stderr.lines().count(), 2, "{}", ended.stderr);
    ended.expect_said(&[
        "ssl.ca.location failed",
        "hint: is there a file in PEM format at ssl.ca.location",
    ]);
}
