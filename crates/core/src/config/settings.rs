//! Every setting there is: its section, its key, and what may stand there.

use std::fmt;

/// A part of the configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Kafka,
    Lake,
    Http,
    /// One `[[topics]]` table.
    Topics,
    /// One `[[views]]` table.
    Views,
    /// One `[[alerts]]` table.
    Alerts,
}

impl Section {
    pub(super) const ALL: [Self; 6] = [
        Self::Kafka,
        Self::Lake,
        Self::Http,
        Self::Topics,
        Self::Views,
        Self::Alerts,
    ];

    /// The section's key at the top level of the file.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Lake => "lake",
            Self::Http => "http",
            Self::Topics => "topics",
            Self::Views => "views",
            Self::Alerts => "alerts",
        }
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topics | Self::Views | Self::Alerts => write!(f, "[[{}]]", self.key()),
            other => write!(f, "[{}]", other.key()),
        }
    }
}

/// One setting of the configuration file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    pub section: Section,
    pub key: &'static str,
    /// What a right value looks like, as a message says it after "expected".
    pub expected: &'static str,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.section.key(), self.key)
    }
}

const fn kafka(key: &'static str, expected: &'static str) -> Setting {
    Setting {
        section: Section::Kafka,
        key,
        expected,
    }
}

const fn lake(key: &'static str, expected: &'static str) -> Setting {
    Setting {
        section: Section::Lake,
        key,
        expected,
    }
}

const fn topics(key: &'static str, expected: &'static str) -> Setting {
    Setting {
        section: Section::Topics,
        key,
        expected,
    }
}

pub(super) const fn views(key: &'static str, expected: &'static str) -> Setting {
    Setting {
        section: Section::Views,
        key,
        expected,
    }
}

pub(super) const fn alerts(key: &'static str, expected: &'static str) -> Setting {
    Setting {
        section: Section::Alerts,
        key,
        expected,
    }
}

pub const BROKERS: Setting = kafka("brokers", "brokers as \"host:port\", several separated by commas");
pub const GROUP: Setting = kafka("group", "the consumer group's name, a text that is not empty");
pub const PROPERTIES: Setting = kafka("properties", "a table of librdkafka properties");

pub const DATA: Setting = lake("data", "the path of a folder");
pub const REJECTED: Setting = lake("rejected", "the path of a folder");
pub const CHECKPOINTS: Setting = lake("checkpoints", "the path of a folder");
pub const ROLL_INTERVAL: Setting = lake(
    "roll_interval",
    "a duration from \"100ms\" to \"1d\", such as \"10s\"",
);
pub const ROLL_SIZE: Setting = lake("roll_size", "a size from \"1MiB\" on, such as \"128MiB\"");
pub const MEMORY_LIMIT: Setting = lake("memory_limit", "a size from \"64MiB\" on, such as \"512MiB\"");
pub const MAX_RECORD: Setting = lake("max_record", "a size from \"1KiB\" to \"1GB\", such as \"16MiB\"");
pub const MAX_FUTURE: Setting = lake("max_future", "a duration such as \"1h\"");
pub const ON_DATA_LOSS: Setting = lake("on_data_loss", "\"fail\" or \"record\"");
pub const LOG_RETENTION: Setting = lake("log_retention", "a duration such as \"7d\"");
pub const SNAPSHOT_EVERY: Setting = lake("snapshot_every", "a number of commits from 1 to 100000");

pub const LISTEN: Setting = Setting {
    section: Section::Http,
    key: "listen",
    expected: "an address and port such as \"127.0.0.1:8088\", or \"off\"",
};

pub const NAME: Setting = topics("name", "the topic's name in Kafka");
pub const TABLE: Setting = topics("table", "the name of the table's folder");
pub const SCHEMA: Setting = topics("schema", "the path of a JSON Schema file, relative to this file");
pub const EVENT_TIME: Setting = topics(
    "event_time",
    "the name of the schema's field that holds the event time",
);
pub const EVENT_TIME_UNIT: Setting = topics("event_time_unit", "\"s\", \"ms\" or \"us\"");
pub const TIME_ZONE: Setting = topics("time_zone", "\"UTC\" or an offset from it such as \"+02:00\"");
pub const START: Setting = topics(
    "start",
    "\"earliest\", \"latest\" or a time such as \"2026-11-21T00:00:00Z\"",
);
pub const PARTITION_BY: Setting = topics("partition_by", "\"hour\" or \"day\"");
pub const EXTRA: Setting = topics("extra", "true or false");
pub const TRANSFORM_SELECT: Setting = topics(
    "transform.select",
    "what stands between SELECT and FROM, such as \"* EXCLUDE (email), upper(type) AS kind\"",
);
pub const TRANSFORM_WHERE: Setting = topics(
    "transform.where",
    "what stands after WHERE, such as \"priority <> 'basse'\"",
);
pub const PARTITIONS: Setting = topics("partitions", "a number from 1 to 10000");
pub const REPLICATION: Setting = topics("replication", "a number from 1 to 100");
pub const RETENTION: Setting = topics("retention", "a duration of at least a second, such as \"7d\"");

pub const VIEW_NAME: Setting = views("name", "the view's name");
pub const SQL: Setting = views(
    "sql",
    "a query, such as \"SELECT type, count(*) AS count FROM tickets GROUP BY type\"",
);
pub const EVERY: Setting = views("every", "a duration from \"100ms\" to \"1d\", such as \"5s\"");
pub const VIEW_START: Setting = views("start", "\"lake\" or \"now\"");
pub const MAX_GROUPS: Setting = views("max_groups", "a number from 1 to 10000000");
pub const WINDOW_SIZE: Setting = views(
    "window.size",
    "a duration from \"1s\" to \"31d\", such as \"60s\"",
);
pub const WINDOW_SLIDE: Setting = views(
    "window.slide",
    "a duration from \"1s\" to \"31d\", such as \"10s\"",
);
pub const WINDOW_LATENESS: Setting = views(
    "window.lateness",
    "a duration from \"0s\" to \"31d\", such as \"30s\"",
);
pub const OUTPUTS: Setting = views(
    "outputs",
    "one or more tables, such as [{ to = \"console\" }, { to = \"json\", path = \"output/tickets.json\" }]",
);

pub const ALERT_NAME: Setting = alerts("name", "the alert's name");
pub const ALERT_VIEW: Setting = alerts("view", "the name of a view");
pub const WHEN: Setting = alerts(
    "when",
    "what stands after WHERE, over the view's columns, such as \"priority = 'critique' AND count > 100\"",
);
pub const SEVERITY: Setting = alerts("severity", "\"info\", \"warning\" or \"critical\"");
pub const COOLDOWN: Setting = alerts("cooldown", "a duration from \"0s\" to \"31d\", such as \"5m\"");
pub const RESOLVE: Setting = alerts("resolve", "true or false");
pub const ALERT_OUTPUTS: Setting = alerts(
    "outputs",
    "one or more tables, such as [{ to = \"log\" }, { to = \"webhook\", url_env = \"ALERT_URL\" }]",
);

/// Every setting, in the order of the annotated example.
pub const SETTINGS: [Setting; 45] = [
    BROKERS,
    GROUP,
    PROPERTIES,
    DATA,
    REJECTED,
    CHECKPOINTS,
    ROLL_INTERVAL,
    ROLL_SIZE,
    MEMORY_LIMIT,
    MAX_RECORD,
    MAX_FUTURE,
    ON_DATA_LOSS,
    LOG_RETENTION,
    SNAPSHOT_EVERY,
    LISTEN,
    NAME,
    TABLE,
    SCHEMA,
    EVENT_TIME,
    EVENT_TIME_UNIT,
    TIME_ZONE,
    START,
    PARTITION_BY,
    EXTRA,
    TRANSFORM_SELECT,
    TRANSFORM_WHERE,
    PARTITIONS,
    REPLICATION,
    RETENTION,
    VIEW_NAME,
    SQL,
    EVERY,
    VIEW_START,
    MAX_GROUPS,
    WINDOW_SIZE,
    WINDOW_SLIDE,
    WINDOW_LATENESS,
    OUTPUTS,
    ALERT_NAME,
    ALERT_VIEW,
    WHEN,
    SEVERITY,
    COOLDOWN,
    RESOLVE,
    ALERT_OUTPUTS,
];

/// Whether a variable can override it. A name is what finds the variables; a table is no single value.
pub(super) fn has_variable(setting: &Setting) -> bool {
    ![NAME, VIEW_NAME, ALERT_NAME, PROPERTIES, OUTPUTS, ALERT_OUTPUTS].contains(setting)
}

pub(super) fn of_section(section: Section) -> impl Iterator<Item = Setting> {
    SETTINGS
        .into_iter()
        .filter(move |setting| setting.section == section)
}

/// The variable that overrides a setting of `[kafka]`, `[lake]` or `[http]`: `EVENTLAKE_LAKE_ROLL_INTERVAL`.
pub(super) fn variable_prefix(section: Section) -> String {
    format!("EVENTLAKE_{}_", shouted(section.key()))
}

/// The variables of one topic, view or alert begin with this: `EVENTLAKE_TOPICS_CLIENT_TICKETS_`.
pub(super) fn named_variable_prefix(section: Section, name: &str) -> String {
    format!("{}{}_", variable_prefix(section), shouted(name))
}

/// As variables are written: capitals, digits and underscores.
pub(super) fn shouted(text: &str) -> String {
    let shout = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    };
    text.chars().map(shout).collect()
}

/// The known word that was most likely meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let tolerated = (word.chars().count() / 3).clamp(1, 4);
    let distance = |known: &str| strsim::damerau_levenshtein(&word.to_lowercase(), known);
    let candidates = known
        .into_iter()
        .map(|known| (distance(&known.to_lowercase()), known));
    candidates
        .filter(|(distance, _)| *distance <= tolerated)
        .min_by_key(|(distance, _)| *distance)
        .map(|found| found.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_the_key() {
        let keys = || of_section(Section::Lake).map(|setting| setting.key);
        assert_eq!(nearest("roll_intervall", keys()), Some("roll_interval"));
        assert_eq!(nearest("Memory_Limit", keys()), Some("memory_limit"));
        assert_eq!(nearest("dtaa", keys()), Some("data"));
        assert_eq!(nearest("colour", keys()), None);
    }

    #[test]
    fn variables_are_capitals_and_underscores() {
        assert_eq!(
            named_variable_prefix(Section::Topics, "shop.client-tickets"),
            "EVENTLAKE_TOPICS_SHOP_CLIENT_TICKETS_"
        );
    }
}
