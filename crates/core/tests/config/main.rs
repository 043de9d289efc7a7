//! The configuration: the annotated example, every kind of fault with its place, variables, secrets.

mod alerts;
mod annotated;
mod case;
mod views;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use eventlake_core::config::{self, ListenAddress, OnDataLoss, PartitionBy, SETTINGS, Section, Start};
use eventlake_core::schema::EventTime;
use proptest::prelude::*;

use case::{Case, FILE, GOOD, GOOD_ALERT, fault_of, lines};

#[test]
fn defaults_work_and_a_topic_needs_four_lines() {
    let added = "[[topics]]\nname = \"a_new.topic\"\ntable = \"fresh\"\nschema = \"/abs/s.json\"\nevent_time = \"at\"\n";
    let config = Case::new(format!("{GOOD}{added}")).config();
    assert_eq!(
        (config.kafka.brokers.as_str(), config.kafka.group.as_str()),
        ("127.0.0.1:9092", "eventlake")
    );
    assert_eq!(config.lake.data, PathBuf::from("data/parquet"));
    assert_eq!(config.lake.rejected, PathBuf::from("data/rejected"));
    assert_eq!(config.lake.checkpoints, PathBuf::from("checkpoints"));
    assert_eq!(config.lake.roll_interval, Duration::from_secs(10));
    assert_eq!(
        (config.lake.roll_bytes, config.lake.memory_limit_bytes),
        (128 << 20, 512 << 20)
    );
    assert_eq!(config.lake.on_data_loss, OnDataLoss::Fail);
    assert_eq!(config.lake.log_retention, Duration::from_secs(7 * 86_400));
    assert_eq!(config.lake.snapshot_every, 100);
    assert_eq!(
        config.http.listen,
        ListenAddress::At("127.0.0.1:8088".parse().expect("an address"))
    );
    assert!(config.warnings.is_empty());
    let [plain, new] = &config.topics[..] else {
        panic!("two topics")
    };
    assert_eq!((plain.name.as_str(), plain.table.as_str()), ("events", "events"));
    assert_eq!(plain.rules.event_time, EventTime::Kafka);
    assert_eq!(
        (plain.start, plain.partition_by),
        (Start::Earliest, PartitionBy::Hour)
    );
    assert_eq!(
        (
            plain.creation.partitions,
            plain.creation.replication,
            plain.creation.retention
        ),
        (4, -1, None)
    );
    assert_eq!(plain.schema_file, PathBuf::from("conf/s.json"));
    assert_eq!((new.name.as_str(), new.table.as_str()), ("a_new.topic", "fresh"));
    assert_eq!(new.rules.event_time, EventTime::DateTime { field: "at".into() });
    assert_eq!(new.rules.schema.fields().len(), 3);
}

#[test]
fn every_setting_reaches_its_place() {
    let text = r#"
[kafka]
brokers = "a:1, b:2"
group = "g"
properties = { "client.id" = "x", statistics.interval.ms = 1000, socket.keepalive.enable = true }
[lake]
data = "d"
rejected = "r"
checkpoints = "c"
roll_interval = "2s"
roll_size = "32MiB"
memory_limit = "128MB"
max_record = "1MiB"
max_future = "2h"
on_data_loss = "record"
log_retention = "1d"
snapshot_every = 7
[http]
listen = "off"
[[topics]]
name = "n"
table = "t"
schema = "s.json"
event_time = "millis"
event_time_unit = "ms"
time_zone = "-01:00"
start = 2026-11-21T00:00:00Z
partition_by = "day"
extra = true
partitions = 12
replication = 3
retention = "3d"
"#;
    let config = Case::new(text).config();
    assert_eq!(
        (config.kafka.brokers.as_str(), config.kafka.group.as_str()),
        ("a:1,b:2", "g")
    );
    let properties: Vec<_> = config
        .kafka
        .properties
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(
        properties,
        [
            "client.id=x",
            "socket.keepalive.enable=true",
            "statistics.interval.ms=1000"
        ]
    );
    let lake = &config.lake;
    assert_eq!(
        [&lake.data, &lake.rejected, &lake.checkpoints],
        ["d", "r", "c"].map(Path::new)
    );
    assert_eq!(
        (lake.roll_interval, lake.roll_bytes),
        (Duration::from_secs(2), 32 << 20)
    );
    assert_eq!(
        (lake.memory_limit_bytes, lake.on_data_loss),
        (128_000_000, OnDataLoss::Record)
    );
    assert_eq!(
        (lake.log_retention, lake.snapshot_every),
        (Duration::from_secs(86_400), 7)
    );
    assert_eq!(config.http.listen, ListenAddress::Off);
    let topic = &config.topics[0];
    assert_eq!((topic.name.as_str(), topic.table.as_str()), ("n", "t"));
    assert!(matches!(&topic.rules.event_time, EventTime::Integer { field, .. } if field == "millis"));
    assert_eq!(
        (topic.rules.record_bytes_max, topic.rules.future_micros_max),
        (1 << 20, 7_200_000_000)
    );
    assert_eq!(
        (topic.rules.extra, topic.rules.time_zone_offset_secs),
        (true, -3600)
    );
    assert_eq!(
        topic.start,
        Start::At {
            unix_millis: 1_795_219_200_000
        }
    );
    assert_eq!(topic.partition_by, PartitionBy::Day);
    let creation = topic.creation;
    assert_eq!((creation.partitions, creation.replication), (12, 3));
    assert_eq!(creation.retention, Some(Duration::from_secs(3 * 86_400)));
}

#[test]
fn all_faults_of_a_file_come_in_one_run_with_their_places() {
    let text = r#"[kafka]
brokers = 9092
propertees = {}
properties = { "enable.auto.commit" = false, sasl.password = { env = "NOT_SET" } }

[lake]
data = "s3://bucket/lake"
roll_intervall = "10s"
roll_interval = 10
memory_limit = "16MiB"
rejected = "checkpoints/rejected"
brokers = "x:1"

[http]
listen = "8088"

[[topics]]
name = "../x"
schema = "missing.json"

[[topics]]
name = "a"
schema = "broken.json"
transform.were = "true"

[[topics]]
name = "a"
table = "b"
schema = "s.json"
event_time = "note"

[[topics]]
name = "c"
table = "B"
start = "earlist"
schema = "s.json"
event_time = "att"

[[alerts]]
name = "v"
"#;
    let expected = r#"conf/eventlake.toml:2:11: kafka.brokers: expected brokers as "host:port", several separated by commas, found the number 9092
conf/eventlake.toml:3:1: unknown key "propertees" in [kafka]; did you mean "properties"?
conf/eventlake.toml:4:39: kafka.properties.enable.auto.commit cannot be set: where reading goes on is decided by the commits in the lake, never by offsets kept in Kafka
conf/eventlake.toml:4:62: kafka.properties.sasl.password: the variable NOT_SET is not set
conf/eventlake.toml:7:8: lake.data: expected the path of a folder, found "s3://bucket/lake"; lakes on object stores (s3://) are not in this version
conf/eventlake.toml:8:1: unknown key "roll_intervall" in [lake]; did you mean "roll_interval"?
conf/eventlake.toml:9:17: lake.roll_interval: expected a duration from "100ms" to "1d", such as "10s", found the number 10; write it as text, in quotes, with its unit
conf/eventlake.toml:10:16: lake.memory_limit: expected a size from "64MiB" on, such as "512MiB", found "16MiB"
conf/eventlake.toml:11:12: lake.checkpoints (checkpoints) contains lake.rejected (checkpoints/rejected); expected folders apart from each other
conf/eventlake.toml:12:1: unknown key "brokers" in [lake]; it belongs in [kafka]
conf/eventlake.toml:15:10: http.listen: expected an address and port such as "127.0.0.1:8088", or "off", found "8088"
conf/eventlake.toml:18:8: topics.name: "../x" cannot be a name: only ASCII letters, digits, '.', '_' and '-' are allowed
conf/eventlake.toml:19:10: topics.schema: cannot read conf/missing.json: no such file
conf/eventlake.toml:24:11: unknown key "transform.were" in [[topics]]; did you mean "transform.where"?
conf/eventlake.toml:27:8: topics.name: "a" is declared twice, first at line 22
conf/eventlake.toml:30:14: topics.event_time: field "note" names the event time but may be absent; hint: list it in the schema's "required"
conf/eventlake.toml:34:9: topics.table: "B" is already the table of the topic at line 28; expected a table for each topic
conf/eventlake.toml:35:9: topics.start: expected "earliest", "latest" or a time such as "2026-11-21T00:00:00Z", found "earlist"
conf/eventlake.toml:37:14: topics.event_time: the schema has no field "att"; hint: did you mean "at"?
conf/eventlake.toml:39:1: alerts.view is missing: expected the name of a view
conf/eventlake.toml:39:1: alerts.when is missing: expected what stands after WHERE, over the view's columns, such as "priority = 'critique' AND count > 100"
"#;
    let faults = Case::new(text).faults();
    let (own, schema): (Vec<_>, Vec<_>) = faults.lines().partition(|line| line.starts_with(FILE));
    assert_eq!(own.join("\n") + "\n", expected);
    assert_eq!(schema.len(), 2, "{schema:#?}");
    assert!(
        schema[0].starts_with("conf/broken.json:4: ") && schema[0].contains("strng"),
        "{schema:#?}"
    );
    assert!(
        schema[1].starts_with("conf/broken.json:5: ") && schema[1].contains("minimun"),
        "{schema:#?}"
    );
}

#[test]
fn each_kind_of_fault_is_named() {
    let cases = [
        (
            "lake",
            "colour = 1",
            "unknown key \"colour\" in [lake]; expected one of data, rejected",
        ),
        (
            "lake",
            "roll_size = \"128\"",
            "a size is a whole number and its unit",
        ),
        (
            "lake",
            "roll_size = \"4GiB\"",
            "4GiB is more than memory_limit (512MiB)",
        ),
        (
            "lake",
            "max_record = \"200MiB\"",
            "200MiB is more than a quarter of memory_limit (512MiB)",
        ),
        (
            "lake",
            "max_future = \"soon\"",
            "a duration is a whole number and its unit",
        ),
        ("lake", "roll_interval = \"0s\"", "found \"0s\""),
        ("lake", "roll_interval = \"2d\"", "found \"2d\""),
        (
            "lake",
            "on_data_loss = \"ignore\"",
            "expected \"fail\" or \"record\", found \"ignore\"",
        ),
        ("lake", "snapshot_every = 0", "expected a number of commits"),
        ("lake", "snapshot_every = \"5\"", "write it without the quotes"),
        ("lake", "snapshot_every = -5", "found the number -5"),
        ("lake", "data = \"\"", "expected the path of a folder"),
        ("lake", "data = [\"a\"]", "found an array"),
        ("lake", "data = \"a\\u0000b\"", "control character"),
        (
            "lake",
            "data = \"data\"",
            "lake.rejected (data/rejected) lies inside lake.data (data)",
        ),
        (
            "lake",
            "checkpoints = \"./x/../data/parquet/\"",
            "is the same folder as lake.data",
        ),
        ("lake", "rejected = \"gs://b\"", "(gs://) are not in this version"),
        ("kafka", "group = \" \"", "expected the consumer group's name"),
        (
            "kafka",
            "properties = 5",
            "expected a table of librdkafka properties, found a number",
        ),
        (
            "kafka",
            "properties.sasl.password = [1]",
            "expected a text, a number",
        ),
        (
            "kafka",
            "properties.sasl.password = { file = \"nowhere\" }",
            "cannot read conf/nowhere: no such file",
        ),
        (
            "kafka",
            "properties.no.such.property = 1",
            "no.such.property: no such configuration property",
        ),
        (
            "kafka",
            "properties = { \"a.b\" = 1, a.b = 2 }",
            "kafka.properties.a.b: it is set twice",
        ),
        ("http", "listen = \"localhost\"", "expected an address and port"),
        (
            "topics",
            "table = \"_hidden\"",
            "\"_hidden\" cannot be a name: readers of a lake",
        ),
        (
            "topics",
            "partition_by = \"week\"",
            "expected \"hour\" or \"day\", found \"week\"",
        ),
        (
            "topics",
            "extra = \"yes\"",
            "expected true or false, found \"yes\"",
        ),
        ("topics", "partitions = 0", "expected a number from 1 to 10000"),
        ("topics", "partitions = 2.5", "found the number 2.5"),
        ("topics", "replication = true", "found true"),
        ("topics", "retention = \"10ms\"", "at least a second"),
        (
            "topics",
            "start = 2026-11-21T00:00:00",
            "say which time zone it is in",
        ),
        ("topics", "start = 2026-11-21", "found the time 2026-11-21"),
        (
            "topics",
            "time_zone = \"Europe/Paris\"",
            "time zones by name are not in this version",
        ),
        (
            "topics",
            "event_time_unit = \"ms\"",
            "the topic has no event_time",
        ),
        (
            "topics",
            "event_time = \"millis\"",
            "say what it counts with event_time_unit",
        ),
        (
            "topics",
            "event_time = \"at\"\nevent_time_unit = \"s\"",
            "needs no event_time_unit",
        ),
        (
            "topics",
            "event_time = \"millis\"\nevent_time_unit = \"ns\"",
            "expected \"s\", \"ms\" or \"us\", found \"ns\"",
        ),
        (
            "topics",
            "transform = \"*\"",
            "topics.transform: expected a table, found \"*\"",
        ),
        (
            "topics",
            "transform.select = 7",
            "topics.transform.select: expected what stands between SELECT and FROM",
        ),
        (
            "topics",
            "transform.where = \" \"",
            "topics.transform.where: expected what stands after WHERE",
        ),
        (
            "topics",
            "transform = { selct = \"*\" }",
            "unknown key \"transform.selct\" in [[topics]]; did you mean \"transform.select\"?",
        ),
        (
            "topics",
            "[[alert]]\nname = \"a\"",
            "unknown key \"alert\" at the top level; did you mean [[alerts]]?",
        ),
        (
            "topics",
            "[lakes]",
            "unknown key \"lakes\" at the top level; did you mean [lake]?",
        ),
        (
            "topics",
            "[storage]\npath = \"x\"",
            "expected [kafka], [lake], [http], [[topics]], [[views]] or [[alerts]]",
        ),
        (
            "topics",
            "[[http]]\nlisten = \"off\"",
            "http: expected a table, [http], found an array",
        ),
    ];
    for (section, added, expected) in cases {
        let message = fault_of(section, added);
        assert!(
            message.contains(expected),
            "{added:?} gives {message:?}, expected {expected:?}"
        );
    }
}

#[test]
fn properties_that_would_break_a_promise_are_refused_with_the_reason() {
    let names = [
        "bootstrap.servers",
        "metadata.broker.list",
        "group.id",
        "group.protocol",
        "enable.auto.commit",
        "auto.commit.interval.ms",
        "enable.auto.offset.store",
        "auto.offset.reset",
        "isolation.level",
        "enable.partition.eof",
        "queued.max.messages.kbytes",
        "fetch.max.bytes",
        "enable.idempotence",
        "acks",
        "transactional.id",
        "check.crcs",
    ];
    for name in names {
        for added in [
            format!("properties = {{ \"{name}\" = \"x\" }}"),
            format!("properties.{name} = \"x\""),
        ] {
            let message = fault_of("kafka", &added);
            assert!(
                message.starts_with(&format!("kafka.properties.{name} cannot be set: ")),
                "{message}"
            );
        }
    }
}

#[test]
fn names_with_control_characters_stay_on_the_faults_own_line() {
    let message = fault_of("kafka", "properties.\"a\\nerror: b\\u001b[2J\" = [1]");
    assert!(
        message.starts_with("kafka.properties.a\\nerror: b\\u{1b}[2J: expected a text"),
        "{message:?}"
    );
}

#[test]
fn what_is_missing_is_said_where_it_belongs() {
    assert_eq!(
        Case::new("[kafka]\n[[topics]]\ntable = \"t\"\n").faults(),
        "conf/eventlake.toml:1:1: kafka.brokers is missing: expected brokers as \"host:port\", several separated by \
         commas, here or in EVENTLAKE_KAFKA_BROKERS\n\
         conf/eventlake.toml:2:1: topics.name is missing: expected the topic's name in Kafka\n\
         conf/eventlake.toml:2:1: topics.schema is missing: expected the path of a JSON Schema file, relative to this \
         file\n"
    );
    let empty = Case::new("").faults();
    assert!(
        empty.contains("kafka.brokers is missing") && empty.contains("no [[topics]]"),
        "{empty}"
    );
    let single = Case::new("[kafka]\nbrokers = \"a:1\"\n[topics]\nname = \"a\"\n").faults();
    assert!(single.starts_with("conf/eventlake.toml:3:1: topics: expected [[topics]] tables, found a table; write it with two brackets"), "{single}");
    assert_eq!(single.lines().count(), 1, "{single}");
}

#[test]
fn text_that_is_not_toml_is_the_one_fault_with_its_line() {
    for (text, place) in [
        ("[kafka\nbrokers = 1\n", "1:7"),
        ("a = 1\na = 2\n", "2:1"),
        ("x = \"\n", "1:6"),
    ] {
        let faults = Case::new(text).faults();
        assert!(
            faults.starts_with(&format!("conf/eventlake.toml:{place}: not TOML: ")),
            "{text:?} gives {faults:?}"
        );
        assert_eq!(faults.lines().count(), 1, "{faults}");
    }
}

#[test]
fn a_schema_that_is_not_json_is_named_with_its_line() {
    let faults = Case::new(GOOD.replace("s.json", "not-json.json")).faults();
    assert!(faults.starts_with("conf/not-json.json:2: "), "{faults}");
}

#[test]
fn a_schema_shared_by_topics_is_reported_once() {
    let text = GOOD.replace("s.json", "broken.json");
    let faults = Case::new(format!(
        "{text}[[topics]]\nname = \"two\"\nschema = \"broken.json\"\n"
    ))
    .faults();
    assert_eq!(faults.lines().count(), 2, "{faults}");
}

#[test]
fn two_topics_cannot_share_a_table_by_default_or_by_name() {
    let by_default = format!("{GOOD}[[topics]]\nname = \"Events\"\nschema = \"s.json\"\n");
    let message = Case::new(by_default).faults();
    assert!(
        message.contains("8:8: topics.table: \"Events\" is already the table of the topic at line 5"),
        "{message}"
    );
    let hidden = GOOD.replace("events", "__internal");
    assert!(Case::new(hidden).faults().contains("set the topic's table"));
}

#[test]
fn variables_win_over_the_file() {
    let config = Case::new(GOOD)
        .with("EVENTLAKE_KAFKA_BROKERS", "other:1")
        .with("EVENTLAKE_KAFKA_GROUP", "")
        .with("EVENTLAKE_LAKE_DATA", "/lake")
        .with("EVENTLAKE_LAKE_ROLL_INTERVAL", "1s")
        .with("EVENTLAKE_LAKE_SNAPSHOT_EVERY", "3")
        .with("EVENTLAKE_HTTP_LISTEN", "off")
        .with("EVENTLAKE_TOPICS_EVENTS_START", "latest")
        .with("EVENTLAKE_TOPICS_EVENTS_EXTRA", "true")
        .with("EVENTLAKE_KAFKA_PROPERTIES_SASL_PASSWORD", "hush")
        .config();
    assert_eq!(
        (config.kafka.brokers.as_str(), config.kafka.group.as_str()),
        ("other:1", "eventlake")
    );
    assert_eq!(config.lake.data, PathBuf::from("/lake"));
    assert_eq!(
        (config.lake.roll_interval, config.lake.snapshot_every),
        (Duration::from_secs(1), 3)
    );
    assert_eq!(config.http.listen, ListenAddress::Off);
    assert_eq!(
        (config.topics[0].start, config.topics[0].rules.extra),
        (Start::Latest, true)
    );
    assert_eq!(config.kafka.properties.get("sasl.password"), Some("hush"));
}

#[test]
fn every_setting_has_a_variable_that_is_known() {
    let config = Case::new(GOOD_ALERT).config();
    for setting in SETTINGS
        .iter()
        .filter(|setting| !matches!(setting.key, "name" | "properties" | "outputs"))
    {
        let whose = match setting.section {
            Section::Topics => "EVENTS_",
            Section::Views => "V_",
            Section::Alerts => "A_",
            Section::Kafka | Section::Lake | Section::Http => "",
        };
        let name = format!("EVENTLAKE_{}_{whose}{}", setting.section.key(), setting.key);
        let name = name.replace('.', "_").to_uppercase();
        assert_eq!(config::misspelt_variable(&name, &config), None, "{name}");
        let case = Case {
            text: GOOD_ALERT.into(),
            variables: BTreeMap::from([(name.leak() as &str, "\u{1}")]),
        };
        let faults = case
            .resolve()
            .err()
            .unwrap_or_else(|| panic!("{setting} takes no notice of its variable"));
        assert!(
            lines(&faults).contains(&format!(" (environment): {setting}: expected ")),
            "{}",
            lines(&faults)
        );
    }
    let misspelt = config::misspelt_variable("EVENTLAKE_LAKE_MEMRY_LIMIT", &config);
    assert_eq!(misspelt, Some(Some("EVENTLAKE_LAKE_MEMORY_LIMIT".to_owned())));
    let misspelt = config::misspelt_variable("EVENTLAKE_VIEWS_V_WINDOW_SIDE", &config);
    assert_eq!(misspelt, Some(Some("EVENTLAKE_VIEWS_V_WINDOW_SIZE".to_owned())));
    let no_single_value = config::misspelt_variable("EVENTLAKE_VIEWS_V_OUTPUTS", &config);
    assert!(no_single_value.is_some(), "a variable cannot say it");
    assert_eq!(config::misspelt_variable("EVENTLAKE_CONFIG", &config), None);
}

#[test]
fn a_fault_in_a_variable_names_the_variable_and_one_in_the_file_still_counts() {
    let text = format!("{GOOD}[lake]\nroll_interval = \"soon\"\n");
    let faults = Case::new(text)
        .with("EVENTLAKE_LAKE_ROLL_INTERVAL", "later")
        .faults();
    let expected = "lake.roll_interval: expected a duration from \"100ms\" to \"1d\", such as \"10s\", found";
    let reason = "a duration is a whole number and its unit: ms, s, m, h or d";
    assert_eq!(
        faults,
        format!(
            "conf/eventlake.toml:8:17: {expected} \"soon\"; {reason}\n\
             EVENTLAKE_LAKE_ROLL_INTERVAL (environment): {expected} \"later\"; {reason}\n"
        )
    );
    let refused = Case::new(GOOD)
        .with("EVENTLAKE_LAKE_DATA", "data/rejected")
        .faults();
    assert!(
        refused.starts_with("EVENTLAKE_LAKE_DATA (environment): lake.rejected"),
        "{refused}"
    );
}

#[test]
fn a_variable_that_two_topics_answer_to_is_refused() {
    let text = format!(
        "{GOOD}[[topics]]\nname = \"a.b\"\nschema = \"s.json\"\n[[topics]]\nname = \"a-b\"\nschema = \"s.json\"\n"
    );
    assert_eq!(Case::new(&text).faults(), "");
    let faults = Case::new(&text)
        .with("EVENTLAKE_TOPICS_A_B_START", "latest")
        .faults();
    assert!(
        faults.starts_with("EVENTLAKE_TOPICS_A_B_START (environment): topics \"a.b\" and \"a-b\" both"),
        "{faults}"
    );
    let read_by_neither = Case::new(&text).with("EVENTLAKE_TOPICS_A_B_NAME", "c");
    assert_eq!(read_by_neither.faults(), "");
}

#[test]
fn secrets_come_from_variables_and_files_and_are_never_shown() {
    let text = GOOD.replace(
        "[[topics]]",
        "[kafka.properties]\nsasl.password = { env = \"SECRET\" }\n\"ssl.key.password\" = { file = \"password\" }\n\
         sasl.username = \"in clear\"\n[[topics]]",
    );
    let config = Case::new(&text).with("SECRET", "from a variable").config();
    assert_eq!(
        config.kafka.properties.get("sasl.password"),
        Some("from a variable")
    );
    assert_eq!(
        config.kafka.properties.get("ssl.key.password"),
        Some("from a file")
    );
    let shown = format!("{config:?} {:?} {config:#?}", config.kafka);
    assert!(shown.contains("sasl.password"));
    for secret in ["from a variable", "from a file", "in clear"] {
        assert!(!shown.contains(secret), "{secret:?} is shown");
    }
}

#[test]
fn an_address_that_others_can_reach_is_allowed_and_warned_about() {
    let config = Case::new(format!("{GOOD}[http]\nlisten = \"0.0.0.0:8088\"\n")).config();
    let [warning] = &config.warnings[..] else {
        panic!("one warning, not {:?}", config.warnings)
    };
    assert!(
        warning
            .to_string()
            .starts_with("conf/eventlake.toml:8:10: http.listen: 0.0.0.0:8088 can be reached")
    );
    let loopback = Case::new(format!("{GOOD}[http]\nlisten = \"[::1]:8088\"\n")).config();
    assert!(loopback.warnings.is_empty());
}

/// Random edits of a text: a slice cut out, copied elsewhere, or replaced by odd characters.
fn edited(text: &'static str) -> impl Strategy<Value = String> {
    let edit = (
        0.0..1.0f64,
        0usize..60,
        0usize..5,
        "[\\[\\]{}=\"'.,#\\n\\\\ a-z0-9é\u{0}-]{0,6}",
    );
    proptest::collection::vec(edit, 1..6).prop_map(move |edits| {
        let mut chars: Vec<char> = text.chars().collect();
        for (at, length, kind, insert) in edits {
            let start = (at * chars.len() as f64) as usize;
            let end = (start + length).min(chars.len());
            let replacement: Vec<char> = match kind {
                0 => Vec::new(),
                1 => chars[start..end]
                    .iter()
                    .chain(&chars[start..end])
                    .copied()
                    .collect(),
                2 => chars[start..end].iter().rev().copied().collect(),
                _ => insert.chars().collect(),
            };
            chars.splice(start..end, replacement);
        }
        chars.into_iter().collect()
    })
}

proptest! {
    #[test]
    fn no_edit_of_a_file_makes_it_panic(text in edited(include_str!("../../../../config/eventlake.toml"))) {
        let case = Case::new(text);
        if let Err(faults) = case.resolve() {
            prop_assert!(!faults.is_empty());
            for fault in &faults {
                prop_assert!(!fault.message.is_empty() && !fault.to_string().contains('\n'), "{fault}");
            }
        }
    }
}

/// librdkafka would look for nobody, for as long as it is asked to.
#[test]
fn brokers_are_addresses_of_kafka_and_of_nothing_else() {
    let faults = |brokers| Case::new(GOOD).with("EVENTLAKE_KAFKA_BROKERS", brokers).faults();
    for wrong in ["http://a:1", "kafka://a:1", "://a:1", "a:1, tcp://b:2"] {
        let said = faults(wrong);
        assert!(said.contains("Kafka does not speak"), "{wrong}: {said}");
    }
    for right in ["a:1", "a", "PLAINTEXT://a:1", "sasl_plaintext://a:1, [::1]:9092"] {
        assert_eq!(faults(right), "", "{right}");
    }
}

/// However it is written: the place is that of the character in the SQL, or, where escapes hide it, of the value.
#[test]
fn a_fault_of_a_transform_has_its_place_in_the_file() {
    for (written, place) in [
        ("transform.select = \"*, BAD\"", "7:24"),
        ("transform.where = 'é = BAD'", "7:24"),
        ("transform.select = \"\"\"\n*,\n  BAD\"\"\"", "9:3"),
        ("transform.select = \"\\u002a, BAD\"", "7:20"),
        ("[topics.transform]\nwhere = \"BAD\"", "8:10"),
    ] {
        let faults = Case::new(format!("{GOOD}{written}\n")).faults();
        let key = if written.contains("where") {
            "where"
        } else {
            "select"
        };
        assert_eq!(
            faults,
            format!("{FILE}:{place}: topics.transform.{key}: BAD is bad\n"),
            "{written}"
        );
    }
    let by_variable = Case::new(GOOD).with("EVENTLAKE_TOPICS_EVENTS_TRANSFORM_WHERE", "BAD");
    assert_eq!(
        by_variable.faults(),
        "EVENTLAKE_TOPICS_EVENTS_TRANSFORM_WHERE (environment): topics.transform.where: BAD is bad\n"
    );
    let right = Case::new(format!("{GOOD}transform.where = \"a\n > b\"\n"));
    assert!(
        right.faults().contains("not TOML"),
        "a line break needs three quotes"
    );
    let right = Case::new(format!("{GOOD}transform.where = \"\"\"a\n > b\"\"\"\n")).config();
    let transform = right.topics[0].transform.as_ref().expect("there is one");
    assert!(transform.select.is_none());
    assert_eq!(
        transform.condition.as_ref().expect("there is one").text,
        "a\n > b"
    );
}
