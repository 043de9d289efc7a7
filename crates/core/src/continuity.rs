//! Whether a topic is still the one that the checkpoint speaks of, and whether the checkpoint still lies inside it.

use crate::commit::{ClusterId, TopicId};
use crate::position::Offset;

/// Who a topic is: offsets mean something only as long as this stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub cluster_id: ClusterId,
    /// Kafka's topic id; from a broker that has none, a text made of the cluster's id, which tells less.
    pub topic_id: TopicId,
}

impl Identity {
    /// From what a broker says of itself and the topic; `None` where it has no such thing.
    ///
    /// Without topic ids only a change of cluster is seen at once; a topic deleted and created again under the same
    /// name shows when the checkpoint lies outside of it (docs/operations.md).
    #[must_use]
    pub fn of(cluster_id: Option<&str>, topic_id: Option<&str>) -> Identity {
        let printable: String = cluster_id
            .unwrap_or("unknown")
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect();
        let named = topic_id.and_then(|id| TopicId::new(id).ok());
        let topic_id = named.unwrap_or_else(|| {
            let safe = |c: char| {
                if c.is_ascii_alphanumeric() || c == '-' {
                    c
                } else {
                    '_'
                }
            };
            let text: String = printable.chars().map(safe).take(48).collect();
            TopicId::new(&format!("no-id-{text}")).expect("made of what a topic id may hold")
        });
        let cluster_id = ClusterId::new(&printable).expect("control characters were left out");
        Identity { cluster_id, topic_id }
    }
}

/// How the topic that is there relates to the log's current generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// The log has no generation yet.
    First,
    Same,
    /// Another topic under the same name: deleted and created again, or on another cluster.
    Other,
}

/// Topic ids never recur, so one that is equal at two moments was the same in between.
#[must_use]
pub fn life(current: Option<&TopicId>, seen: &TopicId) -> Life {
    match current {
        None => Life::First,
        Some(current) if current == seen => Life::Same,
        Some(_) => Life::Other,
    }
}

/// Where a checkpoint lies in a partition that holds the offsets `[low, end)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Inside,
    /// Retention (or a deletion of records) has passed it: what lies before `low` and was not landed is gone.
    Passed {
        low: Offset,
    },
    /// The partition ends before it: records that were landed are gone from Kafka, and their offsets will recur.
    Ahead {
        end: Offset,
    },
}

#[must_use]
pub fn place(checkpoint: Offset, low: Offset, end: Offset) -> Place {
    if checkpoint < low {
        Place::Passed { low }
    } else if checkpoint > end {
        Place::Ahead { end }
    } else {
        Place::Inside
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_partition_are_inside() {
        let (low, end) = (Offset(10), Offset(20));
        assert_eq!(place(Offset(10), low, end), Place::Inside);
        assert_eq!(place(Offset(20), low, end), Place::Inside);
        assert_eq!(place(Offset(9), low, end), Place::Passed { low });
        assert_eq!(place(Offset(21), low, end), Place::Ahead { end });
    }

    #[test]
    fn a_broker_without_topic_ids_still_has_an_identity_that_changes_with_the_cluster() {
        let one = Identity::of(Some("clusterA"), None);
        let other = Identity::of(Some("cluster/B\n"), None);
        assert_eq!(life(Some(&one.topic_id), &one.topic_id), Life::Same);
        assert_eq!(life(Some(&one.topic_id), &other.topic_id), Life::Other);
        assert_eq!(life(None, &one.topic_id), Life::First);
        let real = Identity::of(Some("clusterA"), Some("0VtXl4yXTiWNNZWg1fIAnw"));
        assert_eq!(real.topic_id.as_str(), "0VtXl4yXTiWNNZWg1fIAnw");
    }
}
