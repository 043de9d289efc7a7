//! `eventlake rejected replay` as users run it: a schema is mended, and what was refused lands.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::workspace::{MENDED, Workspace};

#[test]
fn after_a_schema_is_mended_what_was_refused_lands_once() {
    let mut workspace = Workspace::new();
    let nothing = workspace.json(&["rejected", "replay", "--json"]);
    assert_eq!(nothing["tables"][0]["examined"], 0);
    assert!(
        !workspace.folder.path().join("checkpoints").exists(),
        "asking makes no log"
    );

    workspace.send(200);
    workspace.run(&["ingest", "--until-end"]);
    workspace.assert_exact(90);
    let unmended = workspace.run(&["rejected", "replay"]);
    let text = String::from_utf8_lossy(&unmended.stdout);
    assert!(text.contains("110"), "{text}");
    assert!(text.contains("20 malformed_json, 90 maximum"), "{text}");
    assert!(
        text.ends_with("nothing to do: none of them passes the present schema and transform\n"),
        "{text}"
    );

    workspace.set_schema(MENDED);
    let before = workspace.commits();
    let dry = workspace.json(&["rejected", "replay", "--dry-run", "--json"]);
    assert_eq!(
        (dry["dry_run"].as_bool(), dry["tables"][0]["landed"].as_u64()),
        (Some(true), Some(90))
    );
    assert_eq!(
        (workspace.commits(), workspace.accepted()),
        (before, 90),
        "nothing was changed"
    );

    let done = workspace.json(&[
        "rejected", "replay", "--table", "figures", "--code", "maximum", "--json",
    ]);
    assert_eq!(done["tables"][0]["table"], "figures");
    assert_eq!(done["tables"][0]["examined"], 90);
    assert_eq!(done["tables"][0]["landed"], 90);
    assert_eq!(done["tables"][0]["still_rejected"], serde_json::json!({}));
    assert!(done["tables"][0]["commit"].is_u64(), "{done}");
    assert_eq!(workspace.commits(), before + 1);
    workspace.assert_exact(180);
    let listed = workspace.json(&["rejected", "list", "--json", "--limit", "0"]);
    assert_eq!(listed["total"], 20);

    let again = workspace.json(&["rejected", "replay", "--json"]);
    assert_eq!(
        (
            again["tables"][0]["landed"].as_u64(),
            again["tables"][0]["examined"].as_u64()
        ),
        (Some(0), Some(20))
    );
    assert_eq!(again["tables"][0]["commit"], Value::Null);
    assert_eq!(workspace.commits(), before + 1);

    // The daemon goes on from there, by the mended schema.
    workspace.send(100);
    workspace.run(&["ingest", "--until-end"]);
    workspace.assert_exact(270);
}

/// The daemon publishes and cleans what it sees in the log, whoever committed it: neither disturbs the other.
#[test]
fn a_replay_beside_a_running_daemon_is_exact() {
    let mut workspace = Workspace::new();
    workspace.send(400);
    workspace.run(&["ingest", "--until-end"]);
    let mut daemon = workspace.start();
    workspace.set_schema(MENDED);
    for _ in 0..5 {
        workspace.send(100);
        workspace.run(&["rejected", "replay"]);
        assert!(
            daemon.0.try_wait().expect("asked").is_none(),
            "the daemon stopped"
        );
    }
    let sent = usize::try_from(workspace.sent).expect("positive");
    let deadline = Instant::now() + Duration::from_secs(60);
    let landed = |workspace: &Workspace| {
        let listed = workspace.json(&["rejected", "list", "--json", "--limit", "0"]);
        let status = workspace.json(&["status", "--json"]);
        let accepted = status["topics"][0]["lake"]["accepted"]["rows"].as_u64();
        usize::try_from(listed["total"].as_u64().unwrap_or(0) + accepted.unwrap_or(0)).expect("few")
    };
    while landed(&workspace) < sent {
        assert!(
            Instant::now() < deadline,
            "not landed: {} of {sent}",
            landed(&workspace)
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    workspace.run(&["rejected", "replay"]);
    daemon.stop();
    workspace.run(&["rejected", "replay"]);
    workspace.assert_exact(sent - sent / 10);
}
