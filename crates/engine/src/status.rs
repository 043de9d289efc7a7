//! How a topic stands, by its lake and its brokers: no running ingester is asked, and nothing is ever written.

mod broker;
mod codes;
mod lag;
mod lake;

pub use broker::{BrokerPartition, BrokerTopic, Brokers};
pub use codes::{RejectedByCode, RejectedCodes, rejected_file};
pub use lag::{Lag, lag};
pub use lake::{LakeStatus, PartitionCheckpoint, SetStatus, lake_status};
