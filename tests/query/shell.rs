//! The shell on a terminal: statements over lines, its commands, faults that do not end it, and its history.

use std::fs;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::shop::{Shop, accepted, shared};
use crate::support::without_settings;

/// Longer than any statement of a case takes.
const LIMIT: Duration = Duration::from_secs(60);
/// What the line editor sends each time it begins to read.
const READS: &[u8] = b"\x1b[?2004h";

fn typed(shop: &Shop, inputs: &[&str]) -> Option<String> {
    typed_with_interrupt(shop, inputs, b"nothing that is ever shown")
}

/// What the shell shows when these are typed, each once it waits for input; Ctrl-C is typed once the `mark` is shown. None where no
/// terminal can be made.
fn typed_with_interrupt(shop: &Shop, inputs: &[&str], mark: &[u8]) -> Option<String> {
    // Without `exec` some shells wait beside the program, take the Ctrl-C too, and give their own end for its.
    let program = format!(
        "exec {} query --config eventlake.toml",
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
    let (sender, said) = mpsc::channel();
    let mut stdout = child.stdout.take().expect("piped");
    std::thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(length @ 1..) = stdout.read(&mut chunk) {
            let _ = sender.send(chunk[..length].to_vec());
        }
    });
    let mut shown = Vec::new();
    let mut stdin = child.stdin.take().expect("piped");
    let shows = |shown: &[u8], text: &[u8]| shown.windows(text.len()).filter(|bytes| *bytes == text).count();
    let mut is_interrupted = false;
    for (index, input) in inputs.iter().enumerate() {
        while shows(&shown, READS) <= index {
            if !is_interrupted && shows(&shown, mark) > 0 {
                is_interrupted = true;
                stdin.write_all(b"\x03").expect("taken");
            }
            match said.recv_timeout(LIMIT) {
                Ok(bytes) => shown.extend(bytes),
                Err(_) => panic!("before {input:?}: {}", String::from_utf8_lossy(&shown)),
            }
        }
        stdin.write_all(input.as_bytes()).expect("taken");
    }
    while let Ok(bytes) = said.recv_timeout(LIMIT) {
        shown.extend(bytes);
    }
    let shown = String::from_utf8_lossy(&shown).into_owned();
    drop(stdin);
    let status = child.wait().expect("a child");
    assert!(status.success(), "{status}: {shown}");
    Some(shown)
}

#[test]
fn a_statement_ends_with_its_semicolon_and_a_fault_does_not_end_the_shell() {
    let shop = shared().copy();
    let inputs = [
        "SELECT count(*) AS n,\r 'a;b' AS text FROM orders;\r",
        "SELECT prise FROM orders;\r",
        "\\d\r",
        "\\format json\r",
        "SELECT 6 * 7 AS answer;\r",
        " SELECT 'secret' AS answer;\r",
        "\\q\r",
    ];
    let Some(shown) = typed(&shop, &inputs) else {
        return;
    };
    assert!(shown.contains(&accepted().count().to_string()), "{shown}");
    assert!(shown.contains("a;b"), "{shown}");
    assert!(shown.contains("did you mean price?"), "{shown}");
    assert!(shown.contains("rejected"), "{shown}");
    assert!(shown.contains("{\"answer\":42}"), "{shown}");
    let history = fs::read_to_string(shop.path("state/eventlake/query_history")).expect("a history");
    assert!(history.contains("SELECT 6 * 7 AS answer;"), "{history}");
    assert!(
        shown.contains("{\"answer\":\"secret\"}") && !history.contains("secret"),
        "{history}"
    );
}

#[test]
fn names_are_completed() {
    let shop = shared().copy();
    let inputs = ["SELECT max(_kafka_of\t) AS m FROM rejected.o\t;\r", "\\q\r"];
    let Some(shown) = typed(&shop, &inputs) else {
        return;
    };
    assert!(
        shown.contains("max(_kafka_offset") && shown.contains("FROM rejected.orders"),
        "{shown}"
    );
}

#[test]
fn ctrl_c_ends_the_statement_and_not_the_shell() {
    let shop = shared().copy();
    let endless = "SELECT 'begun' AS a UNION ALL SELECT CAST(count(*) AS VARCHAR) FROM generate_series(1, 10000000) a \
                   CROSS JOIN generate_series(1, 10000000) b WHERE a.value % 7 = b.value % 5;\r";
    let inputs = ["\\format csv\r", endless, "SELECT 6 * 7 AS answer;\r", "\\q\r"];
    let Some(shown) = typed_with_interrupt(&shop, &inputs, b"begun\r\n") else {
        return;
    };
    let (before, after) = shown.split_once("interrupted").expect("said");
    assert!(!before.contains("42") && after.contains("42"), "{shown}");
}
