//! `eventlake-model`: runs schedules of the protocol from a seed, and shows what they covered or broke.

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use eventlake_model::choice::Choices;
use eventlake_model::coverage::{Situation, Transition};
use eventlake_model::explore::{Explored, explore};
use eventlake_model::fence::{Fence, Worth};
use eventlake_model::schedule::run;
use eventlake_model::shrink::shrink;

const USAGE: &str = "\
Runs schedules of eventlake's protocol: crashes, delays, lost replies, power cuts and races, from a seed.

  eventlake-model [--schedules N] [--seed S] [--without FENCE] [--quick]
  eventlake-model --fences [--schedules N] [--seed S]
  eventlake-model --show SEED [--without FENCE]

--schedules N     how many schedules (default 100000)
--seed S          the first one's seed; the others follow it (default 1)
--without FENCE   takes one rule away: then a counter-example is expected, made small and shown
--fences          takes every rule away in turn, within the same budget
--show SEED       tells one schedule step by step
--quick           does not require that every transition fired at least 1,000 times";

/// Tries to make one counter-example small.
const SHRINKS: u32 = 1_200;

struct Arguments {
    schedules: u64,
    seed: u64,
    without: Option<Fence>,
    fences: bool,
    quick: bool,
    show: Option<u64>,
}

fn main() -> ExitCode {
    let mut out = std::io::stdout().lock();
    match read_arguments(std::env::args().skip(1)) {
        Ok(arguments) => {
            let done = if arguments.fences {
                every_fence(&mut out, &arguments)
            } else if let Some(seed) = arguments.show {
                show(&mut out, seed, arguments.without)
            } else {
                one_run(&mut out, &arguments)
            };
            // A reader that went away has seen what it wanted.
            done.unwrap_or(ExitCode::SUCCESS)
        }
        Err(fault) => {
            let _ = writeln!(std::io::stderr(), "{fault}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn read_arguments(mut given: impl Iterator<Item = String>) -> Result<Arguments, String> {
    let mut arguments = Arguments {
        schedules: 100_000,
        seed: 1,
        without: None,
        fences: false,
        quick: false,
        show: None,
    };
    while let Some(argument) = given.next() {
        let mut value = || given.next().ok_or_else(|| format!("{argument} needs a value"));
        let number = |text: String| text.parse().map_err(|_| format!("{text:?} is not a number"));
        match argument.as_str() {
            "--schedules" => arguments.schedules = number(value()?)?,
            "--seed" => arguments.seed = number(value()?)?,
            "--without" => arguments.without = Some(value()?.parse()?),
            "--show" => arguments.show = Some(number(value()?)?),
            "--fences" => arguments.fences = true,
            "--quick" => arguments.quick = true,
            other => return Err(format!("{other} is not known")),
        }
    }
    Ok(arguments)
}

fn show(out: &mut impl Write, seed: u64, without: Option<Fence>) -> std::io::Result<ExitCode> {
    let ended = run(Choices::seeded(seed), without, true);
    for line in &ended.story {
        writeln!(out, "{line}")?;
    }
    Ok(if ended.violation.is_some() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Fails when a promise is broken, or, with a fence away, when none is.
fn one_run(out: &mut impl Write, arguments: &Arguments) -> std::io::Result<ExitCode> {
    let began = Instant::now();
    let mut explored = explore(arguments.seed, arguments.schedules, arguments.without);
    let broken = explored.broken.take();
    if arguments.without.is_none() {
        print_coverage(out, &explored)?;
    }
    writeln!(
        out,
        "{} schedules from seed {}, {} steps, {:.0} s",
        explored.schedules,
        arguments.seed,
        explored.steps,
        began.elapsed().as_secs_f64()
    )?;
    out.flush()?;
    if let Some((seed, ended)) = broken {
        let what = ended.violation.clone().unwrap_or_default();
        writeln!(out, "seed {seed} breaks a promise: {what}")?;
        let small = shrink(ended, arguments.without, SHRINKS);
        writeln!(out, "made small:")?;
        for line in shortened(&small.story) {
            writeln!(out, "  {line}")?;
        }
        return Ok(if arguments.without.is_some() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    if let Some(fence) = arguments.without {
        writeln!(out, "no counter-example without {fence}")?;
        return Ok(if fence.worth() != Worth::Fence {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    let (fired_min, met_min) = if arguments.quick { (1, 1) } else { (1000, 50) };
    let lacking = explored.lacking(fired_min, met_min);
    if lacking.is_empty() {
        writeln!(
            out,
            "no promise is broken; every transition fired at least {fired_min} times"
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(
        out,
        "no promise is broken, but too seldom: {}",
        lacking.join("; ")
    )?;
    Ok(ExitCode::FAILURE)
}

fn print_coverage(out: &mut impl Write, explored: &Explored) -> std::io::Result<()> {
    writeln!(out, "{:>12}  transition", "fired")?;
    for (transition, fired) in Transition::ALL.iter().zip(&explored.coverage.transitions) {
        writeln!(out, "{fired:>12}  {}", transition.text())?;
    }
    writeln!(out, "{:>12}  situation", "schedules")?;
    for (situation, met) in Situation::ALL.iter().zip(&explored.coverage.situations) {
        writeln!(out, "{met:>12}  {}", situation.text())?;
    }
    Ok(())
}

fn every_fence(out: &mut impl Write, arguments: &Arguments) -> std::io::Result<ExitCode> {
    let mut as_expected = true;
    let mut fences = Fence::ALL.to_vec();
    fences.sort_by_key(|fence| fence.worth() != Worth::Fence);
    for fence in &fences {
        let explored = explore(arguments.seed, arguments.schedules, Some(*fence));
        let expected = explored.broken.is_some() == (fence.worth() == Worth::Fence);
        as_expected &= expected;
        let mark = if expected { "" } else { "  NOT AS EXPECTED" };
        writeln!(out, "## {fence}: {}{mark}", fence.rule())?;
        match explored.broken {
            Some((seed, ended)) => {
                writeln!(out, "schedule {} (seed {seed})", explored.schedules)?;
                let small = shrink(ended, Some(*fence), SHRINKS);
                for line in shortened(&small.story) {
                    writeln!(out, "- {line}")?;
                }
            }
            None => writeln!(out, "no counter-example in {} schedules", explored.schedules)?,
        }
        writeln!(out)?;
        out.flush()?;
    }
    Ok(if as_expected {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A story that goes round and round is told once.
fn shortened(story: &[String]) -> Vec<&str> {
    const LINES_MAX: usize = 100;
    const BEGINNING: usize = 60;
    let lines = story.iter().map(String::as_str);
    if story.len() <= LINES_MAX {
        return lines.collect();
    }
    let rest = [
        "... and so on, round and round ...",
        story[story.len() - 1].as_str(),
    ];
    lines.take(BEGINNING).chain(rest).collect()
}
