//! Failpoints: the real program made to die, or its disk made to fail, at a named seam. For tests alone.
//!
//! Compiled into every build, so that the program under test is the one that people run, and inert unless
//! `EVENTLAKE_FAILPOINT` is set: then each call of the store costs a look at a pointer that is null. The variable holds
//! entries separated by semicolons:
//!
//! - `commit:link:after#2=abort`: the second time a commit was linked, the process dies as by SIGKILL. `#1` may be left out;
//! - `staged-file:write:during=enospc`: the call fails (`eio`, `enospc`, `erofs`, `eexist`), with `@PATH` for as long as PATH
//!   exists;
//! - `assigned=wait@PATH`: at this step the thread stands still as long as PATH exists;
//! - `assigned#2=again`: the second time that partitions were assigned, they are assigned once more;
//! - `any:write=eio@PATH`: the same for every call of a kind, whoever makes it;
//! - `drop-unsynced=FOLDER`: before it dies, all that was not synced is taken back;
//! - `trace=FILE`: every seam that is reached appends its name to the file.

mod orders;
pub mod step;
mod unsynced;

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::orders::{Orders, Place, What, When};
use self::step::Step;
use self::unsynced::Unsynced;
use crate::lake::access::{Access, Act, Call, Faults, Moment};
use crate::lake::site::Seam;
use crate::lake::store::Store;

/// The variable that arms failpoints.
pub const VARIABLE: &str = "EVENTLAKE_FAILPOINT";

/// The hook that the daemon's parts carry; by default it does nothing.
#[derive(Clone, Debug, Default)]
pub struct Failpoints(Option<Arc<Armed>>);

/// The variable says what cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("{VARIABLE}: {0}\nhint: it is for tests alone; unset it")]
pub struct FailpointError(String);

impl Failpoints {
    /// As the variable's value says; none and an empty one arm nothing.
    ///
    /// # Errors
    /// When it cannot be understood, or its trace cannot be written.
    pub fn parse(value: Option<&str>) -> Result<Failpoints, FailpointError> {
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return Ok(Failpoints(None));
        };
        let orders = Orders::parse(value).map_err(FailpointError)?;
        Ok(Failpoints(Some(Arc::new(Armed::new(orders)?))))
    }

    #[must_use]
    pub fn are_armed(&self) -> bool {
        self.0.is_some()
    }

    /// Access to files by which the orders strike.
    #[must_use]
    pub fn store(&self) -> Store {
        match &self.0 {
            Some(armed) => Store::with_faults(Arc::clone(armed) as Arc<dyn Faults>),
            None => Store::new(),
        }
    }

    /// The work has come to this step.
    pub fn pass(&self, step: Step) {
        if let Some(armed) = &self.0 {
            let failed = armed.step(step);
            debug_assert!(failed.is_ok(), "only some steps can be ordered to fail");
        }
    }

    /// The work has come to this step; true when what led to it is to be done once more.
    #[must_use]
    pub fn pass_and_repeat(&self, step: Step) -> bool {
        self.pass(step);
        self.0.as_ref().is_some_and(|armed| armed.is_asked_again(step))
    }

    /// The work has come to a step that can be ordered to fail.
    ///
    /// # Errors
    /// As ordered.
    pub fn try_step(&self, step: Step) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), |armed| armed.step(step))
    }
}

#[derive(Debug)]
struct Armed {
    orders: Orders,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How often each place was reached.
    reached: HashMap<String, u64>,
    trace: Option<std::fs::File>,
    unsynced: Option<Unsynced>,
}

impl Armed {
    fn new(orders: Orders) -> Result<Armed, FailpointError> {
        let trace = orders.trace.as_deref().map(open_trace).transpose();
        let trace = trace.map_err(|error| FailpointError(format!("the trace cannot be written: {error}")))?;
        let state = State {
            reached: HashMap::new(),
            trace,
            unsynced: orders.drop_unsynced.clone().map(Unsynced::new),
        };
        Ok(Armed {
            orders,
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step(&self, step: Step) -> io::Result<()> {
        self.reach(&mut self.state(), step.name(), Place::Step(step), None)?;
        self.wait_at(step);
        Ok(())
    }

    fn is_asked_again(&self, step: Step) -> bool {
        let reached = self.state().reached.get(step.name()).copied().unwrap_or(0);
        let mut strikes = self
            .orders
            .strikes
            .iter()
            .filter(|strike| strike.what == What::Again);
        strikes.any(|strike| strike.place == Place::Step(step) && strike.when == When::Nth(reached))
    }

    /// Unlike the others this strike leaves the other threads alone.
    fn wait_at(&self, step: Step) {
        let waits = self
            .orders
            .strikes
            .iter()
            .filter(|strike| strike.what == What::Wait);
        for strike in waits.filter(|strike| strike.place == Place::Step(step)) {
            while matches!(&strike.when, When::While(path) if path.exists()) {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    /// Counts, notes and obeys. While it lasts no other thread's call comes through, so that a process that dropped
    /// what it had not synced does nothing more before it dies.
    fn reach(
        &self,
        state: &mut State,
        name: &str,
        place: Place,
        access: Option<&Access<'_>>,
    ) -> io::Result<()> {
        let count = state.reached.entry(name.to_owned()).or_default();
        *count += 1;
        let count = *count;
        if let Some(trace) = &mut state.trace {
            writeln!(trace, "{name}")?;
        }
        for strike in self.orders.strikes.iter().filter(|strike| strike.place == place) {
            let is_due = match &strike.when {
                When::Nth(nth) => *nth == count,
                When::While(path) => path.exists(),
            };
            if !is_due {
                continue;
            }
            match strike.what {
                What::Abort => die(state, place, access),
                What::Wait | What::Again => {}
                failing => return Err(failing.error().expect("it is no abort")),
            }
        }
        Ok(())
    }

    fn strike_in(&self, state: &mut State, access: &Access<'_>, moment: Moment) -> io::Result<()> {
        if moment == Moment::Before {
            let name = format!("any:{}", access.call.name());
            let any = self
                .orders
                .strikes
                .iter()
                .any(|strike| strike.place == Place::Call(access.call));
            if any {
                self.reach(state, &name, Place::Call(access.call), Some(access))?;
            }
        }
        let Some(site) = access.site else { return Ok(()) };
        let seam = Seam {
            site,
            call: access.call,
            moment,
        };
        self.reach(state, &seam.to_string(), Place::Seam(seam), Some(access))
    }
}

impl Faults for Armed {
    fn strike(&self, access: &Access<'_>, moment: Moment) -> io::Result<()> {
        self.strike_in(&mut self.state(), access, moment)
    }

    fn splits(&self, access: &Access<'_>) -> bool {
        self.orders.strikes.iter().any(|strike| match strike.place {
            Place::Seam(seam) => {
                Some(seam.site) == access.site && seam.call == access.call && seam.moment == Moment::During
            }
            _ => false,
        })
    }

    fn carry_out(&self, access: &Access<'_>, act: Act<'_>) -> io::Result<()> {
        // Who waits for a lock must not keep its holder from going on.
        if access.call == Call::Lock {
            self.strike(access, Moment::Before)?;
            act(&mut || Ok(()))?;
            return self.strike(access, Moment::After);
        }
        let mut state = self.state();
        self.strike_in(&mut state, access, Moment::Before)?;
        if matches!(access.call, Call::SyncFile | Call::SyncFolder) {
            self.strike_in(&mut state, access, Moment::During)?;
        }
        let kept = match &mut state.unsynced {
            Some(unsynced) => unsynced.prepare(access)?,
            None => None,
        };
        act(&mut || self.strike_in(&mut state, access, Moment::During))?;
        if let Some(unsynced) = &mut state.unsynced {
            unsynced.note(access, kept)?;
        }
        self.strike_in(&mut state, access, Moment::After)
    }
}

/// As the out-of-memory killer would have it; with the orders for it, as a power cut would.
fn die(state: &mut State, place: Place, access: Option<&Access<'_>>) -> ! {
    if let Some(unsynced) = &mut state.unsynced {
        let is_half = matches!(place, Place::Seam(seam) if seam.moment == Moment::During);
        let halved = match access {
            Some(access) if is_half => unsynced.half(access),
            _ => Ok(()),
        };
        if let Err(error) = halved.and_then(|()| unsynced.drop_all()) {
            tracing::error!("a failpoint could not take back what was not synced: {error}");
        }
    }
    // The only way to die without running anything more; the process was asked to.
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    loop {
        std::thread::park();
    }
}

#[allow(clippy::disallowed_methods, reason = "no file of the lake")]
fn open_trace(path: &Path) -> io::Result<std::fs::File> {
    std::fs::OpenOptions::new().create(true).append(true).open(path)
}
