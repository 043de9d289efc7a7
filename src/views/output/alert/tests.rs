//! What an alert tells, and what it does not, against a receiver of this process.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use arrow::array::{ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use eventlake_core::config::{Secret, SqlText};
use eventlake_core::names::{AlertName, ViewName};

use super::super::post::agent;
use super::super::receiver::{Post, answer, receiver};
use super::*;

/// Every test has a clock of its own thread, in seconds.
const PAUSE_SECS: u64 = 60;

thread_local! {
    static NOW_MILLIS: AtomicI64 = const { AtomicI64::new(0) };
}

fn set_now(secs: i64) {
    NOW_MILLIS.with(|now| now.store(secs * 1_000, Ordering::Relaxed));
}

fn config(resolve: bool) -> AlertConfig {
    AlertConfig {
        name: AlertName::new("many").expect("a name"),
        view: ViewName::new("by_city").expect("a name"),
        when: SqlText::unplaced("n > 10"),
        severity: Severity::Warning,
        cooldown: Duration::from_secs(PAUSE_SECS),
        resolve,
        outputs: Vec::new(),
    }
}

fn columns(by_window: bool) -> SchemaRef {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let mut fields = vec![
        Field::new("city", DataType::Utf8, true),
        Field::new("n", DataType::Int64, true),
    ];
    if by_window {
        fields.insert(0, Field::new("window_start", time, true));
    }
    Arc::new(Schema::new(fields))
}

/// An alert, and the receiver it tells: of all its answers, those that are not "200 OK" come first.
struct Case {
    alert: Alert,
    requests: Receiver<Post>,
    by_window: bool,
    mark: Mark,
}

impl Case {
    fn new(by_window: bool, config: AlertConfig, first_answers: &[&str]) -> Case {
        let taken = answer("200 OK", "", "");
        let mut answers: Vec<&str> = first_answers.to_vec();
        answers.extend(std::iter::repeat_n(taken.as_str(), 20));
        let (address, requests) = receiver(&answers);
        Case {
            alert: Case::open(by_window, config, &address, WebhookFormat::Json),
            requests,
            by_window,
            mark: None,
        }
    }

    fn open(by_window: bool, config: AlertConfig, address: &str, format: WebhookFormat) -> Alert {
        let condition = Condition::compile(&config.when.text, &columns(by_window)).expect("a condition");
        let output = AlertOutput::Webhook {
            url: Secret::new(format!("http://{address}/hook")),
            secret: None,
            format,
        };
        let mut alert = Alert::new(config, condition, &output);
        alert.clock = || NOW_MILLIS.with(|now| now.load(Ordering::Relaxed));
        let Sink::Webhook { post, .. } = &mut alert.sink else {
            unreachable!("made above");
        };
        assert!(post.agent.set(agent(None, &[])).is_ok());
        alert
    }

    /// What it tells of a view that holds these rows, or of these windows: status and city, or the status, the city and the window.
    fn told(&mut self, rows: &[(i64, &str, i64)], windows: &[i64]) -> Vec<String> {
        self.emit(rows, windows).expect("told");
        self.taken()
    }

    fn taken(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        while let Ok(request) = self.requests.try_recv() {
            let said = request.json();
            assert_eq!(said["alert"], "many");
            let text = |name: &str| said[name].as_str().unwrap_or_default().to_owned();
            let city = said["key"]["city"].as_str().unwrap_or("none");
            told.push(
                format!("{} {city} {}", text("status"), text("window_start"))
                    .trim_end()
                    .to_owned(),
            );
        }
        told
    }

    fn emit(&mut self, rows: &[(i64, &str, i64)], windows: &[i64]) -> anyhow::Result<()> {
        let starts = rows.iter().map(|row| row.0 * 1_000_000);
        let starts = TimestampMicrosecondArray::from_iter_values(starts).with_timezone("UTC");
        let cities = StringArray::from_iter_values(rows.iter().map(|row| row.1));
        let counts = Int64Array::from_iter_values(rows.iter().map(|row| row.2));
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(cities), Arc::new(counts)];
        if self.by_window {
            arrays.insert(0, Arc::new(starts));
        }
        let batch = RecordBatch::try_new(columns(self.by_window), arrays).expect("rows");
        let windows: Vec<i64> = windows.iter().map(|start| start * 1_000_000).collect();
        let emission = Emission {
            view: &ViewName::new("by_city").expect("a name"),
            as_of: 3,
            lake: "log-1",
            columns: &columns(self.by_window),
            key: if self.by_window { &[0, 1] } else { &[0] },
            rows: std::slice::from_ref(&batch),
            covers: if self.by_window {
                Covers::Windows
            } else {
                Covers::Everything
            },
            windows: &windows,
        };
        self.mark = self.alert.emit(&emission, self.mark.clone())?;
        Ok(())
    }
}

#[test]
fn a_state_is_told_when_it_begins_and_when_it_is_over() {
    set_now(0);
    let mut case = Case::new(false, config(true), &[]);
    assert_eq!(case.told(&[(0, "Oslo", 5)], &[]), [""; 0]);
    assert_eq!(
        case.told(&[(0, "Oslo", 11), (0, "Bern", 12)], &[]),
        ["firing Oslo", "firing Bern"]
    );
    assert_eq!(
        case.told(&[(0, "Oslo", 15), (0, "Bern", 12)], &[]),
        [""; 0],
        "it is told already"
    );
    assert_eq!(
        case.told(&[(0, "Oslo", 9), (0, "Bern", 12)], &[]),
        ["resolved Oslo"]
    );
    assert_eq!(
        case.told(&[(0, "Oslo", 9)], &[]),
        ["resolved Bern"],
        "its row is gone"
    );
    set_now(59);
    assert_eq!(case.told(&[(0, "Oslo", 20)], &[]), [""; 0], "within the pause");
    set_now(60);
    assert_eq!(case.told(&[(0, "Oslo", 20)], &[]), ["firing Oslo"]);
}

#[test]
fn a_window_is_told_once_however_often_it_is_shown() {
    set_now(0);
    let mut settings = config(true);
    settings.cooldown = Duration::ZERO;
    let mut case = Case::new(true, settings, &[]);
    assert_eq!(
        case.told(&[(0, "Oslo", 11), (60, "Oslo", 12), (60, "Bern", 3)], &[60, 0]),
        [
            "firing Oslo 1970-01-01T00:00:00Z",
            "firing Oslo 1970-01-01T00:01:00Z"
        ]
    );
    assert_eq!(case.told(&[(60, "Oslo", 13)], &[60]), [""; 0], "a late row");
    assert_eq!(
        case.told(&[(60, "Oslo", 1)], &[60]),
        [""; 0],
        "no later window says that it is over"
    );
    assert_eq!(
        case.told(&[], &[120]),
        ["resolved Oslo 1970-01-01T00:02:00Z"],
        "a window without rows"
    );
}

#[test]
fn within_the_pause_windows_of_a_key_are_passed_over() {
    set_now(0);
    let mut case = Case::new(true, config(false), &[]);
    assert_eq!(case.told(&[(0, "Oslo", 11)], &[0]).len(), 1);
    set_now(30);
    assert_eq!(
        case.told(&[(60, "Oslo", 11), (60, "Bern", 11)], &[60]),
        ["firing Bern 1970-01-01T00:01:00Z"]
    );
    set_now(60);
    assert_eq!(
        case.told(&[(60, "Oslo", 12)], &[60]),
        [""; 0],
        "it was passed over for good"
    );
    assert_eq!(
        case.told(&[(120, "Oslo", 11)], &[120]),
        ["firing Oslo 1970-01-01T00:02:00Z"]
    );
    assert_eq!(case.told(&[], &[180]), [""; 0], "ends are not told");
}

#[test]
fn it_remembers_over_a_start_what_it_has_told() {
    set_now(0);
    let mut case = Case::new(false, config(true), &[]);
    assert_eq!(case.told(&[(0, "Oslo", 11)], &[]), ["firing Oslo"]);
    case.alert.raised = None; // as after a start, with the mark alone
    assert_eq!(case.told(&[(0, "Oslo", 12)], &[]), [""; 0]);
    case.alert.raised = None;
    assert_eq!(case.told(&[], &[]), ["resolved Oslo"]);
}

#[test]
fn what_was_told_before_a_failure_is_not_told_again() {
    set_now(0);
    let (taken, refused) = (answer("200 OK", "", ""), answer("400 Bad Request", "", "no"));
    let mut case = Case::new(false, config(true), &[&taken, &refused]);
    let rows = [(0, "Bern", 11), (0, "Oslo", 12)];
    let error = case.emit(&rows, &[]).expect_err("refused");
    assert!(
        format!("{error:#}").contains("alert many: webhook at"),
        "{error:#}"
    );
    assert_eq!(case.taken(), ["firing Bern", "firing Oslo"]);
    assert_eq!(case.told(&rows, &[]), ["firing Oslo"]);
}

#[test]
fn a_repeat_after_a_crash_has_the_same_key() {
    set_now(0);
    let mut case = Case::new(true, config(true), &[]);
    let key = |case: &mut Case| {
        case.emit(&[(60, "Oslo", 11)], &[60]).expect("told");
        let request = case.requests.recv().expect("a request");
        request.header("idempotency-key").expect("a key").to_owned()
    };
    let first = key(&mut case);
    (case.alert.raised, case.mark) = (None, None); // it was killed before its mark was kept
    assert_eq!(key(&mut case), first);
}

#[test]
fn slack_is_told_in_words() {
    set_now(0);
    let taken = answer("200 OK", "", "ok");
    let (address, requests) = receiver(&[&taken]);
    let mut case = Case::new(false, config(true), &[]);
    case.alert = Case::open(false, config(true), &address, WebhookFormat::Slack);
    case.emit(&[(0, "Os\u{7}lo", 11)], &[]).expect("told");
    let said = requests.recv().expect("a request").json();
    assert_eq!(
        said,
        json!({"text": "[warning] many firing: city=Os\\x07lo n=11 (n > 10 of view by_city)"})
    );
}
