//! No secret leaves the program: marked ones in every place that takes one, and everything the program says or writes searched.

#![allow(clippy::disallowed_methods, reason = "tests")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use eventlake_engine::kafka::builtin::BuiltinBroker;
use support::without_settings;

/// Part of every secret below; no other text holds it.
const MARK: &str = "s3cr3t-MARK";

struct Workspace {
    folder: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Workspace {
    /// `properties` are further lines of `[kafka.properties]`.
    fn new(brokers: &str, properties: &str) -> Workspace {
        let folder = tempfile::tempdir().expect("a folder");
        let workspace = Workspace {
            folder,
            variables: Vec::new(),
        };
        workspace.configure(brokers, properties, "off");
        let schema = r#"{"type":"object","properties":{"n":{"type":"integer"}}}"#;
        std::fs::write(workspace.path("clicks.json"), schema).expect("written");
        std::fs::write(workspace.path("secret-file"), format!("{MARK}-file\n")).expect("written");
        workspace
    }

    fn configure(&self, brokers: &str, properties: &str, listen: &str) {
        let text = format!(
            "[kafka]\nbrokers = \"{brokers}\"\n[kafka.properties]\nsession.timeout.ms = 1500\n{properties}\n\
             [lake]\nroll_interval = \"200ms\"\n[http]\nlisten = \"{listen}\"\n\
             [[topics]]\nname = \"clicks\"\ntable = \"clicks\"\nschema = \"clicks.json\"\n"
        );
        std::fs::write(self.path("eventlake.toml"), text).expect("written");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eventlake"));
        without_settings(&mut command);
        command
            .args(arguments)
            .args(["--config", "eventlake.toml"])
            .current_dir(self.folder.path())
            .env("RUST_LOG", "trace")
            .env("RUST_BACKTRACE", "full")
            .envs(self.variables.iter().cloned());
        command
    }

    /// Runs a command to its end. What it said holds no secret; it is returned.
    fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().expect("the program starts");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert_silent(&said, &format!("{arguments:?}"));
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
        format!("exit {:?}\n{said}", output.status.code())
    }

    /// No file below the folder holds a secret, but the two that gave them.
    fn assert_files_silent(&self) {
        let mut looked_at = 0;
        for path in files_below(self.folder.path()) {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if name == "eventlake.toml" || name == "secret-file" {
                continue;
            }
            let content = std::fs::read(&path).expect("readable");
            assert_silent(&String::from_utf8_lossy(&content), &path.display().to_string());
            looked_at += 1;
        }
        assert!(looked_at > 0, "nothing was written");
    }
}

#[track_caller]
fn assert_silent(said: &str, place: &str) {
    let at = said.find(MARK);
    let around = at.map(|at| {
        said[at.saturating_sub(200)..]
            .chars()
            .take(300)
            .collect::<String>()
    });
    assert_eq!(around, None, "{place} tells a secret");
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

/// The commands, as loud as they can be made.
const LOUD: [&[&str]; 10] = [
    &["check", "-vv"],
    &["check", "--json", "-vv"],
    &["check", "--connect", "-vv", "--log-format", "json"],
    &["ingest", "--until-end", "-vv"],
    &["ingest", "--until-end", "-vv", "--log-format", "json"],
    &["generate", "--count", "1", "--topics", "clicks", "-vv"],
    &["topics", "list", "--json", "-vv"],
    &["status", "-vv"],
    &["status", "--json", "-vv"],
    &["verify", "--json", "-vv"],
];

/// Every way a secret is given: in the file, by the file's own reference to a variable or a file, by a variable.
fn properties() -> String {
    let mut lines = format!(
        "debug = \"all\"\nsecurity.protocol = \"SASL_PLAINTEXT\"\nsasl.mechanism = \"PLAIN\"\n{}",
        unused_properties()
    );
    if cfg!(feature = "tls") {
        lines.push_str(&format!(
            "sasl.oauthbearer.config = \"{MARK}\"\nssl.key.password = \"{MARK}\"\nssl.keystore.password = \"{MARK}\"\n"
        ));
    }
    lines
}

/// Credentials that a client without SASL never uses, and librdkafka is told all the same.
fn unused_properties() -> String {
    format!(
        "sasl.username = {{ env = \"USER_SECRET\" }}\nsasl.password = {{ file = \"secret-file\" }}\n\
         sasl.kerberos.kinit.cmd = \"{MARK}\"\n"
    )
}

fn variables() -> Vec<(&'static str, String)> {
    vec![
        ("USER_SECRET", format!("{MARK}-user")),
        (
            "EVENTLAKE_KAFKA_PROPERTIES_SASL_PASSWORD",
            format!("{MARK}-variable"),
        ),
        // Over the file's own.
        // One letter off: a warning names the variable, never its value.
        (
            "EVENTLAKE_KAFKA_PROPERTIES_SASL_PASSWROD",
            format!("{MARK}-misspelt"),
        ),
        ("EVENTLAKE_KAFKA_PASSWORD", format!("{MARK}-unknown")),
    ]
}

#[test]
fn nothing_is_told_where_the_brokers_do_not_answer() {
    // The port is ours, and hangs up on everybody.
    let port = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = port.local_addr().expect("an address").to_string();
    std::thread::spawn(move || port.incoming().for_each(drop));
    let mut workspace = Workspace::new(&address, &properties());
    workspace.variables = variables();
    for command in LOUD {
        let said = workspace.run(command);
        assert!(!said.starts_with("exit Some(101)"), "{command:?}: {said}");
    }
    let said = workspace.run(&["check", "-v"]);
    assert!(said.contains("SASL_PASSWROD"), "the warning is there: {said}");
}

#[test]
fn nothing_is_told_of_what_is_refused() {
    let secret = |line: &str| line.replace("MARK", MARK);
    let lines = [
        // Not librdkafka's, not TOML, of the wrong kind, decided elsewhere, set twice.
        "no.such.property = \"MARK\"",
        "security.protocol = \"MARK\"",
        "sasl.mechanism = \"MARK\"",
        "socket.keepalive.enable = \"MARK\"",
        "message.max.bytes = \"MARK\"",
        "sasl.password = \"MARK",
        "sasl.password = MARK",
        "sasl.password = 'MARK' 'MARK'",
        "sasl.password = [\"MARK\"]",
        "sasl.password = { enw = \"MARK\" }",
        "sasl.password = { env = \"X\", default = \"MARK\" }",
        "sasl.password = \"MARK\\q\"",
        "enable.auto.commit = \"MARK\"",
        "sasl.password = \"MARK\"\n\"sasl.password\" = \"MARK\"",
        "ssl.key.password = \"MARK\"",
        "ssl.key.pem = \"MARK\"",
        "ssl.keystore.password = \"MARK\"",
        "sasl.oauthbearer.client.secret = \"MARK\"\nsasl.oauthbearer.method = \"MARK\"",
        "ssl.certificate.pem = \"MARK\"\nsecurity.protocol = \"SSL\"",
        "sasl.mechanism = \"SCRAM-SHA-256\"\nsecurity.protocol = \"SASL_PLAINTEXT\"\nsasl.username = \"MARK\"\nsasl.password = \"MARK\"",
        "sasl.mechanism = \"GSSAPI\"\nsecurity.protocol = \"SASL_PLAINTEXT\"\nsasl.kerberos.kinit.cmd = \"MARK\"",
    ];
    for line in lines {
        let workspace = Workspace::new("127.0.0.1:1", &secret(line));
        for command in [
            &["check", "-vv"][..],
            &["check", "--json"],
            &["ingest", "-vv", "--until-end"],
        ] {
            let said = workspace.run(command);
            assert!(!said.starts_with("exit Some(101)"), "{line}: {said}");
        }
    }
    // A variable that holds what cannot be.
    let mut workspace = Workspace::new("127.0.0.1:1", "");
    for (name, value) in [
        ("EVENTLAKE_KAFKA_PROPERTIES_SECURITY_PROTOCOL", MARK),
        (
            "EVENTLAKE_KAFKA_PROPERTIES_ENABLE_SSL_CERTIFICATE_VERIFICATION",
            MARK,
        ),
        ("EVENTLAKE_KAFKA_PROPERTIES_SSL_KEY_PASSWORD", MARK),
        ("EVENTLAKE_KAFKA_PROPERTIES_DEBUG", MARK),
    ] {
        workspace.variables = vec![(name, value.to_owned())];
        workspace.run(&["check", "-vv"]);
    }
}

#[test]
fn nothing_is_told_by_a_daemon_that_works() {
    let broker = BuiltinBroker::start(&[("clicks", 1)]).expect("a broker");
    let port = TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = port.local_addr().expect("an address");
    drop(port);
    // The built-in broker knows no SASL, so the secrets are in properties that it never asks about.
    let properties = format!("debug = \"all\"\n{}", unused_properties());
    let mut workspace = Workspace::new(&broker.brokers(), &properties);
    workspace.configure(&broker.brokers(), &properties, &listen.to_string());
    workspace.variables = variables();
    let log = std::fs::File::create(workspace.path("daemon.log")).expect("a file");
    let mut command = workspace.command(&["ingest", "-vv"]);
    command
        .stdout(log.try_clone().expect("twice"))
        .stderr(log)
        .stdin(Stdio::null());
    let mut daemon = command.spawn().expect("the program starts");
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let ready = get(&listen.to_string(), "/readyz");
        if ready.starts_with("HTTP/1.1 200") {
            break;
        }
        assert!(Instant::now() < deadline, "not ready: {ready}");
        std::thread::sleep(Duration::from_millis(50));
    }
    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/api/v1/status",
        "/",
        "/api/v1/config",
        "/debug/pprof",
    ] {
        assert_silent(&get(&listen.to_string(), path), path);
    }
    for command in LOUD {
        workspace.run(command);
    }
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&daemon),
        rustix::process::Signal::TERM,
    )
    .expect("asked to stop");
    assert!(daemon.wait().expect("it ends").success());
    let said = std::fs::read_to_string(workspace.path("daemon.log")).expect("readable");
    assert!(said.contains("partitions assigned"), "{said}");
    assert!(
        said.contains("librdkafka v"),
        "the Kafka client was heard: {said}"
    );
    workspace.assert_files_silent();
}

fn get(address: &str, path: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return String::new();
    };
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    let answered = stream
        .write_all(request.as_bytes())
        .and_then(|()| stream.read_to_string(&mut answer));
    answered.map_or(String::new(), |_| answer)
}
