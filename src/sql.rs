//! SQL over the configured lake, for every command that asks it: a session, the newest commits, starting over, and faults as
//! users see them.

pub mod lake;

use std::num::NonZero;
use std::thread::available_parallelism;

use eventlake_core::config::{Config, TopicConfig};
use eventlake_query::{Limits, QueryError, Session};

use crate::cli::usage;
use lake::AsOf;

/// How often an answer starts over when files were replaced under it.
const RELOADS_MAX: u32 = 5;

/// Why there is no whole answer.
pub enum Halt {
    Query(QueryError),
    Other(anyhow::Error),
}

impl From<QueryError> for Halt {
    fn from(error: QueryError) -> Halt {
        Halt::Query(error)
    }
}

impl From<anyhow::Error> for Halt {
    fn from(error: anyhow::Error) -> Halt {
        Halt::Other(error)
    }
}

/// A session within the configuration's limits, over nothing yet.
///
/// # Errors
/// When the operating system gives no threads, or there is no place to spill to.
pub fn open(config: &Config) -> anyhow::Result<Session> {
    Session::new(&limits(config)).map_err(outward)
}

/// A session whose statements run on the cluster of this scheduler.
///
/// # Errors
/// As [`open`], and when that is no scheduler's URL.
#[cfg(feature = "cluster")]
pub fn open_on(config: &Config, scheduler: &str) -> anyhow::Result<Session> {
    let scheduler = scheduler.parse();
    let scheduler = scheduler.map_err(|wrong| usage(format!("--cluster: {wrong}")))?;
    Session::on_cluster(&limits(config), scheduler).map_err(outward)
}

/// # Errors
/// Always: the program was built without.
#[cfg(not(feature = "cluster"))]
pub fn open_on(_: &Config, _: &str) -> anyhow::Result<Session> {
    Err(without_clusters("--cluster"))
}

/// `what` needs a feature that this program does not have.
#[cfg(not(feature = "cluster"))]
pub fn without_clusters(what: &str) -> anyhow::Error {
    usage(format!(
        "{what} needs Ballista, which this program was built without\nhint: build it with `--features cluster`"
    ))
}

fn limits(config: &Config) -> Limits {
    Limits {
        memory_bytes: config.lake.memory_limit_bytes,
        spill_folder: std::env::temp_dir(),
        threads: available_parallelism().map_or(1, NonZero::get),
    }
}

/// Answers over the newest commits of these topics. When a file was replaced meanwhile, `answer` starts over on newer ones; it makes
/// a [`Halt::Other`] of that where it must not. None when the user interrupted it.
///
/// # Errors
/// When a log cannot be read or is damaged, or as `answer` says.
pub fn over_newest<'t, T>(
    session: &mut Session,
    config: &Config,
    topics: impl IntoIterator<Item = &'t TopicConfig> + Clone,
    mut answer: impl FnMut(&Session, &[AsOf]) -> Result<T, Halt>,
) -> anyhow::Result<Option<T>> {
    let mut reloads = 0;
    loop {
        let (tables, as_of) = lake::newest(config, topics.clone())?;
        session.show(tables);
        match answer(session, &as_of) {
            Ok(answered) => return Ok(Some(answered)),
            Err(Halt::Query(QueryError::Interrupted)) => return Ok(None),
            Err(Halt::Query(QueryError::Gone { .. })) if reloads < RELOADS_MAX => reloads += 1,
            Err(Halt::Query(error)) => return Err(outward(error)),
            Err(Halt::Other(error)) => return Err(error),
        }
    }
}

/// An error as commands report it: faults of the SQL are wrong usage.
pub fn outward(error: QueryError) -> anyhow::Error {
    match error {
        QueryError::Sql(fault) => usage(fault.to_string()),
        QueryError::Gone { path } => anyhow::anyhow!(
            "{path}: the live file is gone\nhint: if files were just compacted, run the command again; else eventlake verify tells what is lost"
        ),
        other => anyhow::Error::new(other),
    }
}
