//! What is wrong with a configured view or alert: its SQL, held against the tables and views there will be, and its outputs,
//! held against its SQL.

use std::path::Path;

use eventlake_core::config::{AlertConfig, Defined, OutputConfig, TopicConfig, ViewConfig, ViewFault};
use eventlake_query::{Condition, Limits, QueryError, Session, Table, View, ViewKind, tables_named};

use super::compiled::{Compiled, compile};
use super::output::{refusal_of_mongodb, refusal_of_postgres};
use crate::sql::lake;
use crate::transforms;

/// Every fault of a view, each with its place in the SQL where it has one.
pub fn check(view: &ViewConfig, defined: &Defined<'_>) -> Vec<ViewFault> {
    match compiled(view, defined) {
        Ok(None) => Vec::new(),
        Ok(Some(compiled)) => view
            .outputs
            .iter()
            .filter_map(|output| refusal(output, &compiled.view))
            .map(|message| ViewFault { at: None, message })
            .collect(),
        Err(error) => vec![fault_of(&error)],
    }
}

/// Every fault of an alert on a view that has none.
pub fn check_alert(alert: &AlertConfig, view: &ViewConfig, defined: &Defined<'_>) -> Vec<ViewFault> {
    let Ok(Some(compiled)) = compiled(view, defined) else {
        return Vec::new();
    };
    let view = compiled.view;
    if view.key().is_none() {
        return vec![ViewFault {
            at: None,
            message: format!(
                "an alert tells rows apart by their key, and a column of GROUP BY is not among the columns of view {}; hint: select every column of GROUP BY there",
                alert.view
            ),
        }];
    }
    match Condition::compile(&alert.when.text, view.columns()) {
        Ok(_) => Vec::new(),
        Err(error) => vec![fault_of(&error)],
    }
}

/// None where something else is at fault, which is told by itself.
fn compiled(view: &ViewConfig, defined: &Defined<'_>) -> Result<Option<Compiled>, QueryError> {
    let tables: Option<Vec<Table>> = defined.topics.iter().map(table).collect();
    let Some(tables) = tables else {
        return Ok(None);
    };
    let is_there = |name: &String| tables.iter().any(|table| table.name.as_str() == name);
    if !defined.views_are_known && !tables_named(&view.sql.text).iter().all(is_there) {
        return Ok(None);
    }
    let mut session = Session::new(&limits())?;
    compile(&mut session, view, defined.views, || tables.clone()).map(Some)
}

fn fault_of(error: &QueryError) -> ViewFault {
    match error {
        QueryError::Sql(sql) => ViewFault {
            at: sql.place(),
            message: sql.on_one_line(),
        },
        other => ViewFault {
            at: None,
            message: other.to_string(),
        },
    }
}

/// For planning alone: no row is read.
fn limits() -> Limits {
    Limits {
        memory_bytes: 64 << 20,
        spill_folder: std::env::temp_dir(),
        threads: 1,
    }
}

/// The topic's table as it will be, without a file.
fn table(topic: &TopicConfig) -> Option<Table> {
    let columns = transforms::columns(topic)?;
    Some(lake::of_files(Path::new(""), topic, &columns, &[]))
}

/// Why an output cannot show this view.
fn refusal(output: &OutputConfig, view: &View) -> Option<String> {
    match (output, view.kind()) {
        (OutputConfig::Json { .. }, ViewKind::Rows) => Some(
            "a view of plain rows grows for ever, and an output to \"json\" is one file that holds all of it; hint: \"jsonl\" and \"csv\" are appended to"
                .to_owned(),
        ),
        (OutputConfig::Object { address, .. }, ViewKind::Rows) if !address.is_prefix() => Some(
            "a view of plain rows grows for ever, and an object cannot be added to; hint: end the url with '/', and each emission becomes an object below it"
                .to_owned(),
        ),
        (OutputConfig::Object { address, .. }, ViewKind::Running) if address.is_prefix() => Some(
            "a view of groups is one object that is replaced, and the url names a prefix; hint: add the object's name to it, such as \"tickets.json\""
                .to_owned(),
        ),
        (OutputConfig::Postgres { .. }, _) if view.key().is_none() => Some(
            "an output to \"postgres\" replaces rows by their key, and a column of GROUP BY is not among the columns; hint: select every column of GROUP BY"
                .to_owned(),
        ),
        (OutputConfig::Postgres { url, .. }, _) => refusal_of_postgres(url),
        (OutputConfig::Mongodb { .. }, _) if view.key().is_none() => Some(
            "an output to \"mongodb\" replaces documents by their key, and a column of GROUP BY is not among the columns; hint: select every column of GROUP BY"
                .to_owned(),
        ),
        (OutputConfig::Mongodb { url, .. }, _) => refusal_of_mongodb(url, view.columns()),
        _ => None,
    }
}
