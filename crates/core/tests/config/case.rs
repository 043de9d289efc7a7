//! A configuration's text with the variables and files around it, and what comes of it.

use std::collections::BTreeMap;
use std::path::Path;

use eventlake_core::config::{
    AlertConfig, Config, Defined, Fault, SqlText, Surroundings, TransformConfig, TransformFault,
    TransformPart, ViewConfig, ViewFault, resolve_in,
};
use eventlake_core::schema::DecodeRules;

pub const FILE: &str = "conf/eventlake.toml";

const SCHEMA: &str = r#"{
  "type": "object",
  "required": ["at", "millis"],
  "properties": {
    "at": { "type": "string", "format": "date-time" },
    "millis": { "type": "integer" },
    "note": { "type": ["string", "null"] }
  }
}"#;

const BROKEN_SCHEMA: &str = r#"{
  "type": "object",
  "properties": {
    "at": { "type": "strng" },
    "n": { "type": "integer", "minimun": 3 }
  }
}"#;

/// A configuration with nothing wrong, to which a test adds what it is about.
pub const GOOD: &str = r#"
[kafka]
brokers = "127.0.0.1:9092"
[[topics]]
name = "events"
schema = "s.json"
"#;

/// The same with a view.
pub const GOOD_VIEW: &str = r#"
[kafka]
brokers = "127.0.0.1:9092"
[[topics]]
name = "events"
schema = "s.json"
[[views]]
name = "v"
sql = "SELECT count(*) FROM events"
outputs = [{ to = "console" }]
"#;

/// The same with an alert on the view.
pub const GOOD_ALERT: &str = r#"
[kafka]
brokers = "127.0.0.1:9092"
[[topics]]
name = "events"
schema = "s.json"
[[views]]
name = "v"
sql = "SELECT count(*) AS n FROM events"
outputs = [{ to = "console" }]
[[alerts]]
name = "a"
view = "v"
when = "n > 100"
"#;

/// A text, the variables and files around it.
#[derive(Default)]
pub struct Case {
    pub text: String,
    pub variables: BTreeMap<&'static str, &'static str>,
}

impl Case {
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    pub fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.variables.insert(name, value);
        self
    }

    pub fn resolve(&self) -> Result<Config, Vec<Fault>> {
        let env = |name: &str| self.variables.get(name).map(|text| (*text).to_owned());
        let property = |name: &str, _: &str| match name {
            "no.such.property" => Err("no such configuration property".to_owned()),
            _ => Ok(()),
        };
        let transform = |transform: &TransformConfig, _: &DecodeRules| {
            let pieces = [
                (TransformPart::Select, &transform.select),
                (TransformPart::Where, &transform.condition),
            ];
            // What is at fault is said by the text itself.
            let fault = |(part, text): (TransformPart, &Option<SqlText>)| {
                Some(TransformFault {
                    part,
                    at: Some(place_of_bad(text.as_ref()?)?),
                    message: "BAD is bad".to_owned(),
                })
            };
            pieces.into_iter().filter_map(fault).collect()
        };
        let view = |view: &ViewConfig, defined: &Defined<'_>| {
            let fault = |at| ViewFault {
                at: Some(at),
                message: format!("BAD is bad with {} tables", defined.topics.len()),
            };
            place_of_bad(&view.sql).map(fault).into_iter().collect()
        };
        let alert = |alert: &AlertConfig, view: &ViewConfig, defined: &Defined<'_>| {
            let fault = |at| ViewFault {
                at: Some(at),
                message: format!(
                    "BAD is bad over {} with {} tables",
                    view.name,
                    defined.topics.len()
                ),
            };
            place_of_bad(&alert.when).map(fault).into_iter().collect()
        };
        resolve_in(
            &self.text,
            Path::new(FILE),
            &Surroundings {
                env: &env,
                read: &read,
                property: &property,
                transform: &transform,
                view: &view,
                alert: &alert,
            },
        )
    }

    pub fn config(&self) -> Config {
        self.resolve()
            .unwrap_or_else(|faults| panic!("{}", lines(&faults)))
    }

    pub fn faults(&self) -> String {
        self.resolve()
            .map(|_| String::new())
            .unwrap_or_else(|faults| lines(&faults))
    }
}

/// Line and column of the word in a piece of SQL.
fn place_of_bad(sql: &SqlText) -> Option<(usize, usize)> {
    let before = &sql.text[..sql.text.find("BAD")?];
    let line = before.rsplit('\n').next().expect("there is a last line");
    Some((before.matches('\n').count() + 1, line.chars().count() + 1))
}

pub fn lines(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("{fault}\n")).collect()
}

fn read(path: &Path) -> Result<String, String> {
    match path.to_str().expect("test paths are text") {
        "conf/s.json" | "/abs/s.json" => Ok(SCHEMA.to_owned()),
        "conf/broken.json" => Ok(BROKEN_SCHEMA.to_owned()),
        "conf/not-json.json" => Ok("{ \"type\": \"object\",\n  oops }".to_owned()),
        "conf/password" => Ok("from a file\n".to_owned()),
        "conf/address" => Ok("https://example/hunter2\n".to_owned()),
        "conf/empty" => Ok("\n".to_owned()),
        "conf/two-lines" => Ok("from a\nfile\n".to_owned()),
        _ => Err("no such file".to_owned()),
    }
}

/// The one fault of a good configuration with `lines` added to a section, without the place.
pub fn fault_of(section: &str, added: &str) -> String {
    let text = match section {
        "kafka" => GOOD.replace("[[topics]]", &format!("{added}\n[[topics]]")),
        "topics" => format!("{GOOD}{added}\n"),
        other => format!("{GOOD}[{other}]\n{added}\n"),
    };
    let faults = Case::new(&text)
        .resolve()
        .err()
        .unwrap_or_else(|| panic!("{added:?} is accepted"));
    assert_eq!(faults.len(), 1, "{added:?}: {}", lines(&faults));
    let place = faults[0].place.to_string();
    assert!(place.starts_with("conf/"), "{added:?}: {place}");
    faults[0].message.clone()
}
