//! A case's own folder: configuration, schemas, the lake; and the real program run in it as a child process.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::events::SCHEMA;
use crate::support::without_settings;

/// Longer than any run of a case takes: a command that is still running then hangs.
const RUN_LIMIT: Duration = Duration::from_secs(120);

/// One `[[topics]]` of the configuration.
#[derive(Clone, Debug)]
pub struct Topic {
    pub name: String,
    pub table: String,
    /// Further lines of TOML.
    pub settings: String,
}

impl Topic {
    pub fn new(name: &str, table: &str) -> Topic {
        Topic {
            name: name.to_owned(),
            table: table.to_owned(),
            settings: String::new(),
        }
    }

    pub fn with(mut self, line: &str) -> Topic {
        self.settings.push_str(line);
        self.settings.push('\n');
        self
    }
}

pub struct Workspace {
    dir: TempDir,
    pub brokers: String,
    pub group: String,
    pub topics: Vec<Topic>,
    pub roll_interval: &'static str,
    pub on_data_loss: &'static str,
    /// Further lines of the `[lake]` section.
    pub lake_settings: String,
    /// Further lines of `[kafka.properties]`; a session there takes the place of the short one.
    pub kafka_properties: String,
}

/// What a command that ended said and how.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Ended {
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Ended {
        assert_eq!(
            self.code,
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Asserts that stderr speaks of each of these.
    #[track_caller]
    pub fn expect_said(self, words: &[&str]) -> Ended {
        for word in words {
            assert!(
                self.stderr.contains(word),
                "stderr does not say `{word}`:\n{}",
                self.stderr
            );
        }
        self
    }
}

impl Workspace {
    pub fn new(cluster: &Cluster, topics: Vec<Topic>) -> Workspace {
        Workspace::without_cluster(cluster.brokers(), topics)
    }

    pub fn without_cluster(brokers: &str, topics: Vec<Topic>) -> Workspace {
        Workspace::within(tempfile::tempdir().expect("a temporary folder"), brokers, topics)
    }

    /// On a file system in memory where there is one: for cases that start the program hundreds of times.
    pub fn in_memory(cluster: &Cluster, topics: Vec<Topic>) -> Workspace {
        Workspace::within(folder_in_memory(), cluster.brokers(), topics)
    }

    /// A workspace of its own with the same settings and the same files, and a consumer group of its own.
    pub fn copy(&self) -> Workspace {
        let copied = Workspace::within(folder_in_memory(), &self.brokers, self.topics.clone());
        let status = Command::new("cp")
            .arg("-a")
            .arg(self.dir.path().join("."))
            .arg(copied.dir.path())
            .status();
        assert!(status.expect("cp can be run").success(), "cp -a failed");
        Workspace {
            roll_interval: self.roll_interval,
            on_data_loss: self.on_data_loss,
            lake_settings: self.lake_settings.clone(),
            kafka_properties: self.kafka_properties.clone(),
            ..copied
        }
    }

    fn within(dir: TempDir, brokers: &str, topics: Vec<Topic>) -> Workspace {
        let name = dir.path().file_name().expect("a temporary folder has a name");
        let group = format!("group-{}", name.to_string_lossy().replace('.', ""));
        Workspace {
            dir,
            brokers: brokers.to_owned(),
            group,
            topics,
            roll_interval: "250ms",
            on_data_loss: "fail",
            lake_settings: String::new(),
            kafka_properties: String::new(),
        }
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.dir.path().join(relative)
    }

    pub fn table(&self, table: &str) -> PathBuf {
        self.path("data/parquet").join(table)
    }

    pub fn rejected(&self, table: &str) -> PathBuf {
        self.path("data/rejected").join(table)
    }

    /// The commits of a topic's log, oldest first.
    pub fn commits(&self, topic: &str) -> Vec<PathBuf> {
        let folder = self.path("checkpoints").join(topic);
        let Ok(entries) = fs::read_dir(folder) else {
            return Vec::new();
        };
        let mut commits: Vec<PathBuf> = entries
            .map(|entry| entry.expect("the log can be listed").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .filter(|path| path.is_file())
            .collect();
        commits.sort();
        commits
    }

    /// The text of the configuration file, but for `[http]`.
    fn configuration(&self) -> String {
        let mut text = format!(
            "[kafka]\nbrokers = \"{}\"\ngroup = \"{}\"\n\n\
             [kafka.properties]\n\"heartbeat.interval.ms\" = \"400\"\n{}{}\n\
             [lake]\nroll_interval = \"{}\"\non_data_loss = \"{}\"\n{}\n",
            self.brokers,
            self.group,
            if self.kafka_properties.contains("session.timeout.ms") {
                ""
            } else {
                "\"session.timeout.ms\" = \"2000\"\n"
            },
            self.kafka_properties,
            self.roll_interval,
            self.on_data_loss,
            self.lake_settings,
        );
        for topic in &self.topics {
            write!(
                text,
                "[[topics]]\nname = \"{}\"\ntable = \"{}\"\nschema = \"schemas/events.schema.json\"\n{}\n",
                topic.name, topic.table, topic.settings
            )
            .expect("writing to a string cannot fail");
        }
        text
    }

    /// Writes configuration and schema; done before each command, so that a case may change its settings between. Whoever
    /// is just reading the file finds the one before, whole.
    fn write_configuration(&self, listen: &str) {
        fs::create_dir_all(self.path("config/schemas")).expect("the case's folder can be written");
        let schema = self.path("config/schemas/events.schema.json");
        if !schema.exists() {
            fs::write(schema, SCHEMA).expect("the case's folder can be written");
        }
        let text = format!("{}[http]\nlisten = \"{listen}\"\n", self.configuration());
        let new = self.path("config/eventlake.toml.new");
        fs::write(&new, text).expect("the case's folder can be written");
        fs::rename(new, self.path("config/eventlake.toml")).expect("the case's folder can be written");
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eventlake"));
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        without_settings(&mut command);
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.write_configuration("off");
        self.run_as_written(arguments)
    }

    /// Runs a command with the configuration file as the case wrote it.
    pub fn run_as_written(&self, arguments: &[&str]) -> Ended {
        run_to_end(self.command(arguments))
    }

    pub fn ingest_until_end(&self) -> Ended {
        self.run(&["ingest", "--until-end"])
    }

    /// Runs to the end with failpoints, as `EVENTLAKE_FAILPOINT` names them.
    pub fn ingest_until_end_with(&self, failpoints: &str) -> Ended {
        self.run_with(&["ingest", "--until-end"], failpoints)
    }

    /// Runs a command to its end with failpoints.
    pub fn run_with(&self, arguments: &[&str], failpoints: &str) -> Ended {
        self.write_configuration("off");
        let mut command = self.command(arguments);
        command.env("EVENTLAKE_FAILPOINT", failpoints);
        run_to_end(command)
    }

    /// Starts the daemon.
    pub fn ingest(&self) -> Ingester {
        self.start(&["ingest"], &[])
    }

    /// Starts the daemon with failpoints.
    pub fn ingest_with(&self, failpoints: &str) -> Ingester {
        self.start(&["ingest"], &[("EVENTLAKE_FAILPOINT", failpoints)])
    }

    /// Starts the daemon with further variables.
    pub fn ingest_as(&self, variables: &[(&str, &str)]) -> Ingester {
        self.start(&["ingest"], variables)
    }

    /// Starts a command that runs on.
    pub fn start(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ingester {
        let port = free_port();
        let listen = format!("127.0.0.1:{port}");
        self.write_configuration(&listen);
        let log = self.path(&format!("ingest-{port}.log"));
        let file = File::create(&log).expect("the case's folder can be written");
        let child = self
            .command(arguments)
            // Of two that are started at once, one would find the other's port in the file.
            .env("EVENTLAKE_HTTP_LISTEN", listen)
            .envs(variables.iter().copied())
            .stdout(file.try_clone().expect("a file can be had twice"))
            .stderr(file)
            .spawn()
            .expect("the program starts");
        Ingester { child, log, port }
    }

    /// Every file below the folder, with its bytes: what "nothing changed on disk" is held against.
    pub fn contents(&self, relative: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        contents_below(&self.path(relative), &mut found);
        found
    }
}

fn folder_in_memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .expect("a temporary folder")
}

pub fn run_to_end(mut command: Command) -> Ended {
    let began = Instant::now();
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let stdout = read_in_background(child.stdout.take().expect("stdout is piped"));
    let stderr = read_in_background(child.stderr.take().expect("stderr is piped"));
    let status = wait_or_kill(&mut child, RUN_LIMIT);
    let (stdout, stderr) = (stdout.join().expect("read"), stderr.join().expect("read"));
    let Some(status) = status else {
        panic!("{command:?} did not end within {RUN_LIMIT:?}\nstdout:\n{stdout}\nstderr:\n{stderr}");
    };
    Ended {
        code: status.code(),
        stdout,
        stderr,
        took: began.elapsed(),
    }
}

fn read_in_background(mut pipe: impl std::io::Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).expect("a pipe can be read");
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

fn wait_or_kill(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().expect("a child can be waited for") {
            return Some(status);
        }
        if Instant::now() > deadline {
            child.kill().expect("a child can be killed");
            child.wait().expect("a killed child ends");
            return None;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn contents_below(folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("the lake can be listed").path();
        if path.is_dir() {
            contents_below(&path, found);
        } else {
            let bytes = fs::read(&path).expect("the lake can be read");
            found.insert(path, bytes);
        }
    }
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("a listener has an address").port()
}

/// A running daemon; killed when dropped.
pub struct Ingester {
    child: Child,
    log: PathBuf,
    port: u16,
}

impl Ingester {
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a pid is an i32");
        let pid = Pid::from_raw(pid).expect("a pid is not zero");
        kill_process(pid, signal).expect("our own child can be signalled");
    }

    /// The most memory it ever had resident, by the operating system.
    pub fn peak_resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it is running");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak
            .and_then(|text| text.trim().strip_suffix(" kB"))
            .expect("Linux says so");
        kib.trim().parse::<u64>().expect("a number") * 1024
    }

    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// SIGSTOP: it does nothing until `go_on`, and notices nothing of that.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// SIGKILL, as by the out-of-memory killer.
    #[track_caller]
    pub fn kill(mut self) {
        let early = self.child.try_wait().expect("a child can be waited for");
        assert!(
            early.is_none(),
            "it had ended by itself, {early:?}:\n{}",
            self.log()
        );
        self.child.kill().expect("a child can be killed");
        self.child.wait().expect("a killed child ends");
    }

    pub fn is_running(&mut self) -> bool {
        self.child
            .try_wait()
            .expect("a child can be waited for")
            .is_none()
    }

    /// Waits for its end; the exit code, none when a signal ended it.
    #[track_caller]
    pub fn wait(mut self, limit: Duration) -> Option<i32> {
        match wait_or_kill(&mut self.child, limit) {
            Some(status) => status.code(),
            None => panic!("it did not end within {limit:?}:\n{}", self.log()),
        }
    }

    /// Waits for its end; what it said and how it ended.
    #[track_caller]
    pub fn into_ended(mut self, limit: Duration) -> Ended {
        let began = Instant::now();
        let Some(status) = wait_or_kill(&mut self.child, limit) else {
            panic!("it did not end within {limit:?}:\n{}", self.log());
        };
        Ended {
            code: status.code(),
            stdout: String::new(),
            stderr: self.log(),
            took: began.elapsed(),
        }
    }

    /// GET over its loopback endpoint; none while it does not answer.
    pub fn get(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// The sum of a metric over its labels; 0 while there is none.
    pub fn metric(&self, name: &str) -> f64 {
        let answer = self.get("/metrics").unwrap_or_default();
        let lines = answer.lines().filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(' ') || rest.starts_with('{'))
        });
        lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }
}

impl Drop for Ingester {
    fn drop(&mut self) {
        if self.is_running() {
            self.child.kill().expect("a child can be killed");
            self.child.wait().expect("a killed child ends");
        }
        if thread::panicking() {
            eprintln!("--- {}:\n{}", self.log.display(), self.log());
        }
    }
}
