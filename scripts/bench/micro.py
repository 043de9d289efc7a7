"""The micro-benchmarks of micro/: decoding and writing files without Kafka, beside what others take for the same.

Criterion measures; each run is a process of its own, and a ratio is that of two measurements of one run, a few seconds apart.
"""

import json
import os
import pathlib
import subprocess
import sys

import measured
from figures import Figure, ratios

OURS = "eventlake"
MANIFEST = measured.REPOSITORY / "micro/Cargo.toml"
# Ours does more than Arrow's writer does when that need not sort: that one's figure is there to see by how much.
UNJUDGED = {"arrow not sorted"}


def micro(stage, scale):
    cargo("--no-run")
    runs = []
    for number in range(scale.runs):
        stage.say(f"micro: run {number + 1} of {scale.runs}")
        folder = stage.work / f"criterion-{number}"
        # Each measurement at least this long, or it says nothing.
        cargo("--", "--noplot", *(["--measurement-time", "0.1", "--warm-up-time", "0.05", "--sample-size", "10"] if scale.quick else []), home=folder)
        runs.append(measurements(folder))
    return compared(runs, scale.judged)


def cargo(*words, home=None):
    """Within the target folder of the program: what both need with the same features is compiled once."""
    target = os.environ.get("CARGO_TARGET_DIR", str(measured.REPOSITORY / "target"))
    settings = {"CARGO_TARGET_DIR": target} | ({"CRITERION_HOME": str(home)} if home else {})
    command = ["cargo", "bench", "--locked", "--manifest-path", str(MANIFEST), *words]
    done = subprocess.run(command, env=measured.environment(settings), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n" + "\n".join(done.stdout.splitlines()[-25:]))


def measurements(folder):
    """{(group, contender): median nanoseconds a row} of what criterion left below its folder."""
    found = {}
    for path in sorted(pathlib.Path(folder).glob("**/new/benchmark.json")):
        benchmark = json.loads(path.read_text())
        estimates = json.loads(path.with_name("estimates.json").read_text())
        rows = benchmark["throughput"]["Elements"]
        found[benchmark["group_id"], benchmark["function_id"]] = estimates["median"]["point_estimate"] / rows
    return found


def compared(runs, judged):
    if not all(runs) or any(run.keys() != runs[0].keys() for run in runs):
        sys.exit("the runs measured different things, or nothing; hint: cargo bench --manifest-path micro/Cargo.toml")
    figures = []
    for group, contender in sorted(runs[0], key=lambda key: (key[0], key[1] != OURS, key[1])):
        what = group.replace("/", " ")
        ours, theirs = ([run[group, name] for run in runs] for name in (OURS, contender))
        if contender == OURS:
            figures.append(Figure("micro", f"{what}: {OURS}", "ns", ours))
        else:
            limit = None if contender in UNJUDGED or "garbage" in group else 1.0
            figures.append(Figure("micro", f"{what}: over {contender}", "x", ratios(ours, theirs), at_most=limit, judged=judged))
    return figures
