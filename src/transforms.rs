//! The transforms of a configuration: the query crate's SQL, behind the seam at which the engine asks for rows.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use eventlake_core::config::{Config, TopicConfig, TransformConfig, TransformFault};
use eventlake_core::schema::DecodeRules;
use eventlake_core::violation::Verdict;
use eventlake_engine::ingest::decode::{TRACED_COLUMNS, arrow_schema};
use eventlake_engine::ingest::{Transform, Transforms};
use eventlake_query::{Frame, RowTransform, TransformError};

/// What is wrong with a transform, each fault with its place in the SQL.
pub fn check(transform: &TransformConfig, rules: &DecodeRules) -> Vec<TransformFault> {
    let fault = |error: TransformError| TransformFault {
        part: error.part,
        at: error.fault.place(),
        message: error.fault.on_one_line(),
    };
    match compile(transform, rules) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.into_iter().map(fault).collect(),
    }
}

/// The transforms of all topics that have one.
///
/// # Panics
/// When the configuration was resolved without [`check`].
pub fn of(config: &Config) -> Transforms {
    let mut transforms = Transforms::default();
    for topic in &config.topics {
        if let Some(transform) = &topic.transform {
            let compiled = compile(transform, &topic.rules).expect("it was checked with the configuration");
            transforms.insert(topic.name.clone(), Arc::new(Compiled(compiled)));
        }
    }
    transforms
}

/// The columns of a topic's accepted rows; None where its transform is at fault.
pub fn columns(topic: &TopicConfig) -> Option<SchemaRef> {
    match &topic.transform {
        None => Some(arrow_schema(&topic.rules)),
        Some(transform) => Some(compile(transform, &topic.rules).ok()?.schema()),
    }
}

fn compile(transform: &TransformConfig, rules: &DecodeRules) -> Result<RowTransform, Vec<TransformError>> {
    let frame = Frame {
        columns: arrow_schema(rules),
        traced: TRACED_COLUMNS,
        event_time: rules.event_time.field().map(str::to_owned),
    };
    let [select, condition] =
        [&transform.select, &transform.condition].map(|sql| sql.as_ref().map(|sql| sql.text.as_str()));
    RowTransform::compile(select, condition, &frame)
}

#[derive(Debug)]
struct Compiled(RowTransform);

impl Transform for Compiled {
    fn schema(&self) -> SchemaRef {
        self.0.schema()
    }

    fn apply(&self, events: &RecordBatch) -> (RecordBatch, Vec<Verdict>) {
        self.0.apply(events)
    }
}
