//! SQL over the lake of eventlake: everything DataFusion.
//!
//! The program says in plain words what there is ([`Table`]): names, columns, and the files that one commit of each topic's log
//! calls live. Those files, and no others, are what a query sees, whatever else lies in the folders. A [`Session`] runs
//! statements that read and refuses all others; an [`Answer`] hands out Arrow batches; a [`Writer`] turns them into bytes.

mod answer;
mod bounds;
mod catalog;
#[cfg(feature = "cluster")]
pub mod cluster;
mod columns;
mod condition;
mod distinct;
mod error;
mod expression;
mod fault;
mod lake;
mod output;
mod place;
mod session;
mod statement;
mod store;
mod table;
mod transform;
mod view;

pub use answer::Answer;
pub use condition::Condition;
pub use error::QueryError;
pub use fault::Fault;
pub use lake::{LiveFile, Table};
pub use output::{Format, Writer};
pub use session::{Limits, Session};
pub use statement::{Split, split, tables_named};
pub use transform::{Frame, RowTransform, TransformError};
pub use view::{EventTimes, Groups, KAFKA_GENERATION, Span, View, ViewKind, WINDOW_END, WINDOW_START};
