//! Lakes that are right, and lakes corrupted in every way there is.

mod corrupted;
mod kafka;
mod lake;
mod whole;

use std::collections::BTreeMap;

use super::cover::{Cover, Covered};
use super::findings::Findings;
use super::log::PinnedLog;
use super::places::Places;
use super::{Request, spans};
use crate::lake::store::Store;

/// The coverage of a whole lake, found with so many bits at a time.
fn covered_within(lake: &lake::Lake, offsets_max: u64) -> Covered {
    let request = Request {
        lake: &lake.config.lake,
        topic: &lake.config.topics[0],
        rules: &lake.rules,
        since_micros: None,
        kafka: None,
        progress: &lake::Silent,
        threads: 2,
    };
    let store = Store::new();
    let topic = &lake.config.topics[0];
    let paths = eventlake_core::names::LogPaths::new(&lake.config.lake.checkpoints, &topic.name);
    let findings = Findings::default();
    let log = PinnedLog::pin(&store, &paths, &topic.name, &findings)
        .expect("pinned")
        .expect("a log");
    let spans = spans(&log, None).expect("spans");
    let cover = Cover {
        request: &request,
        places: &Places::new(&store, &lake.config.lake, &topic.table),
        log: &log,
        spans: &spans,
        files: log.fold.files().values().collect(),
        findings: &findings,
        offsets_max,
    };
    let covered = cover.run().expect("covered");
    assert_eq!(findings.into_found().counts, BTreeMap::new());
    covered
}
