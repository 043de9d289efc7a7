"""The benchmark: what landing topics costs, beside what reading them costs, as ratios of one run on one machine.

    scripts/bench.sh                       every case but `build`; about an hour, with 4 million events
    scripts/bench.sh --only plain,size     some of them; --runs 9, --events 1000000
    scripts/bench.sh --quick               every case with few events, whether it works: nothing is judged
    scripts/bench.sh --production          10-second rolls under a steady half load for 10 minutes
    scripts/bench.sh --peers spark,python  what users would pick instead, on the same topic
    scripts/bench.sh --only micro          decoding and writing files alone, beside other libraries: minutes, no Kafka
    scripts/bench.sh --only build          a first build, beside the same tree at plain release settings: an hour

It starts a Kafka of its own (or takes --brokers), loads each topic once, runs what it compares in turn, checks that
every event is in exactly one row, and prints a table, or JSON, on stdout. Needs `cargo build --release` and `cargo build --release
--examples`, and the packages of scripts/requirements.txt. Exit code 1 when a target is missed.
"""

import argparse
import contextlib
import json
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import building  # noqa: E402
import cost  # noqa: E402
import figures  # noqa: E402
import length  # noqa: E402
import micro  # noqa: E402
import peers  # noqa: E402
import size  # noqa: E402
import starting  # noqa: E402
import steady  # noqa: E402
import views  # noqa: E402
from stage import Broker, Stage  # noqa: E402

CASES = {
    "plain": cost.plain,
    "nested": cost.nested,
    "shuffled": cost.shuffled,
    "topics": cost.topics,
    "freshness": steady.freshness,
    "start": starting.start,
    "size": size.size,
    "long": length.long,
    "memory": length.memory,
    "proof": length.proof,
    "views": views.views,
}
OTHERS = {"production": steady.production, "micro": micro.micro, "build": building.build}
WITHOUT_KAFKA = {"micro", "build"}


def names(allowed):
    def parsed(text):
        chosen = text.split(",")
        for name in chosen:
            if name not in allowed:
                raise argparse.ArgumentTypeError(f"no {name!r} here; there are {', '.join(allowed)}")
        return chosen

    return parsed


def arguments():
    parser = argparse.ArgumentParser(
        prog="scripts/bench.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", type=names([*CASES, *OTHERS]), metavar="CASE,...", help=", ".join([*CASES, *OTHERS]))
    parser.add_argument("--quick", action="store_true", help="every case with few events")
    parser.add_argument("--production", action="store_true", help="the same as --only production")
    parser.add_argument("--peers", type=names(list(peers.PEERS)), default=[], metavar="PEER,...", help=", ".join(peers.PEERS))
    parser.add_argument("--runs", type=int, help="of each pair (5)")
    parser.add_argument("--events", type=int, help="of the plain case (4000000)")
    parser.add_argument("--commits", type=int, help="of the case start (100000)")
    parser.add_argument("--rate", type=float, help="events a second for freshness and production (half of what ingest took)")
    parser.add_argument("--seconds", type=int, help="of load for freshness (60) and production (600)")
    parser.add_argument("--brokers", help="a Kafka that is there; its topics bench-* stay")
    parser.add_argument("--work", help="a folder for broker and lakes (a temporary one)")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


class Scale:
    """How much of everything."""

    def __init__(self, given):
        self.quick = quick = given.quick
        self.events = given.events or (40_000 if quick else 4_000_000)
        self.runs = given.runs or (1 if quick else 5)
        self.long_runs = min(self.runs, 3)
        self.topics = 20 if quick else 200
        self.commits = given.commits or (500 if quick else 100_000)
        self.idle_secs = 2 if quick else 30
        self.fresh_secs = given.seconds or (5 if quick else 60)
        self.production_secs = given.seconds or (15 if quick else 600)
        # Half of what so small a case shows says nothing of what the machine can do.
        self.rate = given.rate or (2000 if quick else None)
        self.judged = not quick
        self.ingest_events_a_sec = None


def chosen(given):
    if given.only:
        return given.only
    if given.production or given.peers:
        return ["production"] if given.production else []
    return [*CASES, "production"] if given.quick else list(CASES)


def main():
    given = arguments()
    scale = Scale(given)
    conditions = figures.conditions(scale.runs) | {"events": scale.events}
    found = []
    with tempfile.TemporaryDirectory(prefix="eventlake-bench.") as temporary:
        work = pathlib.Path(given.work or temporary).resolve()
        work.mkdir(parents=True, exist_ok=True)
        cases = chosen(given)
        needs_kafka = given.peers or set(cases) - WITHOUT_KAFKA
        with Broker(given.brokers, work) if needs_kafka else contextlib.nullcontext() as brokers:
            stage = Stage(work / "lakes", brokers)
            for case in cases:
                stage.say(case)
                found += told(stage, {**CASES, **OTHERS}[case](stage, scale))
                for folder in stage.work.glob("lake-*"):
                    shutil.rmtree(folder)
            if given.peers:
                found += told(stage, peers.compare(stage, scale, given.peers))
        shutil.rmtree(work / "lakes")
    show(found, conditions, given.json)
    sys.exit(1 if any(figure.verdict == "missed" for figure in found) else 0)


def told(stage, found):
    """As they come: a long run that is broken off has said what it knew."""
    for figure in found:
        stage.say(f"  {figure.what}: {figures.shown(figure.median)} {figure.unit} {figure.verdict}".rstrip())
    return found


def show(found, conditions, as_json):
    if as_json:
        print(json.dumps({"conditions": conditions, "figures": [figure.record() for figure in found]}, indent=1))
        return
    print(figures.table(found))
    print()
    print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in conditions.items()))


if __name__ == "__main__":
    main()
