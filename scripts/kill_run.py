#!/usr/bin/env python3
"""Lands a million events from a real Kafka while the ingester is killed again and again, then compares every one.

    EVENTLAKE_TEST_BROKERS=$(scripts/kafka.sh start) scripts/kill_run.py --work DIR

The generator sends to the four topics of config/eventlake.toml; meanwhile `eventlake ingest` is started and killed with
SIGKILL at random moments, then `ingest --until-end` takes the rest. scripts/compare_lake.py, DuckDB behind it, holds the
lake against the generator's delivery reports, and `eventlake verify --kafka` must prove it. The seed is printed; --seed repeats the moments. Needs topics that do
not exist yet, a release build (EVENTLAKE names another binary) and the packages of scripts/requirements.txt.
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time

import compare_lake
import measured

# A killed ingester's place in the group is free again after this long.
PROPERTIES = """[kafka.properties]
session.timeout.ms = "1500"
heartbeat.interval.ms = "300"
"""


def settings(brokers, work):
    return {
        "EVENTLAKE_CONFIG": str(work / "config/eventlake.toml"),
        "EVENTLAKE_KAFKA_BROKERS": brokers,
        "EVENTLAKE_KAFKA_GROUP": f"kill-run-{os.getpid()}",
        "EVENTLAKE_LAKE_ROLL_INTERVAL": "500ms",
        "EVENTLAKE_HTTP_LISTEN": "off",
    }


def commits(work):
    return len(list((work / "checkpoints").glob("*/*.json")))


class Run:
    def __init__(self, arguments):
        self.work = pathlib.Path(arguments.work).resolve()
        self.work.mkdir(parents=True, exist_ok=True)
        shutil.copytree(measured.REPOSITORY / "config", self.work / "config", dirs_exist_ok=True)
        config = self.work / "config/eventlake.toml"
        text = config.read_text()
        if text.count("[kafka.properties]\n") != 1:
            sys.exit(f"{config} has no section [kafka.properties] to add to")
        config.write_text(text.replace("[kafka.properties]\n", PROPERTIES))
        self.binary = measured.binary()
        self.environment = measured.environment(settings(arguments.brokers, self.work))

    def start(self, log, *command):
        """Starts the program; what it says goes to a file, for the case that it fails."""
        with open(self.work / log, "ab") as out:
            return subprocess.Popen(
                [self.binary, *command], cwd=self.work, env=self.environment,
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )

    def finish(self, process, log, limit):
        code = process.wait(timeout=limit)
        if code != 0:
            sys.exit(f"{process.args} ended with {code}:\n{self.tail(log)}")

    def run(self, log, limit, *command):
        process = self.start(log, *command)
        try:
            self.finish(process, log, limit)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()

    def tail(self, log):
        return "\n".join((self.work / log).read_text(errors="replace").splitlines()[-25:])


def kill_again_and_again(run, arguments, moments):
    """Returns how many of the killed runs had committed something."""
    productive = 0
    for number in range(1, arguments.kills + 1):
        before = commits(run.work)
        ingester = run.start("ingest.log", "ingest")
        lived = moments.uniform(0.1, arguments.longest)
        time.sleep(lived)
        if ingester.poll() is not None:
            sys.exit(f"the ingester ended by itself with {ingester.returncode}:\n{run.tail('ingest.log')}")
        ingester.kill()
        ingester.wait()
        made = commits(run.work) - before
        productive += made > 0
        print(f"kill {number:>2} after {lived:5.2f} s, {made:>3} commits", flush=True)
    return productive


def prove(run):
    """The program's own verdict on the same lake, from its files and from Kafka."""
    command = [run.binary, "verify", "--kafka", "--json"]
    done = subprocess.run(command, cwd=run.work, env=run.environment, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        sys.exit(f"eventlake verify --kafka ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    proof = json.loads(done.stdout)
    if proof["verdict"] != "proven" or not proof["kafka_checked"] or proof["refutations"]:
        sys.exit(f"eventlake verify --kafka does not call the lake proven:\n{done.stdout}")
    print(f"eventlake verify --kafka: {proof['verdict']}, {proof['offsets']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", required=True, help="a folder of its own for lake, logs and delivery reports")
    parser.add_argument("--brokers")
    parser.add_argument("--events", type=int, default=260_000, help="a topic")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--longest", type=float, default=6.0, help="seconds until a kill, at most")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    arguments = parser.parse_args()
    arguments.brokers = measured.brokers(arguments.brokers)
    print(f"seed {arguments.seed}", flush=True)
    moments = random.Random(arguments.seed)
    run = Run(arguments)
    began = time.monotonic()
    run.run("topics.log", 60, "topics", "create")
    # Sending lasts about as long as the kills do, so that each of them hits a daemon at work.
    rate = max(1, int(arguments.events / (arguments.kills * arguments.longest * 0.6)))
    deliveries = run.work / "deliveries.jsonl"
    generator = run.start(
        "generate.log", "generate", "--count", str(arguments.events), "--rate", str(rate),
        "--seed", str(arguments.seed), "--invalid", "0.02", "--late", "0.02", "--deliveries", str(deliveries),
    )
    try:
        productive = kill_again_and_again(run, arguments, moments)
        run.finish(generator, "generate.log", 600)
    finally:
        if generator.poll() is None:
            generator.kill()
            generator.wait()
    if productive < arguments.kills / 4:
        sys.exit(f"only {productive} of {arguments.kills} runs had made a commit: the kills hit nothing")
    run.run("ingest.log", 600, "ingest", "--until-end")
    print(f"landed after {time.monotonic() - began:.0f} s; {productive} of {arguments.kills} killed runs had committed")
    if compare_lake.compare(run.work / "config/eventlake.toml", deliveries, run.work):
        sys.exit(f"the lake differs from what was sent; seed {arguments.seed}, everything is in {run.work}")
    with open(deliveries, "rb") as lines:
        total = sum(1 for _ in lines)
    if total < 4 * arguments.events:
        sys.exit(f"only {total} records were delivered, expected {4 * arguments.events}")
    prove(run)
    print(f"{total} records, {arguments.kills} kills: none lost, none twice, none altered")


if __name__ == "__main__":
    main()
