//! The figures of a report, as `--json` prints them: the field names are a public format.

use eventlake_core::commit::CommitNumber;
use serde::{Serialize, Serializer};

use crate::cli::time;

/// A moment, in microseconds since 1970; in JSON as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i64);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match time::rfc3339(self.0) {
            Some(text) => serializer.serialize_str(&text),
            // Beyond any calendar.
            None => serializer.serialize_i64(self.0),
        }
    }
}

/// A value of a column.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Value {
    Integer(i64),
    Number(f64),
    Boolean(bool),
    /// At most [`Value::TEXT_MAX`] characters; `…` stands for the rest.
    Text(String),
    Time(Moment),
    #[serde(serialize_with = "date")]
    Date(i64),
}

fn date<S: Serializer>(days: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time::date(*days))
}

impl Value {
    pub const TEXT_MAX: usize = 256;

    /// Where it lies on an axis; texts lie nowhere.
    pub fn position(&self) -> Option<f64> {
        match self {
            Value::Integer(value) | Value::Time(Moment(value)) | Value::Date(value) => Some(*value as f64),
            Value::Number(value) => Some(*value),
            Value::Boolean(_) | Value::Text(_) => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Integer,
    Number,
    Boolean,
    Text,
    Time,
    Date,
    /// Its figures are of its length.
    List,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Integer => "integer",
            Kind::Number => "number",
            Kind::Boolean => "boolean",
            Kind::Text => "text",
            Kind::Time => "time",
            Kind::Date => "date",
            Kind::List => "list",
        }
    }

    /// Whether its values have an order that quantiles and a histogram make sense in.
    pub fn is_ordered(self) -> bool {
        !matches!(self, Kind::Boolean | Kind::Text)
    }
}

#[derive(Debug, Serialize)]
pub struct Report {
    pub made_at: Moment,
    /// The period asked for, `[from, to)`, of event times.
    pub from: Option<Moment>,
    pub to: Option<Moment>,
    pub tables: Vec<TableReport>,
}

#[derive(Debug, Serialize)]
pub struct TableReport {
    pub table: String,
    /// All of this table's figures are as of this commit of its log.
    pub commit: CommitNumber,
    /// Accepted rows of the period.
    pub rows: u64,
    pub first: Option<Moment>,
    pub last: Option<Moment>,
    pub findings: Vec<Finding>,
    pub volume: Volume,
    pub columns: Vec<Column>,
    /// None where the event time is Kafka's own.
    pub lateness: Option<Lateness>,
    /// None where no key was given.
    pub duplicates: Option<Duplicates>,
    pub rejected: Rejected,
    /// Offsets that Kafka no longer had, in all of the log whatever the period.
    pub lost: u64,
}

impl TableReport {
    /// The columns whose values have an order, and so quantiles.
    pub fn ordered(&self) -> Vec<&Column> {
        let columns = self.columns.iter();
        columns.filter(|column| column.quantiles.is_some()).collect()
    }
}

/// Something that a reader should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The column it is about; none for the table as a whole.
    pub column: Option<String>,
    /// Of our own words and numbers: nothing in it came from the lake.
    pub what: String,
}

/// The steps of a count over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    Hour,
    Day,
    Month,
    Year,
}

impl Unit {
    pub fn as_str(self) -> &'static str {
        match self {
            Unit::Hour => "hour",
            Unit::Day => "day",
            Unit::Month => "month",
            Unit::Year => "year",
        }
    }
}

/// Rows by event time. Steps without rows are left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Volume {
    /// Hours, unless there are too many.
    pub unit: Unit,
    pub steps: Vec<Step>,
    /// Steps without rows between the first and the last.
    pub empty_steps: u64,
    /// The longest stretch of them, `[from, to)`.
    pub longest_gap: Option<(Moment, Moment)>,
    /// Rows whose record has no Kafka timestamp, where that is the event time.
    pub rows_without_time: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    pub from: Moment,
    pub rows: u64,
}

#[derive(Debug, Serialize)]
pub struct Column {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: Kind,
    pub nulls: u64,
    /// Texts that are empty or nothing but spaces.
    pub blank: Option<u64>,
    /// None for lists.
    pub distinct: Option<u64>,
    /// There are so many different values that `distinct` and `quantiles` are estimates and `top` is not there.
    pub estimated: bool,
    pub min: Option<Value>,
    pub max: Option<Value>,
    pub mean: Option<f64>,
    /// Of the sample.
    pub stddev: Option<f64>,
    /// The least value that this share of the values does not exceed.
    pub quantiles: Option<Quantiles>,
    /// Characters of texts.
    pub length: Option<Length>,
    /// The most frequent values, the most frequent first; of equally frequent ones the least.
    pub top: Option<Vec<Top>>,
    /// Of equal width between the least and the greatest value.
    pub histogram: Vec<Bin>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Quantiles {
    pub p5: Value,
    pub p25: Value,
    pub p50: Value,
    pub p75: Value,
    pub p95: Value,
}

impl Quantiles {
    pub fn of([p5, p25, p50, p75, p95]: [Value; 5]) -> Quantiles {
        Quantiles {
            p5,
            p25,
            p50,
            p75,
            p95,
        }
    }

    pub fn all(&self) -> [&Value; 5] {
        [&self.p5, &self.p25, &self.p50, &self.p75, &self.p95]
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Length {
    pub min: u64,
    pub mean: f64,
    pub max: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Top {
    pub value: Value,
    pub rows: u64,
}

/// Rows of a stretch of values: from inclusive, to exclusive but for the last.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bin {
    pub from: Value,
    pub to: Value,
    pub rows: u64,
}

/// Kafka's timestamp minus the event time, in seconds.
#[derive(Debug, Serialize)]
pub struct Lateness {
    /// Rows that have both times.
    pub rows: u64,
    pub min_secs: Option<f64>,
    pub mean_secs: Option<f64>,
    /// Estimates.
    pub p50_secs: Option<f64>,
    pub p95_secs: Option<f64>,
    pub p99_secs: Option<f64>,
    pub max_secs: Option<f64>,
    pub bands: Vec<Band>,
    pub rows_without_kafka_time: u64,
}

/// Rows that are so late: from inclusive, to exclusive.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Band {
    /// None: from any time before.
    pub from_secs: Option<u64>,
    /// None: without end.
    pub to_secs: Option<u64>,
    pub rows: u64,
}

#[derive(Debug, Serialize)]
pub struct Duplicates {
    pub key: Vec<String>,
    /// Rows of which a part of the key is null; they are no part of the other counts.
    pub rows_without_key: u64,
    pub keys: u64,
    /// Keys that are in more than one row.
    pub repeated_keys: u64,
    /// Rows that would have to go for every key to be in one row.
    pub surplus_rows: u64,
    /// The keys with the most rows.
    pub most: Vec<Repeated>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Repeated {
    pub key: Vec<Value>,
    pub rows: u64,
}

/// Rejected records of the period, by Kafka's timestamp.
#[derive(Debug, Default, Serialize)]
pub struct Rejected {
    pub rows: u64,
    /// The most frequent first.
    pub reasons: Vec<Reason>,
    /// Reasons that are not listed, and their records.
    pub other_reasons: u64,
    pub other_rows: u64,
}

#[derive(Debug, Serialize)]
pub struct Reason {
    pub code: String,
    /// Empty for a record as a whole.
    pub field: String,
    pub rows: u64,
    /// The newest.
    pub example: Option<Example>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Example {
    pub partition: i64,
    pub offset: i64,
    pub kafka_timestamp: Option<Moment>,
    pub expected: String,
    pub found: String,
    /// The payload's start; bytes that are no UTF-8 are written `\xff`.
    pub payload: String,
}
