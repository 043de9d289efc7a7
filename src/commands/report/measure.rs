//! One table measured: which questions are asked, and in which order.

use eventlake_core::config::TopicConfig;
use eventlake_core::schema::EventTime;

use super::ask::Asker;
use super::figures::{Kind, TableReport};
use super::leaves::Leaf;
use super::source::{Period, Source};
use super::{duplicates, findings, rejects, summary, values, volume};
use crate::sql::Halt;
use crate::sql::lake::AsOf;

/// A table, and how it is to be looked at.
pub struct Subject<'c> {
    pub topic: &'c TopicConfig,
    /// What is measured: all columns but those that came with the record.
    pub leaves: Vec<Leaf>,
    /// Empty where none was given.
    pub key: Vec<Leaf>,
    pub period: Period,
    pub top_max: usize,
    /// Columns that have about more different values than these are estimated.
    pub exact_max: u64,
}

pub fn measure(asker: &Asker<'_>, subject: &Subject<'_>, as_of: &AsOf) -> Result<TableReport, Halt> {
    let topic = subject.topic;
    let source = Source {
        table: &topic.table,
        event_time: &topic.rules.event_time,
        period: subject.period,
    };
    let leaves = &subject.leaves;
    let mut summary = summary::read(asker, &source, leaves)?;
    let mut volume = volume::read(asker, &source)?;
    volume.rows_without_time = match source.event_time {
        EventTime::Kafka => summary.rows - summary.rows_with_time,
        _ => 0,
    };
    let mut too_many = Vec::new();
    for (leaf, column) in leaves.iter().zip(&mut summary.columns) {
        // Lists are measured by their lengths, of which there are few.
        let few = matches!(leaf.kind, Kind::Boolean | Kind::List);
        if few || column.distinct.is_some_and(|about| about <= subject.exact_max) {
            values::exact(asker, &source, leaf, column, summary.rows, subject.top_max)?;
        } else {
            too_many.push((leaf, column));
        }
    }
    values::estimated(asker, &source, too_many)?;
    let duplicates = match subject.key.as_slice() {
        [] => None,
        key => Some(duplicates::read(asker, &source, key, summary.rows)?),
    };
    let mut report = TableReport {
        table: topic.table.to_string(),
        commit: as_of.commit,
        rows: summary.rows,
        first: summary.first,
        last: summary.last,
        findings: Vec::new(),
        volume,
        columns: summary.columns,
        lateness: summary.lateness,
        duplicates,
        rejected: rejects::read(asker, &source)?,
        lost: as_of.lost,
    };
    report.findings = findings::of(&report);
    Ok(report)
}
