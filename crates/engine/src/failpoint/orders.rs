//! What `EVENTLAKE_FAILPOINT` says: which seams to strike, when, and how; read strictly.

use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

use super::step::Step;
use crate::lake::access::Call;
use crate::lake::site::{Seam, Site};

/// The whole of the variable.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Orders {
    pub strikes: Vec<Strike>,
    /// A file to which each seam that is reached appends its name.
    pub trace: Option<PathBuf>,
    /// Drop what was not synced when the process is made to die. A folder on the lake's file system, for files that come
    /// back.
    pub drop_unsynced: Option<PathBuf>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Strike {
    pub place: Place,
    pub when: When,
    pub what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Seam(Seam),
    Step(Step),
    /// Any call of this kind, wherever it is made: before it.
    Call(Call),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// At this one of the times that it is reached, from 1.
    Nth(u64),
    /// As long as there is such a file.
    While(PathBuf),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The process dies on the spot, as by SIGKILL.
    Abort,
    /// The call fails.
    Fail(Errno),
    /// The thread stands still as long as there is such a file.
    Wait,
    /// What was just done is asked for once more, as the group may.
    Again,
}

impl What {
    pub fn error(self) -> Option<io::Error> {
        match self {
            What::Abort | What::Wait | What::Again => None,
            What::Fail(errno) => Some(errno.into()),
        }
    }
}

impl Orders {
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn parse(text: &str) -> Result<Orders, String> {
        let mut orders = Orders::default();
        for entry in text.split(';').filter(|entry| !entry.trim().is_empty()) {
            let Some((name, value)) = entry.trim().split_once('=') else {
                return Err(format!("`{entry}`: expected SEAM=ACTION"));
            };
            match name {
                "trace" => orders.trace = Some(PathBuf::from(value)),
                "drop-unsynced" => orders.drop_unsynced = Some(PathBuf::from(value)),
                _ => orders.strikes.push(strike(name, value)?),
            }
        }
        Ok(orders)
    }
}

fn strike(name: &str, value: &str) -> Result<Strike, String> {
    let (name, nth) = match name.split_once('#') {
        Some((name, nth)) => (name, nth.parse().ok().filter(|nth| *nth > 0)),
        None => (name, Some(1)),
    };
    let nth = nth.ok_or_else(|| format!("`{name}`: expected a number from 1 on after #"))?;
    let (action, when) = match value.split_once('@') {
        Some((action, path)) => (action, When::While(PathBuf::from(path))),
        None => (value, When::Nth(nth)),
    };
    let what = match action {
        "abort" => What::Abort,
        "eio" => What::Fail(Errno::IO),
        "enospc" => What::Fail(Errno::NOSPC),
        "erofs" => What::Fail(Errno::ROFS),
        "eexist" => What::Fail(Errno::EXIST),
        "wait" if matches!(when, When::While(_)) => What::Wait,
        "again" => What::Again,
        _ => {
            return Err(format!(
                "`{action}`: expected abort, eio, enospc, erofs, eexist, wait@PATH or again"
            ));
        }
    };
    let place = place(name).ok_or_else(|| format!("`{name}`: there is no such seam"))?;
    match place {
        Place::Step(step) if matches!(what, What::Fail(_)) && !step.can_fail() => Err(format!(
            "`{name}`: nothing can fail there; expected abort or wait@PATH"
        )),
        place if what == What::Again && place != Place::Step(Step::Assigned) => {
            Err(format!("`{name}`: only `assigned` can be had again"))
        }
        Place::Seam(_) | Place::Call(_) if what == What::Wait => {
            Err(format!("`{name}`: only a step can be waited at"))
        }
        _ => Ok(Strike { place, when, what }),
    }
}

fn place(name: &str) -> Option<Place> {
    let is_step = |step: &Step| step.name() == name;
    if let Some(step) = Step::ALL.into_iter().find(is_step) {
        return Some(Place::Step(step));
    }
    if let Some(call) = name.strip_prefix("any:") {
        return Call::ALL
            .into_iter()
            .find(|known| known.name() == call)
            .map(Place::Call);
    }
    let (site, rest) = name.split_once(':')?;
    let site = Site::ALL.into_iter().find(|known| known.name() == site)?;
    Seam::all()
        .filter(|seam| seam.site == site)
        .find(|seam| rest == format!("{}:{}", seam.call.name(), seam.moment.name()))
        .map(Place::Seam)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lake::access::Moment;

    #[test]
    fn every_seam_and_step_can_be_named() {
        for seam in Seam::all() {
            let orders = Orders::parse(&format!("{seam}#3=abort")).expect("understood");
            let expected = Strike {
                place: Place::Seam(seam),
                when: When::Nth(3),
                what: What::Abort,
            };
            assert_eq!(orders.strikes, [expected]);
        }
        for step in Step::ALL {
            let orders = Orders::parse(&format!("{}=abort", step.name())).expect("understood");
            assert_eq!(orders.strikes[0].place, Place::Step(step));
        }
    }

    #[test]
    fn faults_last_as_long_as_a_file_is_there() {
        let orders =
            Orders::parse("trace=/t; commit:write:during=enospc@/full ;any:read=eio;drop-unsynced=/k");
        let orders = orders.expect("understood");
        let seam = Seam {
            site: Site::Commit,
            call: Call::Write,
            moment: Moment::During,
        };
        assert_eq!(orders.trace, Some(PathBuf::from("/t")));
        assert_eq!(orders.drop_unsynced, Some(PathBuf::from("/k")));
        assert_eq!(orders.strikes[0].place, Place::Seam(seam));
        assert_eq!(orders.strikes[0].when, When::While(PathBuf::from("/full")));
        assert_eq!(orders.strikes[0].what, What::Fail(Errno::NOSPC));
        assert_eq!(orders.strikes[1].place, Place::Call(Call::Read));
        let orders = Orders::parse("assigned=wait@/here").expect("understood");
        assert_eq!(orders.strikes[0].when, When::While(PathBuf::from("/here")));
        assert_eq!(orders.strikes[0].what, What::Wait);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (text, word) in [
            ("commit:link:after", "SEAM=ACTION"),
            ("commit:link:during=abort", "commit:link:during"),
            ("nowhere:link:after=abort", "nowhere"),
            ("commit:link:after=explode", "explode"),
            ("commit:link:after#0=abort", "from 1"),
            ("assigned=eio", "assigned"),
            ("any:fly=eio", "any:fly"),
            ("assigned=wait", "wait@PATH"),
            ("assign-asked=again", "only `assigned`"),
            ("commit:link:after=wait@/here", "only a step"),
        ] {
            let fault = Orders::parse(text).expect_err(text);
            assert!(fault.contains(word), "{text}: {fault}");
        }
    }
}
