//! The annotated file: it works as it is, and shows every setting with its variable and its default.

use std::path::Path;

use eventlake_core::config::{self, OutputKind, SETTINGS, Section, ViewConfig};
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

/// The file without its views, which are commented out as a whole, and they.
fn topics_and_views() -> (&'static str, &'static str) {
    let at = ANNOTATED.find("\n# [[views]]\n").expect("it has views");
    ANNOTATED.split_at(at)
}

#[test]
fn the_annotated_file_shows_every_setting_with_its_variable() {
    let (rest, views) = topics_and_views();
    for setting in SETTINGS {
        let key = if setting.key == "properties" {
            "[kafka.properties]"
        } else {
            setting.key
        };
        let shows =
            |line: &str| line.trim_start_matches("# ").starts_with(&format!("{key} =")) || line == key;
        let part = match setting.section {
            Section::Views => views,
            Section::Kafka | Section::Lake | Section::Http | Section::Topics => rest,
        };
        assert!(
            part.lines().any(shows),
            "{setting} is not in config/eventlake.toml"
        );
        let whose = match setting.section {
            // The name is what finds a topic's or a view's variables; no variable holds several tables.
            _ if matches!(setting.key, "name" | "outputs") => continue,
            Section::Topics => "CLICKS_",
            Section::Views => "TICKETS_BY_TYPE_PRIORITY_",
            Section::Kafka | Section::Lake | Section::Http => "",
        };
        let key = setting.key.replace('.', "_");
        let variable = format!("EVENTLAKE_{}_{whose}{key}", setting.section.key()).to_uppercase();
        // The variables of properties go on with the property's name.
        let is_it =
            |word: &str| word == variable || setting.key == "properties" && word.starts_with(&variable);
        assert!(
            part.split_whitespace().any(is_it),
            "{variable} is not in config/eventlake.toml"
        );
    }
}

#[test]
fn the_annotated_file_and_the_document_show_every_output_with_its_keys() {
    let (_, views) = topics_and_views();
    let document = include_str!("../../../../docs/configuration.md");
    for kind in OutputKind::ALL {
        let example = format!("{{ to = {:?}", kind.name());
        let row = format!("| `{}` |", kind.name());
        assert!(
            views.contains(&example),
            "{example} is not in config/eventlake.toml"
        );
        let row = document.lines().find(|line| line.starts_with(&row));
        let row = row.unwrap_or_else(|| panic!("{kind:?} is not in docs/configuration.md"));
        for key in kind.keys() {
            // Where a secret comes from is said of all of them.
            let home = if key.contains('_') { document } else { row };
            assert!(
                home.contains(&format!("`{key}")),
                "{key} of {kind:?} is not in docs/configuration.md"
            );
            assert!(
                views.contains(key),
                "{key} of {kind:?} is not in config/eventlake.toml"
            );
        }
    }
}

/// Taking the `# ` away from all of its lines but the prose.
fn uncommented(views: &str) -> String {
    let mut is_open = false;
    let written = views.lines().filter_map(|line| {
        let line = line.strip_prefix("# ")?;
        let is_setting = line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
        let is_ours = is_setting || is_open || line == "[[views]]";
        is_open = (is_open || line.ends_with('[')) && line != "]";
        is_ours.then(|| format!("{line}\n"))
    });
    written.collect()
}

#[test]
fn the_view_of_the_annotated_file_works_and_names_the_defaults_that_hold() {
    let (rest, views) = topics_and_views();
    let shown = uncommented(views);
    let resolve = |views: &str| {
        let text = format!("{rest}\n{views}");
        let env = |name: &str| (!name.starts_with("EVENTLAKE_")).then(|| "a secret".to_owned());
        config::resolve(&text, Path::new("config/eventlake.toml"), &env, &read_from_disk)
            .unwrap_or_else(|faults| panic!("{}", lines(&faults)))
    };
    let [all] = &resolve(&shown).views[..] else {
        panic!("one view")
    };
    assert_eq!(all.outputs.len(), OutputKind::ALL.len());
    let without_defaults: String = shown
        .lines()
        .filter(|line| {
            !["start", "max_groups", "window.lateness"]
                .iter()
                .any(|key| line.starts_with(key))
        })
        .map(|line| line.replace(", rows = 20", "") + "\n")
        .collect();
    assert!(without_defaults.lines().count() + 3 == shown.lines().count());
    let [least] = &resolve(&without_defaults).views[..] else {
        panic!("one view")
    };
    let said = |view: &ViewConfig| {
        format!(
            "{:?} {:?} {:?} {:?}",
            view.start, view.groups_max, view.window, view.outputs
        )
    };
    assert_eq!(said(all), said(least));
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
    let uncommented: Vec<&str> = topics_and_views()
        .0
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
