//! The real program dies at every seam there is, is started again, and the lake must be exact.
//!
//! The seams are enumerated from the code (`Seam::all`, `Step::ALL`). Each scenario is run once with a trace, which says
//! what it reaches; a seam that no scenario reaches fails the test. Then the program is made to die at each seam, by
//! SIGKILL, or as by a power cut that takes all that was not synced. `EVENTLAKE_TEST_SEAMS=full` crashes every seam in every
//! scenario that reaches it, both ways, the first time and the last time that it is reached; `EVENTLAKE_TEST_SEAMS=commit:` does
//! so for the seams that begin with that (see docs/testing.md).

mod compaction;
mod crash;
mod scenarios;
mod table;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use eventlake_engine::failpoint::step::Step;
use eventlake_engine::lake::access::{Call, Moment};
use eventlake_engine::lake::site::Seam;

use self::crash::{Crash, Died};
use self::scenarios::Scenario;

/// The program mostly waits for its broker, so more runs than cores go side by side.
const SIDE_BY_SIDE: usize = 4;

/// A seam as a failpoint names it, and whether it is a sync.
#[derive(Clone, Debug)]
pub struct Place {
    pub name: String,
    pub what: &'static str,
    /// The name by which a trace shows that it can be reached: a rename is only cut in two when it is ordered.
    traced_as: String,
    is_sync: bool,
}

/// Every seam there is: each call at each site at each moment, then the steps outside of files.
pub fn places() -> Vec<Place> {
    let of_seam = |seam: Seam| {
        let is_split = seam.call == Call::Rename && seam.moment == Moment::During;
        let traced = if is_split {
            Seam {
                moment: Moment::After,
                ..seam
            }
        } else {
            seam
        };
        Place {
            name: seam.to_string(),
            what: seam.site.what(),
            traced_as: traced.to_string(),
            is_sync: matches!(seam.call, Call::SyncFile | Call::SyncFolder),
        }
    };
    let of_step = |step: Step| Place {
        name: step.name().to_owned(),
        what: step.what(),
        traced_as: step.name().to_owned(),
        is_sync: false,
    };
    Seam::all()
        .map(of_seam)
        .chain(Step::ALL.into_iter().map(of_step))
        .collect()
}

/// How often each scenario reaches each place.
type Reached = Vec<BTreeMap<String, u64>>;

pub fn the_process_dies_at_every_seam_and_the_next_one_goes_on_exactly() {
    let began = Instant::now();
    let scenarios: Vec<Scenario> = side_by_side(&scenarios::all(), |prepare| prepare());
    let reached: Reached = side_by_side(&scenarios, Scenario::trace);
    println!(
        "{} scenarios prepared and traced in {:.0?}",
        scenarios.len(),
        began.elapsed()
    );

    let places = places();
    let unreached: Vec<&str> = places
        .iter()
        .filter(|place| {
            reached
                .iter()
                .all(|reached| !reached.contains_key(&place.traced_as))
        })
        .map(|place| place.name.as_str())
        .collect();
    assert!(unreached.is_empty(), "no scenario reaches {unreached:?}");
    for name in reached.iter().flat_map(BTreeMap::keys) {
        let is_known = name.starts_with("any:") || places.iter().any(|place| place.traced_as == *name);
        assert!(is_known, "{name} was reached and is not in the list of seams");
    }

    let form = std::env::var("EVENTLAKE_TEST_SEAMS").unwrap_or_default();
    let mut crashes = if form.is_empty() {
        each_seam_once(&places, &scenarios, &reached)
    } else {
        every_crash(&places, &scenarios, &reached)
    };
    for place in &places {
        let is_run = crashes.iter().any(|crash| crash.place == place.name);
        assert!(is_run, "no run dies at {}", place.name);
    }
    if !form.is_empty() && form != "full" {
        crashes.retain(|crash| crash.place.starts_with(&form));
    }
    println!("{} seams, {} crashes", places.len(), crashes.len());
    let outcomes = side_by_side(&crashes, |crash| {
        let scenario = &scenarios[crash.scenario];
        let outcome = catch_unwind(AssertUnwindSafe(|| crash.run(scenario)));
        outcome.map_err(|panic| panic_text(&*panic))
    });
    tell(&crashes, &outcomes, &scenarios, began.elapsed());
    let committed = include_str!("../../../docs/testing.md");
    table::assert_is_current(committed, &places, &scenarios, &reached);
}

/// Each seam dies once in the first scenario that reaches it: syncs by a power cut, the rest by SIGKILL. And everything that
/// a recovery from a crash does is cut short once more.
fn each_seam_once(places: &[Place], scenarios: &[Scenario], reached: &Reached) -> Vec<Crash> {
    let mut crashes = Vec::new();
    for place in places {
        let first = (0..scenarios.len()).find(|index| reached[*index].contains_key(&place.traced_as));
        for (scenario, of) in reached.iter().enumerate() {
            let again = scenarios[scenario].is_recovery || scenarios[scenario].turns_at(&place.name);
            if Some(scenario) == first || again && of.contains_key(&place.traced_as) {
                crashes.push(Crash {
                    scenario,
                    place: place.name.clone(),
                    nth: 1,
                    power_cut: place.is_sync,
                });
            }
        }
    }
    crashes
}

fn every_crash(places: &[Place], scenarios: &[Scenario], reached: &Reached) -> Vec<Crash> {
    let mut crashes = Vec::new();
    for (place, scenario) in places
        .iter()
        .flat_map(|place| (0..scenarios.len()).map(move |s| (place, s)))
    {
        let Some(count) = reached[scenario].get(&place.traced_as).copied() else {
            continue;
        };
        for nth in [1, count] {
            for power_cut in [false, true] {
                let crash = Crash {
                    scenario,
                    place: place.name.clone(),
                    nth,
                    power_cut,
                };
                if !crashes.contains(&crash) {
                    crashes.push(crash);
                }
            }
        }
    }
    crashes
}

fn tell(crashes: &[Crash], outcomes: &[Result<Died, String>], scenarios: &[Scenario], took: Duration) {
    let mut failures = Vec::new();
    let (mut died, mut cleaned, mut passed_by) = (0_usize, 0_u64, 0_usize);
    for (crash, outcome) in crashes.iter().zip(outcomes) {
        let name = scenarios[crash.scenario].name;
        match outcome {
            Ok(Died::Exactly { cleaned: files }) => {
                died += 1;
                cleaned += files;
            }
            // How often a place is reached may differ from run to run; not whether it is reached.
            Ok(Died::NotReached) if crash.nth > 1 => passed_by += 1,
            Ok(Died::NotReached) => failures.push(format!("{name}: {crash}: was not reached")),
            Err(why) => failures.push(format!("{name}: {crash}: {why}")),
        }
    }
    println!(
        "{died} deaths, {cleaned} leftover files cleaned, {passed_by} repetitions passed by, in {took:.0?}"
    );
    assert!(
        failures.is_empty(),
        "{} of {} crashes were not survived:\n{}",
        failures.len(),
        crashes.len(),
        failures.join("\n\n")
    );
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic without a text".to_owned())
}

/// The results of some work on each item, in order.
fn side_by_side<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { return };
                    let result = work(item);
                    results.lock().expect("unpoisoned").push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().expect("unpoisoned");
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}
