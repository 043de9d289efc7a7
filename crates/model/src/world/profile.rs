//! What may happen in one schedule: each draws its own mix, so that a few kinds of trouble meet often.

use crate::choice::Choices;
use crate::coverage::Transition;

/// Between these steps and the next, another's step or a crash does most.
const NARROW: &[Transition] = &[
    Transition::Create,
    Transition::Exchange,
    Transition::RenameStaged,
    Transition::UnlinkStaged,
    Transition::ListFolder,
    Transition::LinkTwin,
    Transition::WriteSnapshot,
    Transition::ListStaged,
    Transition::Look,
    Transition::SyncStage,
    Transition::Watermarks,
    Transition::ReadAgain,
    Transition::PollRecord,
    Transition::Describe,
];

/// Rates are of a thousand.
#[derive(Clone, Debug)]
pub struct Profile {
    pub writers: usize,
    pub partitions: i32,
    /// Steps before the faults stop.
    pub steps: u64,
    /// How often another thread goes on.
    pub switches: u32,
    /// How often something happens around the writers.
    pub events: u32,
    pub call_fails: u32,
    pub reply_lost: u32,
    pub put_delayed: u32,
    pub stalls: u32,
    pub crashes: bool,
    pub power_cuts: bool,
    pub rebalances: bool,
    pub expiries: bool,
    pub recreations: bool,
    pub stale_metadata: bool,
    pub kafka_retention: bool,
    pub control_records: bool,
    pub robberies: bool,
    pub compaction: bool,
    pub retention: bool,
    pub replay: bool,
    /// A rename takes two steps, as where the file system has no rename that refuses a taken name.
    pub two_step_rename: bool,
    /// Leftovers are left for later.
    pub tidies: bool,
    /// A rebalance may move a retained partition's fetch position too far.
    pub jumpy_fetch: bool,
    /// Writers create commits that the fold already shows to be void.
    pub careless: bool,
    pub snapshot_every: u64,
    /// Commits older than so many steps may be deleted.
    pub log_retention: u64,
    /// How often a roll comes before its partition's end.
    pub rolls: u32,
    /// Where threads stand still or die more often than elsewhere.
    pub focus: Option<Transition>,
    /// Every writer sees to the table, not only the first.
    pub all_maintain: bool,
}

impl Profile {
    #[must_use]
    pub fn drawn(choices: &mut Choices) -> Profile {
        let mut half = || choices.chance(500);
        let (crashes, rebalances, expiries) = (half(), half(), half());
        let (recreations, stale_metadata, kafka_retention, control_records) =
            (half() && half(), half(), half(), half());
        let (compaction, retention, replay, focused) = (half(), half() && half(), half(), half());
        let (two_step_rename, jumpy_fetch, all_maintain) = (half(), half() && half(), half());
        let (power_cuts, robberies) = (half() && half(), half() && half());
        let (fails, replies, delays, stalls) = (half() && half(), half(), half(), half());
        let (careless, untidy) = (half() && half(), half() && half());
        let places = if choices.chance(600) {
            NARROW
        } else {
            Transition::ALL
        };
        let focus = focused.then(|| places[choices.pick(places.len())]);
        let mut of = |values: &[u32]| values[choices.pick(values.len())];
        Profile {
            writers: of(&[2, 3, 1, 2, 3]) as usize,
            partitions: of(&[1, 2, 2]).cast_signed(),
            steps: u64::from(of(&[200, 300, 500, 800])),
            switches: of(&[20, 50, 150, 400]),
            events: of(&[20, 40, 80]),
            call_fails: if fails { 10 } else { 0 },
            reply_lost: if replies { 150 } else { 0 },
            put_delayed: if delays { 150 } else { 0 },
            stalls: if stalls { 20 } else { 0 },
            crashes,
            power_cuts,
            rebalances,
            expiries,
            recreations,
            stale_metadata,
            kafka_retention,
            control_records,
            robberies,
            compaction,
            retention,
            replay,
            two_step_rename,
            jumpy_fetch,
            careless,
            tidies: !untidy,
            focus,
            snapshot_every: u64::from(of(&[1, 2, 4, 1000])),
            log_retention: u64::from(of(&[0, 0, 50])),
            rolls: of(&[100, 300, 600]),
            all_maintain,
        }
    }
}
