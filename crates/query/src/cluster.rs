//! A Ballista cluster: where its scheduler is, what may go there, and its own processes.
//!
//! A plan is made here, over the files of one snapshot, and sent as it will be carried out. So the scheduler and the executors need
//! to know nothing of a lake: any Ballista of this major version takes it, as long as the executors see the files where they lie here.

mod job;
mod loss;
mod node;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use ballista_core::extension::SessionConfigExt as _;
use ballista_core::optimizer::ballista_default_optimizer_rules;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::SessionStateBuilder;
use datafusion::object_store::path::Path;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::analyze::AnalyzeExec;
use datafusion::prelude::SessionConfig;

use crate::fault::Fault;
pub(crate) use job::Cluster;
pub use node::{Executor, NodeError, Scheduler};

/// Ballista's own port.
const PORT: u16 = 50_050;
/// Into how many parts a query is divided. How many threads the executors have is not known here; idle ones cost little.
pub(crate) const PARTS: usize = 16;

/// Where a scheduler is: `df://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchedulerUrl {
    /// A name, or an address as a URL has it.
    host: String,
    port: u16,
}

impl FromStr for SchedulerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<SchedulerUrl, String> {
        let expected = || format!("{text:?}: expected a scheduler such as \"df://127.0.0.1:{PORT}\"");
        let place = text.strip_prefix("df://").ok_or_else(expected)?;
        let place = place.strip_suffix('/').unwrap_or(place);
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port.parse().map_err(|_| expected())?),
            _ => (place, PORT),
        };
        let is_named = |character: char| character.is_ascii_alphanumeric() || "-._".contains(character);
        let is_address = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok());
        if host.is_empty() || !(is_address || host.chars().all(is_named)) {
            return Err(expected());
        }
        Ok(SchedulerUrl {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for SchedulerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "df://{}:{}", self.host, self.port)
    }
}

/// What makes plans that can be divided among processes: without views of texts, which do not travel well, without filters that one
/// operator makes for another while both run, and with joins in place of what can only be looked up in one process.
pub(crate) fn planner(config: SessionConfig) -> SessionStateBuilder {
    let config = config.upgrade_for_ballista().with_target_partitions(PARTS);
    SessionStateBuilder::new()
        .with_config(config)
        .with_optimizer_rules(ballista_default_optimizer_rules())
}

/// Where a plan is carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It reads no file: what the log answers, what describes the lake, an explanation.
    Here,
    Cluster,
}

/// # Errors
/// When it belongs on the cluster and makes no sense there.
pub(crate) fn place(plan: &Arc<dyn ExecutionPlan>) -> Result<Place, Fault> {
    if files(plan).is_empty() {
        return Ok(Place::Here);
    }
    let measures = |plan: &Arc<dyn ExecutionPlan>| Ok(plan.downcast_ref::<AnalyzeExec>().is_some());
    if plan.exists(measures).unwrap_or(false) {
        return Err(
            Fault::new("EXPLAIN ANALYZE measures what runs here, and on a cluster nothing does")
                .hint("leave --cluster away, or ANALYZE"),
        );
    }
    Ok(Place::Cluster)
}

/// The files that a plan reads.
fn files(plan: &Arc<dyn ExecutionPlan>) -> Vec<Path> {
    let mut found = Vec::new();
    let visited = plan.apply(|node| {
        let source = node.downcast_ref::<DataSourceExec>();
        if let Some(scan) = source.and_then(|source| source.data_source().downcast_ref::<FileScanConfig>()) {
            let files = scan.file_groups.iter().flat_map(|group| group.files());
            found.extend(files.map(|file| file.object_meta.location.clone()));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    visited.expect("nothing fails on the way");
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheduler_is_a_host_and_a_port() {
        let url = |text: &str| text.parse::<SchedulerUrl>().map(|url| url.to_string());
        assert_eq!(url("df://10.0.0.7:9000").as_deref(), Ok("df://10.0.0.7:9000"));
        assert_eq!(url("df://node-1.lan/").as_deref(), Ok("df://node-1.lan:50050"));
        assert_eq!(url("df://[::1]:7").as_deref(), Ok("df://[::1]:7"));
        assert_eq!(url("df://[::1]").as_deref(), Ok("df://[::1]:50050"));
        for wrong in [
            "",
            "node-1:50050",
            "http://node-1:50050",
            "df://",
            "df://:1",
            "df://a:b",
            "df://a:70000",
            "df://a/b",
            "df://::1",
        ] {
            assert!(url(wrong).is_err(), "{wrong}");
        }
    }
}
