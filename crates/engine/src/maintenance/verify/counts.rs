//! The log's own sums against what was met: what the appends counted, and what replaces moved between the sets.

use std::collections::BTreeMap;

use eventlake_core::commit::{Counts, RowChange};

use super::cover::{Place, rows_were_removed};
use super::findings::Findings;
use super::log::PinnedLog;
use super::report::{Code, Finding, Tally};

const FROM_BACKUP: &str = "put checkpoints/ and the table back from a backup taken at one time; if they agree there, report this as a bug";

/// Checks sums that no finding explains already.
pub(super) fn check(log: &PinnedLog, tallies: &BTreeMap<Place, Tally>, findings: &Findings) {
    let removed = rows_were_removed(log);
    if removed > 0 {
        check_removed(removed, tallies, findings);
    }
    let explained = [
        Code::CommitMissing,
        Code::CommitDamaged,
        Code::CommitMisplaced,
        Code::AccountDamaged,
        Code::AccountDiffers,
        Code::FileMissing,
        Code::FileUnreadable,
        Code::RowsDiffer,
        Code::OffsetsMissing,
        Code::OffsetsDoubled,
    ];
    if findings.has(&explained) {
        return;
    }
    for generation in log.fold.generations() {
        for (partition, state) in &generation.partitions {
            let place = (generation.ordinal, *partition);
            let tally = tallies.get(&place).copied().unwrap_or_default();
            check_partition(place, state.counts, tally, removed, findings);
        }
    }
    check_sets(log, tallies, findings);
}

/// Retention and erasure take rows out, and the log says how many, not which.
fn check_removed(removed: u64, tallies: &BTreeMap<Place, Tally>, findings: &Findings) {
    let missing: u64 = tallies.values().map(|tally| tally.missing).sum();
    if missing == removed {
        findings.unchecked(format!(
            "{removed} offsets have no row any more: as many rows as retention and erasure removed, by the log's count"
        ));
        return;
    }
    let what = format!("{missing} offsets have no row, but retention and erasure removed {removed} rows");
    let mut finding = Finding::new(Code::OffsetsMissing, what, FROM_BACKUP);
    finding.offset_count = missing.abs_diff(removed);
    findings.add(finding);
}

fn check_partition(place: Place, counted: Counts, found: Tally, removed: u64, findings: &Findings) {
    let pairs = [
        ("tombstones", counted.tombstones, found.tombstones),
        ("filtered", counted.filtered, found.filtered),
        ("absent", counted.absent, found.absent),
        ("lost", counted.lost, found.lost),
    ];
    let mut differences: Vec<String> = pairs
        .iter()
        .filter(|(_, counted, found)| counted != found)
        .map(|(name, counted, found)| format!("{name}: counted {counted}, named {found}"))
        .collect();
    let (rows_counted, rows_found) = (
        counted.accepted + counted.rejected,
        found.accepted + found.rejected,
    );
    if removed == 0 && rows_counted != rows_found {
        differences.push(format!("rows: counted {rows_counted}, found {rows_found}"));
    }
    if !differences.is_empty() {
        let what = format!(
            "the log's counts are not what is there: {}",
            differences.join("; ")
        );
        let finding = Finding::new(Code::CountsDiffer, what, FROM_BACKUP);
        findings.add(finding.of_offsets(place, Vec::new(), 0));
    }
}

/// Accepted and rejected rows over all partitions: replaces may move rows from one set to the other.
fn check_sets(log: &PinnedLog, tallies: &BTreeMap<Place, Tally>, findings: &Findings) {
    let totals = log.fold.totals();
    let mut change = RowChange::default();
    for more in totals.replaced.values() {
        change.accepted_added += more.accepted_added;
        change.accepted_removed += more.accepted_removed;
        change.rejected_added += more.rejected_added;
        change.rejected_removed += more.rejected_removed;
    }
    let found = |count: fn(&Tally) -> u64| tallies.values().map(count).sum::<u64>();
    let sets = [
        (
            "accepted",
            totals.appended.accepted + change.accepted_added,
            change.accepted_removed,
            found(|tally| tally.accepted),
        ),
        (
            "rejected",
            totals.appended.rejected + change.rejected_added,
            change.rejected_removed,
            found(|tally| tally.rejected),
        ),
    ];
    for (set, added, removed, found) in sets {
        if added.checked_sub(removed) != Some(found) {
            let what = format!(
                "the log added {added} {set} rows and removed {removed}, but {found} are in the live files"
            );
            findings.add(Finding::new(Code::CountsDiffer, what, FROM_BACKUP));
        }
    }
}
