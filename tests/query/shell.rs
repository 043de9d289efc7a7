//! The shell on a terminal: statements over lines, its commands, faults that do not end it, and its history.

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::shop::{Shop, accepted, shared};
use crate::support::without_settings;

/// What the shell shows when this is typed. None where no terminal can be made.
fn typed(shop: &Shop, keys: &str) -> Option<String> {
    let program = format!(
        "{} query --config eventlake.toml",
        env!("CARGO_BIN_EXE_eventlake")
    );
    let mut inside = Command::new("script");
    inside
        .args(["-q", "-e", "-c", &program, "/dev/null"])
        .current_dir(shop.path(""))
        .env("XDG_STATE_HOME", shop.path("state"))
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = match without_settings(&mut inside).spawn() {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => panic!("script: {error}"),
    };
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(keys.as_bytes()).expect("taken");
    let output = child.wait_with_output().expect("it ends");
    drop(stdin);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{shown}");
    Some(shown)
}

#[test]
fn a_statement_ends_with_its_semicolon_and_a_fault_does_not_end_the_shell() {
    let shop = shared().copy();
    let keys = "SELECT count(*) AS n,\r 'a;b' AS text FROM orders;\rSELECT prise FROM orders;\r\\d\r\\format json\rSELECT 6 * 7 AS answer;\r\\q\r";
    let Some(shown) = typed(&shop, keys) else { return };
    assert!(shown.contains(&accepted().count().to_string()), "{shown}");
    assert!(shown.contains("a;b"), "{shown}");
    assert!(shown.contains("did you mean price?"), "{shown}");
    assert!(shown.contains("rejected"), "{shown}");
    assert!(shown.contains("{\"answer\":42}"), "{shown}");
    let history = fs::read_to_string(shop.path("state/eventlake/query_history")).expect("a history");
    assert!(history.contains("SELECT 6 * 7 AS answer;"), "{history}");
}

#[test]
fn names_are_completed() {
    let shop = shared().copy();
    let Some(shown) = typed(&shop, "SELECT max(_kafka_of\t) AS m FROM ord\t;\r\\q\r") else {
        return;
    };
    assert!(shown.contains("max(_kafka_offset) AS m FROM orders"), "{shown}");
}
