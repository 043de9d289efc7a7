//! What is wrong with a configured view: its SQL, held against the tables there will be, and its outputs, held against its SQL.

use std::num::NonZero;

use eventlake_core::commit::FileSet;
use eventlake_core::config::{OutputConfig, TopicConfig, ViewConfig, ViewFault};
use eventlake_engine::ingest::schema_version;
use eventlake_query::{Limits, QueryError, Session, Table, View, ViewKind};

use crate::transforms;

/// Every fault of a view, each with its place in the SQL where it has one.
pub fn check(view: &ViewConfig, topics: &[TopicConfig]) -> Vec<ViewFault> {
    // A transform that is at fault is told by itself; what its columns are nobody knows.
    let Some(tables) = topics.iter().map(table).collect::<Option<Vec<Table>>>() else {
        return Vec::new();
    };
    let fault = |at, message| vec![ViewFault { at, message }];
    let mut session = match Session::new(&limits()) {
        Ok(session) => session,
        Err(error) => return fault(None, error.to_string()),
    };
    session.show(tables);
    match session.view(&view.sql.text, view.window.is_some()) {
        Ok(compiled) => view
            .outputs
            .iter()
            .filter_map(|output| refusal(output, &compiled))
            .map(|message| ViewFault { at: None, message })
            .collect(),
        Err(QueryError::Sql(sql)) => fault(sql.place(), sql.on_one_line()),
        Err(error) => fault(None, error.to_string()),
    }
}

/// For planning alone: no row is read.
fn limits() -> Limits {
    Limits {
        memory_bytes: 64 << 20,
        spill_folder: std::env::temp_dir(),
        threads: NonZero::<usize>::MIN.get(),
    }
}

fn table(topic: &TopicConfig) -> Option<Table> {
    let columns = transforms::columns(topic)?;
    Some(Table {
        set: FileSet::Accepted,
        name: topic.table.clone(),
        columns_version: schema_version(&columns),
        columns,
        event_time: topic.rules.event_time.clone(),
        partition_by: topic.partition_by,
        files: Vec::new(),
    })
}

/// Why an output cannot show this view.
fn refusal(output: &OutputConfig, view: &View) -> Option<String> {
    match (output, view.kind()) {
        (OutputConfig::Json { .. }, ViewKind::Rows) => Some(
            "a view of plain rows grows for ever, and an output to \"json\" is one file that holds all of it; hint: \"jsonl\" and \"csv\" are appended to"
                .to_owned(),
        ),
        (OutputConfig::Postgres { .. }, _) if view.key().is_none() => Some(
            "an output to \"postgres\" replaces rows by their key, and a column of GROUP BY is not among the columns; hint: select every column of GROUP BY"
                .to_owned(),
        ),
        _ => None,
    }
}
