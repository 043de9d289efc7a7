//! The seam to a topic's transform: what stands between decoding and the rows of the table, worked out by others.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use eventlake_core::config::TopicConfig;
use eventlake_core::names::TopicName;
use eventlake_core::schema::DecodeRules;
use eventlake_core::violation::Verdict;

use super::decode::arrow_schema;

/// A compiled transform of one topic's events.
pub trait Transform: Debug + Send + Sync {
    /// The columns of the table. The three that trace a row are the last, as they are in what was decoded.
    fn schema(&self) -> SchemaRef;

    /// The rows that stay, in their order, and the verdict on every event. An event's verdict and row depend on that event alone,
    /// never on what stands beside it, and are the same whenever it is asked.
    fn apply(&self, events: &RecordBatch) -> (RecordBatch, Vec<Verdict>);
}

/// The transforms of a configuration, by topic.
#[derive(Clone, Debug, Default)]
pub struct Transforms(BTreeMap<TopicName, Arc<dyn Transform>>);

impl Transforms {
    pub fn insert(&mut self, topic: TopicName, transform: Arc<dyn Transform>) {
        self.0.insert(topic, transform);
    }

    /// # Panics
    /// When the topic's transform was not compiled: its records would become other rows.
    #[must_use]
    pub fn rules_of(&self, topic: &TopicConfig) -> RowRules {
        let transform = self.0.get(&topic.name).cloned();
        assert_eq!(
            topic.transform.is_some(),
            transform.is_some(),
            "the transform of topic {} is compiled exactly if there is one",
            topic.name
        );
        RowRules {
            decode: topic.rules.clone(),
            transform,
        }
    }
}

/// All that decides which rows a topic's records become.
#[derive(Clone, Debug)]
pub struct RowRules {
    pub decode: DecodeRules,
    pub transform: Option<Arc<dyn Transform>>,
}

impl RowRules {
    /// The columns of the table.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        match &self.transform {
            Some(transform) => transform.schema(),
            None => arrow_schema(&self.decode),
        }
    }
}

impl From<DecodeRules> for RowRules {
    /// Without a transform.
    fn from(decode: DecodeRules) -> RowRules {
        RowRules {
            decode,
            transform: None,
        }
    }
}
