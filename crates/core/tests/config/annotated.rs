//! The annotated file: it works as it is, and shows every setting with its variable and its default.

use std::path::Path;

use eventlake_core::config::{self, SETTINGS, Section};
use eventlake_core::schema::EventTime;

use crate::case::lines;

const ANNOTATED: &str = include_str!("../../../../config/eventlake.toml");

fn read_from_disk(path: &Path) -> Result<String, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::fs::read_to_string(root.join(path)).map_err(|error| error.to_string())
}

#[test]
fn the_annotated_file_works_as_it_is() {
    let file = Path::new("config/eventlake.toml");
    let config = config::resolve(ANNOTATED, file, &|_| None, &read_from_disk)
        .unwrap_or_else(|faults| panic!("{}", lines(&faults)));
    let landed: Vec<String> = config
        .topics
        .iter()
        .map(|topic| format!("{} -> {}", topic.name, topic.table))
        .collect();
    assert_eq!(
        landed,
        [
            "clicks -> clicks",
            "views -> views",
            "ratings -> ratings",
            "client_tickets -> tickets"
        ]
    );
    assert!(
        config
            .topics
            .iter()
            .all(|topic| matches!(topic.rules.event_time, EventTime::DateTime { .. }))
    );
    assert!(config.warnings.is_empty());
}

#[test]
fn the_annotated_file_shows_every_setting_with_its_variable() {
    for setting in SETTINGS {
        let key = if setting.key == "properties" {
            "[kafka.properties]"
        } else {
            setting.key
        };
        let shows =
            |line: &str| line.trim_start_matches("# ").starts_with(&format!("{key} =")) || line == key;
        assert!(
            ANNOTATED.lines().any(shows),
            "{setting} is not in config/eventlake.toml"
        );
        let variable = match setting.section {
            // The name is what finds a topic's variables.
            Section::Topics if setting.key == "name" => continue,
            Section::Topics => {
                let key = setting.key.replace('.', "_").to_uppercase();
                format!("EVENTLAKE_TOPICS_CLICKS_{key}")
            }
            section => format!("EVENTLAKE_{}_{}", section.key(), setting.key).to_uppercase(),
        };
        assert!(
            ANNOTATED.contains(&variable),
            "{variable} is not in config/eventlake.toml"
        );
    }
}

/// The commented-out lines name defaults: taking the `# ` away changes nothing.
#[test]
fn the_defaults_that_the_annotated_file_names_are_the_ones_that_hold() {
    let no_default = [
        "event_time_unit",
        "transform.",
        "replication",
        "retention",
        "security.",
        "sasl.",
    ];
    let is_setting = |line: &str| {
        let key = line
            .strip_prefix("# ")
            .and_then(|rest| rest.split_once(" = "))
            .map(|(key, _)| key);
        key.is_some_and(|key| {
            !key.contains(' ') && !no_default.iter().any(|skipped| key.starts_with(skipped))
        })
    };
    let uncommented: Vec<&str> = ANNOTATED
        .lines()
        .map(|line| if is_setting(line) { &line[2..] } else { line })
        .collect();
    let uncommented = uncommented.join("\n");
    assert!(uncommented.contains("\nroll_interval = \"10s\"\n") && uncommented.contains("\nextra = false\n"));
    let file = Path::new("config/eventlake.toml");
    let resolve = |text: &str| {
        let config = config::resolve(text, file, &|_| None, &read_from_disk);
        format!(
            "{:#?}",
            config.unwrap_or_else(|faults| panic!("{}", lines(&faults)))
        )
    };
    assert_eq!(resolve(&uncommented), resolve(ANNOTATED));
}
