//! A PostgreSQL of a case's own, by scripts/postgres.sh; and psql, which asks any.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

/// A server that its case may stop.
pub struct OwnServer {
    pub folder: tempfile::TempDir,
    /// Of its owner, whom it lets in anyhow.
    pub url: String,
}

impl OwnServer {
    pub fn start_with(flags: &[&str]) -> OwnServer {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // The server may run as another user, who must reach its data.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).expect("permissions");
        let mut server = OwnServer {
            folder,
            url: String::new(),
        };
        server.url = server.script(&[&["start", "--port", "0"], flags].concat());
        server
    }

    /// Runs the script for this server, and hands out what it prints.
    pub fn script(&self, arguments: &[&str]) -> String {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres.sh");
        let output = Command::new(script)
            .args(arguments)
            .arg("--dir")
            .arg(self.folder.path().join("server"))
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .expect("the script can be run");
        assert!(output.status.success(), "postgres.sh {arguments:?} failed");
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        self.script(&["stop", "--wipe"]);
    }
}

/// PostgreSQL's own client, to be run: it prints the rows of a statement, a line each.
pub fn psql(url: &str, statement: &str) -> Command {
    let mut psql = Command::new("psql");
    psql.args(["--no-psqlrc", "--tuples-only", "--no-align", "--dbname", url]);
    psql.args(["--command", statement]);
    psql
}
