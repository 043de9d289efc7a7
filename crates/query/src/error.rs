//! Why a query has no answer, by what the caller does about it.

use datafusion::common::DataFusionError;

use crate::fault::{Fault, root, tidy};
use crate::store::Trouble;

#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The SQL is at fault: running it again will not help.
    #[error("{0}")]
    Sql(Fault),
    /// A live file lies nowhere. Replaced by a commit since: then a newer snapshot answers. Else it is lost.
    #[error("{path}: the live file is gone")]
    Gone { path: String },
    #[error("the query needs more memory: {0}\nhint: raise memory_limit, or have it group and sort less")]
    Memory(String),
    #[error("interrupted")]
    Interrupted,
    #[error("{0}")]
    Failed(String),
}

impl From<Fault> for QueryError {
    fn from(fault: Fault) -> QueryError {
        QueryError::Sql(fault)
    }
}

impl QueryError {
    /// An error while planning what to read, or reading it. What the store noted says more than what came through.
    pub(crate) fn running(error: &DataFusionError, trouble: Option<Trouble>) -> QueryError {
        match trouble {
            Some(Trouble::Gone(path)) => return QueryError::Gone { path },
            Some(Trouble::Altered(text)) => {
                return QueryError::Failed(format!(
                    "{text}\nhint: eventlake verify tells what is wrong with the lake"
                ));
            }
            None => {}
        }
        let text = || tidy(&root(error).strip_backtrace());
        match root(error) {
            DataFusionError::ResourcesExhausted(_) => QueryError::Memory(first_line(&text())),
            _ => QueryError::Failed(text()),
        }
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
