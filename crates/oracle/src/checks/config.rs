//! The configuration: any TOML text, with any variables over it.
//!
//! Input: the text. Its comment lines of the form `#env NAME=VALUE` are the environment. The schema files there are
//! are those of `config/schemas`, by the end of their path.

use std::collections::BTreeMap;
use std::path::Path;

use eventlake_core::config::{
    Config, Fault, Place, SqlText, Surroundings, TransformConfig, TransformFault, TransformPart, ViewFault,
    known_variables, misspelt_variable, resolve_in,
};
use eventlake_core::schema::DecodeRules;
use eventlake_engine::kafka::property;

const SCHEMAS: &[(&str, &str)] = &[
    (
        "clicks.schema.json",
        include_str!("../../../../config/schemas/clicks.schema.json"),
    ),
    (
        "client_tickets.schema.json",
        include_str!("../../../../config/schemas/client_tickets.schema.json"),
    ),
    (
        "ratings.schema.json",
        include_str!("../../../../config/schemas/ratings.schema.json"),
    ),
    (
        "views.schema.json",
        include_str!("../../../../config/schemas/views.schema.json"),
    ),
    (
        "wrong.schema.json",
        "{\"type\":\"object\",\n\"properties\":{\"a\":{\"typ\":1}}}",
    ),
];
const FILE: &str = "config/eventlake.toml";

pub fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    let variables: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("#env ")?.split_once('='))
        .collect();
    let env = |name: &str| variables.get(name).map(|value| (*value).to_owned());
    let read = |path: &Path| {
        let known = SCHEMAS.iter().find(|(name, _)| path.ends_with(name));
        known.map_or_else(
            || Err("there is no such file".to_owned()),
            |(_, text)| Ok((*text).to_owned()),
        )
    };
    let around = Surroundings {
        env: &env,
        read: &read,
        property: &property::check,
        transform: &last_character_is_wrong,
        view: &|view, _| wrong_when_it_begins_small(&view.sql),
        alert: &|alert, _, _| wrong_when_it_begins_small(&alert.when),
    };
    match resolve_in(text, Path::new(FILE), &around) {
        Ok(config) => check_resolved(&config, &variables),
        Err(faults) => {
            assert!(!faults.is_empty());
            faults
                .iter()
                .for_each(|fault| check_fault(fault, text, &variables));
        }
    }
}

/// A fault at the last character of each piece: its place must be there, however the text is written.
fn last_character_is_wrong(transform: &TransformConfig, _: &DecodeRules) -> Vec<TransformFault> {
    let pieces = [
        (TransformPart::Select, &transform.select),
        (TransformPart::Where, &transform.condition),
    ];
    let fault = |(part, text): (TransformPart, &Option<SqlText>)| {
        Some(TransformFault {
            part,
            at: Some(last_character(text.as_ref()?)),
            message: "wrong".to_owned(),
        })
    };
    pieces.into_iter().filter_map(fault).collect()
}

/// The same of a text that begins with a small letter, so that there are views and alerts with nothing wrong, too.
fn wrong_when_it_begins_small(sql: &SqlText) -> Vec<ViewFault> {
    let is_wrong = sql.text.starts_with(|first: char| first.is_lowercase());
    let fault = || ViewFault {
        at: Some(last_character(sql)),
        message: "wrong".to_owned(),
    };
    is_wrong.then(fault).into_iter().collect()
}

/// Its line and column.
fn last_character(sql: &SqlText) -> (usize, usize) {
    let last = sql.text.rsplit('\n').next().unwrap_or_default();
    (sql.text.matches('\n').count() + 1, last.chars().count().max(1))
}

fn check_resolved(config: &Config, variables: &BTreeMap<&str, &str>) {
    for name in known_variables(config) {
        assert_eq!(misspelt_variable(&name, config), None, "{name} is a setting's");
    }
    for name in variables.keys() {
        let _ = misspelt_variable(name, config);
    }
    for alert in &config.alerts {
        let has_view = config.views.iter().any(|view| view.name == alert.view);
        assert!(has_view && !alert.outputs.is_empty(), "{}", alert.name);
    }
    for topic in &config.topics {
        assert_eq!(topic.rules.fault(), None, "{}", topic.name);
    }
}

/// A fault has one line, and its place is there.
fn check_fault(fault: &Fault, text: &str, variables: &BTreeMap<&str, &str>) {
    let shown = fault.to_string();
    assert!(
        !shown.contains(['\n', '\r']),
        "a fault of more than one line: {shown:?}"
    );
    assert!(!fault.message.is_empty());
    match &fault.place {
        Place::File { file, line, column } => {
            assert_eq!(file, Path::new(FILE));
            // The last line may be empty: behind the last line break.
            let line_text = text.split('\n').nth(line - 1);
            let line_text = line_text.unwrap_or_else(|| panic!("there is no such line: {shown}"));
            assert!(
                *column >= 1 && *column <= line_text.chars().count() + 1,
                "no such column: {shown}"
            );
        }
        Place::Line { file, line } => {
            let known = SCHEMAS.iter().find(|(name, _)| file.ends_with(name));
            let (_, schema) = known.unwrap_or_else(|| panic!("no such file: {shown}"));
            assert!(
                *line >= 1 && *line <= schema.lines().count(),
                "no such line: {shown}"
            );
        }
        Place::WholeFile { .. } => {}
        Place::Variable { name } => {
            assert!(variables.contains_key(name.as_str()), "no such variable: {shown}");
        }
    }
}
