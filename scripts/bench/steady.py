"""Under a steady half load: how soon an event is visible to a reader's plain glob, and what that costs."""

import os
import pathlib
import subprocess
import threading
import time

import duckdb

import measured
from cost import MIB, RSS_MIB_MAX, Daemon, plain_load
from figures import Figure
from stage import Load, check_rows

LOOK_EVERY_SECS = 0.02


def freshness(stage, scale):
    seen = steady(stage, scale, "freshness", scale.fresh_secs, 2)
    ages = seen["age_secs"]
    return [
        Figure("freshness", "produce to visible, p99, 2 s rolls", "s", [ages[1]], at_most=2 + 1, judged=scale.judged),
        Figure("freshness", "produce to visible, p50, 2 s rolls", "s", [ages[0]]),
        Figure("freshness", "events produced", "k/s", [seen["events_a_sec"] / 1e3]),
    ]


def production(stage, scale):
    """10-second rolls for ten minutes, beside a drain of the same events afterwards."""
    seen = steady(stage, scale, "production", scale.production_secs, 10)
    drain_cpu = stage.drain(seen["load"]).cpu_secs
    sizes = seen["file_bytes"]
    return [
        Figure("production", "produce to visible, p99, 10 s rolls", "s", [seen["age_secs"][1]], at_most=10 + 1, judged=scale.judged),
        Figure("production", "produce to visible, p50, 10 s rolls", "s", [seen["age_secs"][0]]),
        Figure("production", "CPU per event over a drain of them", "x", [seen["cpu_secs"] / drain_cpu]),
        Figure("production", "CPU per event", "us", [seen["cpu_secs"] / seen["load"].events * 1e6]),
        Figure("production", "peak RSS", "MiB", [seen["rss_bytes"] / MIB], at_most=RSS_MIB_MAX, judged=scale.judged),
        Figure("production", f"size of the {len(sizes)} files", "KiB", [size / 1024 for size in sizes]),
        Figure("production", "events produced", "k/s", [seen["events_a_sec"] / 1e3]),
    ]


def steady(stage, scale, name, secs, roll_secs):
    rate = scale.rate or half_load(stage, scale)
    # A name of its own each time: what an earlier run left in the topic would not be fresh.
    load = Load(f"{name}-{os.getpid()}-{int(time.time())}", int(rate * secs))
    folder = stage.lake(load, roll_interval=f"{roll_secs}s")
    stage.eventlake(folder, "topics", "create", limit_secs=60)
    table = folder / "data/parquet" / load.names[0]
    stage.say(f"  {rate:,.0f} events/s for {secs} s")
    with Daemon(stage, folder) as daemon, Watcher(table, daemon.pid) as watcher:
        daemon.wait_until_assigned(load.partitions)
        idle = measured.cpu_secs(daemon.pid)
        producer = subprocess.Popen(stage.load_command(load, rate), stdout=subprocess.DEVNULL)
        began = time.monotonic()
        if producer.wait() != 0:
            raise SystemExit("the producer failed")
        took = time.monotonic() - began
        watcher.wait_for_rows(load.events, limit_secs=roll_secs + 60)
        cpu = measured.cpu_secs(daemon.pid) - idle
    check_rows(folder / "data/parquet", load.names, "_kafka_partition", "_kafka_offset", load.events)
    stage.loaded[load.name] = True
    return {
        "load": load, "cpu_secs": cpu, "rss_bytes": watcher.rss_bytes, "events_a_sec": load.events / took,
        "age_secs": ages(watcher.seen), "file_bytes": [pathlib.Path(path).stat().st_size for path in watcher.seen],
    }


def half_load(stage, scale):
    if scale.ingest_events_a_sec is None:
        load = plain_load(scale)
        stage.load(load)
        scale.ingest_events_a_sec = load.events / stage.ingest(load)[0].wall_secs
    return scale.ingest_events_a_sec / 2


class Watcher:
    """Looks at the table as a reader's glob does and notes when each file is first there; and the daemon's memory."""

    def __init__(self, table, pid):
        self.table, self.pid = table, pid
        self.seen, self.rows, self.rss_bytes = {}, 0, 0
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.stopped.wait(LOOK_EVERY_SECS):
            now = time.time()
            for path in self.table.glob("**/*.parquet"):
                self.seen.setdefault(str(path), now)
            try:
                self.rss_bytes = max(self.rss_bytes, measured.rss_bytes(self.pid))
            except OSError:
                return  # The daemon ended, and with it all there is to see.

    def wait_for_rows(self, rows, limit_secs):
        deadline = time.monotonic() + limit_secs
        counted, found = set(), 0
        while found < rows:
            if time.monotonic() > deadline:
                raise SystemExit(f"{found} of {rows} rows are visible after {limit_secs} s")
            for path in set(self.seen) - counted:
                found += duckdb.sql(f"SELECT num_rows FROM parquet_file_metadata('{path}')").fetchall()[0][0]
                counted.add(path)
            time.sleep(LOOK_EVERY_SECS)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()


def ages(seen):
    """The median and the 99th percentile over all events of: when its file was seen, less when it was produced."""
    connection = duckdb.connect()
    connection.sql("CREATE TABLE seen (filename VARCHAR, secs DOUBLE)")
    connection.executemany("INSERT INTO seen VALUES (?, ?)", list(seen.items()))
    files = list(seen)
    return connection.execute(
        "SELECT quantile_cont(secs - epoch(_kafka_timestamp), [0.5, 0.99]) "
        "FROM read_parquet(?, filename = true) JOIN seen USING (filename)", [files],
    ).fetchall()[0][0]
