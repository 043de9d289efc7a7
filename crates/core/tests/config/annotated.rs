//! The annotated file: it works as it is, and shows every setting with its variable and its default.

use std::path::Path;

use eventlake_core::config::{
    self, AlertConfig, AlertOutputKind, Config, OutputKind, SETTINGS, Section, ViewConfig,
};
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

/// The file without what is commented out as a whole: its views, its alerts; and they.
struct Parts {
    rest: &'static str,
    views: &'static str,
    alerts: &'static str,
}

fn parts() -> Parts {
    let at = |header| ANNOTATED.find(header).unwrap_or_else(|| panic!("no {header}"));
    let (views, alerts) = (at("\n# [[views]]\n"), at("\n# [[alerts]]\n"));
    Parts {
        rest: &ANNOTATED[..views],
        views: &ANNOTATED[views..alerts],
        alerts: &ANNOTATED[alerts..],
    }
}

#[test]
fn the_annotated_file_shows_every_setting_with_its_variable() {
    let Parts { rest, views, alerts } = parts();
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
            Section::Alerts => alerts,
            Section::Kafka | Section::Lake | Section::Http | Section::Topics => rest,
        };
        assert!(
            part.lines().any(shows),
            "{setting} is not in config/eventlake.toml"
        );
        let whose = match setting.section {
            // The name is what finds the variables of a topic, a view or an alert; no variable holds several tables.
            _ if matches!(setting.key, "name" | "outputs") => continue,
            Section::Topics => "CLICKS_",
            Section::Views => "TICKETS_BY_TYPE_PRIORITY_",
            Section::Alerts => "CRITICAL_SHARE_",
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
    let Parts { views, alerts, .. } = parts();
    let document = include_str!("../../../../docs/configuration.md");
    let (_, document) = document.split_once("\n## Views\n").expect("it has views");
    let (of_views, of_alerts) = document.split_once("\n## Alerts\n").expect("it has alerts");
    for kind in OutputKind::ALL {
        assert_output_is_shown(kind.name(), kind.keys(), views, of_views);
    }
    for kind in AlertOutputKind::ALL {
        assert_output_is_shown(kind.name(), kind.keys(), alerts, of_alerts);
    }
}

fn assert_output_is_shown(kind: &str, keys: &[&str], example: &str, document: &str) {
    let shown = format!("{{ to = {kind:?}");
    assert!(
        example.contains(&shown),
        "{shown} is not in config/eventlake.toml"
    );
    let row = format!("| `{kind}` |");
    let row = document.lines().find(|line| line.starts_with(&row));
    let row = row.unwrap_or_else(|| panic!("{kind:?} is not in docs/configuration.md"));
    for key in keys {
        // Where a secret comes from is said of all of them.
        let home = if key.contains('_') { document } else { row };
        assert!(
            home.contains(&format!("`{key}")),
            "{key} of {kind:?} is not in docs/configuration.md"
        );
        assert!(
            example.contains(key),
            "{key} of {kind:?} is not in config/eventlake.toml"
        );
    }
}

/// Taking the `# ` away from all of its lines but the prose.
fn uncommented(part: &str) -> String {
    let mut is_open = false;
    let written = part.lines().filter_map(|line| {
        let line = line.strip_prefix("# ")?;
        let is_setting = line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
        let is_ours = is_setting || is_open || line.starts_with("[[");
        is_open = (is_open || line.ends_with('[')) && line != "]";
        is_ours.then(|| format!("{line}\n"))
    });
    written.collect()
}

/// The file with these in place of what is commented out, and any variables but its own.
fn with(shown: &str) -> Config {
    let text = format!("{}\n{shown}", parts().rest);
    let env = |name: &str| match name {
        "PG_URL" => Some("postgres://a.secret/".to_owned()),
        "MONGO_URL" => Some("mongodb://a.secret/d".to_owned()),
        name if name.starts_with("EVENTLAKE_") => None,
        _ => Some("https://a.secret/".to_owned()),
    };
    config::resolve(&text, Path::new("config/eventlake.toml"), &env, &read_from_disk)
        .unwrap_or_else(|faults| panic!("{}", lines(&faults)))
}

/// Without the lines of these keys, which are all there.
fn without(keys: &[&str], shown: &str) -> String {
    let is_kept = |line: &&str| !keys.iter().any(|key| line.starts_with(&format!("{key} = ")));
    let kept: Vec<&str> = shown.lines().filter(is_kept).collect();
    assert_eq!(kept.len() + keys.len(), shown.lines().count(), "{shown}");
    kept.join("\n")
}

#[test]
fn the_view_of_the_annotated_file_works_and_names_the_defaults_that_hold() {
    let shown = uncommented(parts().views);
    let [all] = &with(&shown).views[..] else {
        panic!("one view")
    };
    assert_eq!(all.outputs.len(), OutputKind::ALL.len());
    let defaults = ["start", "max_groups", "window.lateness"];
    let least = without(&defaults, &shown).replace(", rows = 20", "");
    let [least] = &with(&least).views[..] else {
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

#[test]
fn the_alert_of_the_annotated_file_works_and_names_the_defaults_that_hold() {
    let (views, shown) = (uncommented(parts().views), uncommented(parts().alerts));
    let alert_of = |shown: &str| {
        let [alert] = &with(&format!("{views}\n{shown}")).alerts[..] else {
            panic!("one alert")
        };
        alert.clone()
    };
    let all = alert_of(&shown);
    assert_eq!(all.outputs.len(), AlertOutputKind::ALL.len());
    let least = without(&["severity", "cooldown", "resolve"], &shown).replace(", format = \"json\"", "");
    assert!(!least.contains("format"), "{least}");
    let said = |alert: &AlertConfig| {
        format!(
            "{} {:?} {} {:?}",
            alert.severity, alert.cooldown, alert.resolve, alert.outputs
        )
    };
    assert_eq!(said(&all), said(&alert_of(&least)));
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
    let uncommented: Vec<&str> = parts()
        .rest
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
