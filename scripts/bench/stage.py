"""Where the cases play: a broker, topics that are loaded once, a lake for each run, and a check of its rows."""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import duckdb

import measured

SCHEMAS = {
    "click": (measured.REPOSITORY / "config/schemas/clicks.schema.json", "timestamp"),
    "order": (measured.REPOSITORY / "scripts/bench/orders.schema.json", "created_at"),
}
LANDING_SECS = 3600
OFFSETS_AT_ONCE = 2_000_000


@dataclasses.dataclass(frozen=True)
class Load:
    """Topics to be read, and what is in them."""

    name: str
    events: int
    partitions: int = 4
    topics: int = 1
    hours: int = 0
    shape: str = "click"
    generated: bool = False  # by `eventlake generate`, not by examples/load.rs

    @property
    def names(self):
        stem = f"bench-{self.name}-{self.events}"
        return [stem] if self.topics == 1 else [f"{stem}-{number:03}" for number in range(self.topics)]


class Stage:
    def __init__(self, work, brokers):
        self.work = pathlib.Path(work).resolve()
        self.work.mkdir(parents=True, exist_ok=True)
        self.brokers = brokers
        self.began = time.monotonic()
        self.loaded = {}
        self.runs = 0

    def say(self, text):
        print(f"bench: {time.monotonic() - self.began:6.0f} s  {text}", file=sys.stderr, flush=True)

    def load(self, load):
        """Makes the topics and fills them, or takes those that a run before left on the same cluster."""
        if load.name in self.loaded:
            return self.loaded[load.name]
        folder = self.lake(load)
        self.eventlake(folder, "topics", "create", limit_secs=300)
        found = self.drained(load)
        if found["events"] == 0:
            self.say(f"loading {load.events:,} events into {load.topics} x {load.partitions} partitions of {load.names[0]}")
            self.fill(folder, load)
            found = self.drained(load)
        if found["events"] != load.events:
            sys.exit(
                f"topic {load.names[0]} holds {found['events']} events, expected {load.events}; "
                "hint: delete the topics bench-* of that cluster"
            )
        self.loaded[load.name] = found
        return found

    def fill(self, folder, load):
        if load.generated:
            topic = f"clicks={load.names[0]}"
            self.eventlake(folder, "generate", "--topics", topic, "--count", str(load.events), "--seed", "1", limit_secs=LANDING_SECS)
        else:
            self.run(self.load_command(load), folder, LANDING_SECS)

    def load_command(self, load, rate=None):
        command = [
            measured.example("load"), "--brokers", self.brokers, "--topics", ",".join(load.names), "--count", str(load.events),
            "--partitions", str(load.partitions), "--hours", str(load.hours), "--shape", load.shape,
        ]
        return command + (["--rate", str(rate)] if rate else [])

    def drained(self, load):
        return json.loads(self.drain(load).stdout)

    def drain(self, load):
        return self.run([measured.example("drain"), self.brokers, ",".join(load.names)], self.work, LANDING_SECS)

    def lake(self, load, roll_interval="10s", roll_size="128MiB", memory_limit="512MiB"):
        """A new folder with a configuration and a consumer group of its own."""
        self.runs += 1
        folder = self.work / f"lake-{self.runs}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        schema, event_time = SCHEMAS[load.shape]
        # Uncompressed, as the yardstick of every figure here.
        text = (
            f'[kafka]\nbrokers = "{self.brokers}"\ngroup = "bench-{os.getpid()}-{self.runs}"\n'
            '[kafka.properties]\ncompression.type = "none"\n'
            f'[lake]\nroll_interval = "{roll_interval}"\nroll_size = "{roll_size}"\nmemory_limit = "{memory_limit}"\n'
            '[http]\nlisten = "off"\n'
        )
        for name in load.names:
            text += (
                f'[[topics]]\nname = "{name}"\ntable = "{name}"\nschema = "{schema}"\nevent_time = "{event_time}"\n'
                f"partitions = {load.partitions}\n"
            )
        (folder / "eventlake.toml").write_text(text)
        return folder

    def ingest(self, load, keep=False, watch=None, **settings):
        """Lands the topics in a new lake, checks its rows, and removes it unless it is kept: (cost, folder)."""
        folder = self.lake(load, **settings)
        cost = self.eventlake(folder, "ingest", "--until-end", limit_secs=LANDING_SECS, watch=watch)
        check_rows(folder / "data/parquet", load.names, "_kafka_partition", "_kafka_offset", load.events)
        if not keep:
            shutil.rmtree(folder)
        return cost, folder

    def eventlake(self, folder, *words, limit_secs, watch=None):
        return self.run(self.command(folder, *words), folder, limit_secs, watch)

    def command(self, folder, *words):
        return [measured.binary(), "--config", str(folder / "eventlake.toml"), *words]

    def run(self, command, folder, limit_secs, watch=None):
        return measured.run(command, {}, folder, limit_secs, watch)


def check_rows(root, names, partition, offset, expected):
    """Every event in exactly one row, by DuckDB: as many rows as events, and as many distinct positions."""
    rows = positions = 0
    for name in names:
        table = f"read_parquet('{root}/{name}/**/*.parquet', hive_partitioning = true)"
        found, last = duckdb.sql(f"SELECT count(*), coalesce(max({offset}), 0) FROM {table}").fetchall()[0]
        rows += found
        # Slice by slice: what is distinct has to fit into memory.
        for low in range(0, last + 1, OFFSETS_AT_ONCE):
            one = f"CAST({partition} AS HUGEINT) * (1::HUGEINT << 64) + {offset}"
            within = f"{offset} >= {low} AND {offset} < {low + OFFSETS_AT_ONCE}"
            positions += duckdb.sql(f"SELECT count(DISTINCT {one}) FROM {table} WHERE {within}").fetchall()[0][0]
    if (rows, positions) != (expected, expected):
        sys.exit(f"{root} holds {rows} rows of {positions} distinct positions, expected {expected} of each")


class Broker:
    """Apache Kafka, started for this run and removed with its data; or one that is there already."""

    def __init__(self, given, work):
        self.given = given
        self.folder = work / "kafka"
        self.script = [str(measured.REPOSITORY / "scripts/kafka.sh")]

    def __enter__(self):
        if self.given:
            return self.given
        command = [*self.script, "start", "--port", "0", "--dir", str(self.folder)]
        # The broker would inherit a pipe and hold it open: the address comes through a file.
        with open(self.folder.with_suffix(".address"), "w+", encoding="utf-8") as address:
            subprocess.run(command, check=True, stdout=address)
            address.seek(0)
            return address.read().strip()

    def __exit__(self, *_):
        if not self.given:
            subprocess.run([*self.script, "stop", "--wipe", "--dir", str(self.folder)], check=True)
