//! `[[alerts]]`: what each setting comes to, and every kind of fault with its place.

use std::collections::BTreeSet;
use std::time::Duration;

use eventlake_core::config::{
    AlertConfig, AlertOutput, AlertOutputKind, Severity, WebhookFormat, known_variables,
};

use proptest::prelude::*;

use crate::case::{Case, FILE, GOOD_ALERT, GOOD_VIEW};
use crate::edited;

const SECRETS: [&str; 2] = ["hunter2", "s3cr3t"];

/// A good alert with lines added to it.
fn with(added: &str) -> Case {
    Case::new(format!("{GOOD_ALERT}{added}\n"))
}

/// The one fault, behind its place; no secret is in it.
fn fault(case: Case) -> String {
    let faults = case.faults();
    assert_eq!(faults.lines().count(), 1, "{}: {faults:?}", case.text);
    assert!(!SECRETS.iter().any(|secret| faults.contains(secret)), "{faults}");
    let (_, message) = faults.split_once(": ").expect("a place and a message");
    message.trim_end().to_owned()
}

fn alert_of(case: Case) -> AlertConfig {
    let [alert] = &case.config().alerts[..] else {
        panic!("one alert")
    };
    alert.clone()
}

#[test]
fn an_alert_needs_four_lines_and_the_defaults_work() {
    let alert = alert_of(Case::new(GOOD_ALERT));
    let names = (alert.name.as_str(), alert.view.as_str(), alert.when.text.as_str());
    assert_eq!(names, ("a", "v", "n > 100"));
    assert_eq!((alert.severity, alert.resolve), (Severity::Warning, true));
    assert_eq!(alert.cooldown, Duration::from_secs(300));
    assert_eq!(alert.outputs, [AlertOutput::Log]);
    assert!(Case::new(GOOD_VIEW).config().alerts.is_empty());
}

#[test]
fn every_setting_of_an_alert_reaches_its_place() {
    let alert = alert_of(with(
        "severity = \"critical\"\ncooldown = \"0s\"\nresolve = false",
    ));
    assert_eq!((alert.severity, alert.resolve), (Severity::Critical, false));
    assert_eq!(alert.cooldown, Duration::ZERO);
}

#[test]
fn severities_are_ordered_and_shown_as_written() {
    let shown = |severity: &str| {
        let alert = alert_of(with(&format!("severity = \"{severity}\"")));
        assert_eq!(alert.severity.to_string(), severity);
        alert.severity
    };
    assert!(shown("info") < shown("warning") && shown("warning") < shown("critical"));
}

#[test]
fn every_output_of_an_alert_reaches_its_place() {
    let alert = alert_of(
        with(
            r#"outputs = [{ to = "webhook", url_env = "U", secret_file = "password", format = "slack" }, { to = "log" },
              { to = "webhook", url_file = "address" }, { to = "webhook", url = "http://a/hunter2", format = "json" }]"#,
        )
        .with("U", "https://a/s3cr3t"),
    );
    let webhooks: Vec<_> = alert
        .outputs
        .iter()
        .filter_map(|output| match output {
            AlertOutput::Log => None,
            AlertOutput::Webhook { url, secret, format } => Some((
                url.reveal(),
                secret.as_ref().map(|secret| secret.reveal()),
                *format,
            )),
        })
        .collect();
    let expected = [
        ("https://a/s3cr3t", Some("from a file"), WebhookFormat::Slack),
        ("https://example/hunter2", None, WebhookFormat::Json),
        ("http://a/hunter2", None, WebhookFormat::Json),
    ];
    assert_eq!(webhooks, expected);
    assert_eq!((alert.outputs.len(), &alert.outputs[1]), (4, &AlertOutput::Log));
    let shown = format!("{alert:?} {alert:#?}");
    let is_told = SECRETS.iter().any(|secret| shown.contains(secret)) || shown.contains("from a file");
    assert!(!is_told, "{shown}");
}

#[test]
fn all_faults_of_alerts_come_in_one_run_with_their_places() {
    let text = r#"[kafka]
brokers = "a:1"
[[topics]]
name = "events"
schema = "s.json"
[[views]]
name = "v"
sql = "SELECT 1"
outputs = [{ to = "console" }]
[[alerts]]
name = "a-b"
view = "v"
when = """n > 1
  AND BAD"""
severity = "fatal"
cooldwn = "1s"
cooldown = "32d"
resolve = "yes"
outputs = []
[[alerts]]
name = "a"
view = "w"
when = " "
outputs = [{ to = "lgo" }, { to = "log", format = "json" }, { to = "console" },
  { to = "webhook", url = "hunter2", format = "xml", secret = "x", secret_env = "s3cr3t" }]
[[alerts]]
severity = "info"
"#;
    let expected = r#"conf/eventlake.toml:11:8: alerts.name: "a-b" cannot be a name: only ASCII letters, digits and '_' are allowed
conf/eventlake.toml:14:7: alerts.when: BAD is bad over v with 1 tables
conf/eventlake.toml:15:12: alerts.severity: expected "info", "warning" or "critical", found "fatal"
conf/eventlake.toml:16:1: unknown key "cooldwn" in [[alerts]]; did you mean "cooldown"?
conf/eventlake.toml:17:12: alerts.cooldown: expected a duration from "0s" to "31d", such as "5m", found "32d"
conf/eventlake.toml:18:11: alerts.resolve: expected true or false, found "yes"
conf/eventlake.toml:19:11: alerts.outputs: expected one or more tables, such as [{ to = "log" }, { to = "webhook", url_env = "ALERT_URL" }], found none; an alert without outputs would do nothing
conf/eventlake.toml:22:8: alerts.view: there is no view "w"; did you mean "v"?
conf/eventlake.toml:23:8: alerts.when: expected what stands after WHERE, over the view's columns, such as "priority = 'critique' AND count > 100", found " "
conf/eventlake.toml:24:19: alerts.outputs.to: expected "log" or "webhook", found "lgo"; did you mean "log"?
conf/eventlake.toml:24:42: unknown key "format" in an output to "log"; it belongs to "webhook"
conf/eventlake.toml:24:68: alerts.outputs.to: expected "log" or "webhook", found "console"
conf/eventlake.toml:25:27: alerts.outputs.url: expected an address that begins with http:// or https://
conf/eventlake.toml:25:47: alerts.outputs.format: expected "json" or "slack", found "xml"
conf/eventlake.toml:25:68: alerts.outputs.secret_env: secret is there too; expected one of secret, secret_env and secret_file
conf/eventlake.toml:26:1: alerts.name is missing: expected the alert's name
conf/eventlake.toml:26:1: alerts.view is missing: expected the name of a view
conf/eventlake.toml:26:1: alerts.when is missing: expected what stands after WHERE, over the view's columns, such as "priority = 'critique' AND count > 100"
"#;
    assert_eq!(Case::new(text).faults(), expected);
}

#[test]
fn each_kind_of_fault_of_an_alert_is_named() {
    let cases = [
        (
            "severity = 1",
            "alerts.severity: expected \"info\", \"warning\" or \"critical\"",
        ),
        ("severity = \"Info\"", "found \"Info\""),
        ("cooldown = 5", "write it as text, in quotes, with its unit"),
        (
            "cooldown = \"31d1ms\"",
            "alerts.cooldown: expected a duration from \"0s\" to \"31d\"",
        ),
        (
            "resolve = \"true\"",
            "alerts.resolve: expected true or false, found \"true\"",
        ),
        (
            "sql = \"x\"",
            "unknown key \"sql\" in [[alerts]]; it belongs in [[views]]",
        ),
        (
            "outputs = { to = \"log\" }",
            "found a table; write it in brackets, [{ ... }]",
        ),
        (
            "outputs = \"s3cr3t\"",
            "alerts.outputs: expected one or more tables",
        ),
        ("outputs = [\"s3cr3t\"]", "found a text"),
        (
            "outputs = [{}]",
            "alerts.outputs.to is missing: expected \"log\" or \"webhook\"",
        ),
        (
            "outputs = [{ to = \"https://hunter2\" }]",
            "alerts.outputs.to: expected \"log\" or \"webhook\", found an address",
        ),
        (
            "outputs = [{ to = \"object\" }]",
            "alerts.outputs.to: expected \"log\" or \"webhook\", found \"object\"",
        ),
        (
            "outputs = [{ to = \"webhook\" }]",
            "alerts.outputs.url is missing: expected one of url, url_env and url_file",
        ),
        (
            "outputs = [{ to = \"webhook\", url_env = \"NOT_SET\" }]",
            "alerts.outputs.url_env: the variable NOT_SET is not set",
        ),
        (
            "outputs = [{ to = \"webhook\", url_env = \"https://hunter2\" }]",
            "alerts.outputs.url_env: expected the name of a variable",
        ),
        (
            "outputs = [{ to = \"webhook\", url_file = \"password\" }]",
            "alerts.outputs.url_file: expected an address that begins with http",
        ),
        (
            "outputs = [{ to = \"webhook\", url = \"postgres://hunter2\" }]",
            "alerts.outputs.url: expected an address that begins with http",
        ),
        (
            "outputs = [{ to = \"webhook\", url = \"http://hunter2\", format = \"https://hunter2\" }]",
            "alerts.outputs.format: expected \"json\" or \"slack\", found an address",
        ),
        (
            "outputs = [{ to = \"webhook\", url = \"http://hunter2\", secret_file = \"empty\" }]",
            "alerts.outputs.secret_file: it is empty",
        ),
        (
            "outputs = [{ to = \"webhook\", url = \"http://hunter2\", fromat = \"json\" }]",
            "unknown key \"fromat\" in an output to \"webhook\"; did you mean \"format\"?",
        ),
        (
            "outputs = [{ to = \"log\", colour = \"s3cr3t\" }]",
            "unknown key \"colour\" in an output to \"log\"; expected to",
        ),
    ];
    for (added, expected) in cases {
        let message = fault(with(added));
        assert!(
            message.contains(expected),
            "{added:?} gives {message:?}, expected {expected:?}"
        );
    }
    for right in ["cooldown = \"31d\"", "cooldown = \"1ms\"", "severity = \"info\""] {
        assert_eq!(with(right).faults(), "", "{right}");
    }
    let single = fault(Case::new(GOOD_ALERT.replace("[[alerts]]", "[alerts]")));
    assert!(
        single.starts_with("alerts: expected [[alerts]] tables, found a table"),
        "{single}"
    );
}

#[test]
fn an_alerts_name_is_no_other_alerts_in_any_case() {
    let second = |name: &str| {
        with(&format!(
            "[[alerts]]\nname = \"{name}\"\nview = \"v\"\nwhen = \"true\""
        ))
    };
    for name in ["a", "A"] {
        let expected = format!(
            "{FILE}:16:8: alerts.name: {name:?} is already the name of the alert at line 12; expected another name\n"
        );
        assert_eq!(second(name).faults(), expected);
    }
    let capital = second("a").text.replacen("name = \"a\"", "name = \"A\"", 1);
    assert!(fault(Case::new(capital)).starts_with("alerts.name: \"a\" is already the name of the alert"));
    for other in ["b", "v", "events"] {
        assert_eq!(second(other).faults(), "", "{other}");
    }
}

#[test]
fn the_view_of_an_alert_is_one_of_the_files() {
    let view = |name: &str| Case::new(GOOD_ALERT.replace("view = \"v\"", &format!("view = \"{name}\"")));
    let cases = [
        ("V", "alerts.view: there is no view \"V\"; did you mean \"v\"?"),
        (
            "events",
            "alerts.view: there is no view \"events\"; expected one of v",
        ),
        ("a.b", "alerts.view: there is no view \"a.b\"; expected one of v"),
    ];
    for (name, expected) in cases {
        assert_eq!(fault(view(name)), expected);
    }
    let place = view("events").faults();
    assert!(place.starts_with(&format!("{FILE}:13:8: ")), "{place}");
    let (topics, _) = GOOD_ALERT.split_once("[[views]]").expect("it has a view");
    let (_, alert) = GOOD_ALERT.split_once("[[alerts]]").expect("it has an alert");
    assert_eq!(
        fault(Case::new(format!("{topics}[[alerts]]{alert}"))),
        "alerts.view: there is no view \"v\"; there are no [[views]]"
    );
    let below = GOOD_ALERT.replace("view = \"v\"", "view = \"w\"");
    let below =
        format!("{below}[[views]]\nname = \"w\"\nsql = \"SELECT 1\"\noutputs = [{{ to = \"console\" }}]\n");
    assert_eq!(alert_of(Case::new(below)).view.as_str(), "w");
}

/// What is wrong with a view's name is said once, where the view has it.
#[test]
fn a_view_is_missed_only_where_all_their_names_are_known() {
    for (good, bad) in [
        ("name = \"v\"", "name = 5"),
        ("name = \"v\"", "nam = \"v\""),
        ("name = \"v\"\n", "name = \"v\"\nsql = 5\n[[views]]\n"),
        ("[[views]]", "[views]"),
        ("name = \"v\"", "name = \"v.w\""),
    ] {
        let view = bad
            .strip_prefix("name = ")
            .filter(|name| name.ends_with("w\""))
            .unwrap_or("\"v\"");
        let text = GOOD_ALERT
            .replacen(good, bad, 1)
            .replace("view = \"v\"", &format!("view = {view}"));
        let faults = Case::new(&text).faults();
        assert!(
            !faults.is_empty() && !faults.contains("alerts."),
            "{text}: {faults}"
        );
    }
    let of_another = GOOD_ALERT
        .replace("sql = ", "sqll = ")
        .replace("view = \"v\"", "view = \"w\"");
    let faults = Case::new(of_another).faults();
    assert!(faults.contains("alerts.view: there is no view \"w\""), "{faults}");
}

#[test]
fn a_fault_of_a_condition_has_its_place_in_the_file() {
    for (written, place) in [
        ("when = \"n > BAD\"", "14:13"),
        ("when = 'é BAD'", "14:11"),
        ("when = \"\"\"\nn >\n  BAD\"\"\"", "16:3"),
        ("when = \"\\u006e > BAD\"", "14:8"),
    ] {
        let text = GOOD_ALERT.replace("when = \"n > 100\"", written);
        let expected = format!("{FILE}:{place}: alerts.when: BAD is bad over v with 1 tables\n");
        assert_eq!(Case::new(text).faults(), expected, "{written}");
    }
    let by_variable = Case::new(GOOD_ALERT).with("EVENTLAKE_ALERTS_A_WHEN", "BAD");
    assert_eq!(
        by_variable.faults(),
        "EVENTLAKE_ALERTS_A_WHEN (environment): alerts.when: BAD is bad over v with 1 tables\n"
    );
}

/// What is not known would make what is said of the condition mislead.
#[test]
fn a_condition_is_looked_at_only_where_its_view_and_all_topics_are_right() {
    let bad = GOOD_ALERT.replace("n > 100", "BAD");
    let says_so = |text: &str| {
        Case::new(text)
            .faults()
            .contains("alerts.when: BAD is bad over v")
    };
    assert!(says_so(&bad));
    // Nor does another fault of the alert, or one of another view, hide one of its condition.
    let other = "[[views]]\nname = \"w\"\nsql = 5\noutputs = [{ to = \"console\" }]\n";
    for known in [
        bad.replace("name = \"a\"", "name = \"a-1\""),
        bad.replace("name = \"a\"\n", ""),
        format!("{bad}severity = 5\noutputs = [{{ to = \"lgo\" }}]\ncolour = 1\n"),
        format!("{bad}{other}"),
        bad.replace("[[views]]", &format!("{other}[[views]]")),
        format!("{bad}[lake]\ndata = 5\n"),
    ] {
        assert!(says_so(&known), "{known}: {}", Case::new(&known).faults());
    }
    for unknown in [
        bad.replace("sql = \"SELECT", "sql = \"SELECT BAD,"),
        bad.replace("sql = ", "sqll = "),
        bad.replace("sql = ", "every = 5\nsql = "),
        bad.replace("sql = ", "window.slide = \"1s\"\nsql = "),
        bad.replace("\"console\"", "\"consle\""),
        bad.replace("\"console\"", "\"webhook\", url_env = \"NOT_SET\""),
        bad.replace("name = \"v\"", "name = \"v\"\ncolour = 1"),
        bad.replace("name = \"events\"", "table = \"v\"\nname = \"events\""),
        format!("{bad}[[views]]\nname = \"v\"\nsql = \"SELECT 1\"\noutputs = [{{ to = \"console\" }}]\n"),
        bad.replace("s.json", "broken.json"),
        bad.replace("schema =", "schemas ="),
        bad.replace("[[views]]", "extra = 5\n[[views]]"),
        bad.replace("view = \"v\"", "view = 5"),
    ] {
        let faults = Case::new(&unknown).faults();
        assert!(
            !faults.is_empty() && !faults.contains("alerts.when"),
            "{unknown}: {faults}"
        );
    }
}

#[test]
fn variables_win_over_an_alerts_lines() {
    let second = "[[views]]\nname = \"w\"\nsql = \"SELECT 1\"\noutputs = [{ to = \"console\" }]";
    let alert = alert_of(
        with(&format!("severity = \"info\"\ncooldown = \"1s\"\n{second}"))
            .with("EVENTLAKE_ALERTS_A_VIEW", "w")
            .with("EVENTLAKE_ALERTS_A_WHEN", "n < 1")
            .with("EVENTLAKE_ALERTS_A_SEVERITY", "critical")
            .with("EVENTLAKE_ALERTS_A_COOLDOWN", "")
            .with("EVENTLAKE_ALERTS_A_RESOLVE", "false"),
    );
    assert_eq!((alert.view.as_str(), alert.when.text.as_str()), ("w", "n < 1"));
    assert_eq!((alert.severity, alert.resolve), (Severity::Critical, false));
    assert_eq!(alert.cooldown, Duration::from_secs(1));
    let unknown = Case::new(GOOD_ALERT).with("EVENTLAKE_ALERTS_A_VIEW", "w");
    assert_eq!(
        unknown.faults(),
        "EVENTLAKE_ALERTS_A_VIEW (environment): alerts.view: there is no view \"w\"; did you mean \"v\"?\n"
    );
}

#[test]
fn variables_of_alerts_are_known_by_the_alerts_names() {
    let known = known_variables(&Case::new(GOOD_ALERT).config());
    let of_alerts: Vec<&str> = known
        .iter()
        .filter_map(|name| name.strip_prefix("EVENTLAKE_ALERTS_"))
        .collect();
    let keys = ["VIEW", "WHEN", "SEVERITY", "COOLDOWN", "RESOLVE"];
    assert_eq!(of_alerts, keys.map(|key| format!("A_{key}")));
}

/// The kinds are listed once, their names in the message of `to` are written by hand.
#[test]
fn the_message_about_a_kind_names_them_all() {
    let message = fault(with("outputs = [{ to = \"?\" }]"));
    let named: BTreeSet<&str> = message.split('"').skip(1).step_by(2).collect();
    let kinds = AlertOutputKind::ALL.map(AlertOutputKind::name);
    assert_eq!(named, kinds.into_iter().chain(["?"]).collect());
}

proptest! {
    #[test]
    fn no_edit_of_an_alert_makes_it_panic(text in edited(ALERTS)) {
        let case = Case::new(text).with("U", "https://me:hunter2@a/");
        if let Err(faults) = case.resolve() {
            prop_assert!(!faults.is_empty());
            for fault in &faults {
                let shown = fault.to_string();
                prop_assert!(!fault.message.is_empty() && !shown.contains('\n'), "{shown}");
                prop_assert!(!shown.contains("hunter2"), "{shown}");
            }
        }
    }
}

/// All there is of alerts.
const ALERTS: &str = r#"
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
when = """
é > 1
 AND n > 2"""
severity = "critical"
cooldown = "5m"
resolve = false
outputs = [{ to = "log" }, { to = "webhook", url_env = "U", secret_file = "password", format = "slack" }]
[[alerts]]
name = "b"
view = "v"
when = "BAD"
[[alerts.outputs]]
to = "webhook"
url_file = "address"
"#;
