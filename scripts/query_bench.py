#!/usr/bin/env python3
"""How quick `eventlake query` is beside DuckDB, on the same files: five queries, cold processes and warm ones.

    scripts/query_bench.py --brokers $(scripts/kafka.sh start) [--events 2000000] [--runs 5] [--json]

Lands clicks and ratings with the program's own generator. Then, in turn: *cold*, a new process a query and run, with its start (ours reads the
logs, theirs starts Python); *warm*, one process that has answered the query once before, ours by its own clock to the last row printed. Answers
are compared before anything is timed. Needs duckdb, as in scripts/requirements.txt. Compare ratios, not seconds. Exit code 1
when a ratio is above --at-most.
"""

import argparse
import json
import os
import pathlib
import pty
import re
import select
import statistics
import subprocess
import sys
import tempfile
import time

import duckdb

import measured

# What both are asked. The hour is filled in: one in the middle of the data.
QUERIES = {
    "aggregate": "SELECT item_id, count(*) AS n, avg(click_duration) AS mean FROM clicks GROUP BY item_id ORDER BY item_id",
    "hour": "SELECT count(*) AS n, sum(click_duration) AS total FROM clicks WHERE date = '{date}' AND hour = {hour}",
    "top-k": "SELECT user_id, _kafka_partition AS p, _kafka_offset AS o, click_duration FROM clicks "
    "ORDER BY click_duration DESC, p, o LIMIT 10",
    "join": "SELECT r.rating, count(*) AS n FROM clicks c JOIN ratings r ON c.user_id = r.user_id AND c.item_id = r.item_id "
    "GROUP BY r.rating ORDER BY r.rating",
    "distinct": "SELECT count(DISTINCT page_url) AS pages, count(DISTINCT user_id) AS users FROM clicks",
}
PROMPT = b"eventlake> "
TOOK = re.compile(rb"\((\d+\.\d+) s\)")


class Shell:
    """`eventlake query` on a terminal: one process, asked again and again."""

    def __init__(self, folder, config):
        environment = measured.environment({"TERM": "dumb", "XDG_STATE_HOME": str(folder / "state")})
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execve(measured.binary(), [measured.binary(), "query", "--config", config, "--format", "csv"], environment)
        self.wait_for(lambda said: PROMPT in said)

    def wait_for(self, is_there, limit_secs=600):
        said, deadline = b"", time.monotonic() + limit_secs
        while not is_there(said):
            if time.monotonic() > deadline or not select.select([self.terminal], [], [], deadline - time.monotonic())[0]:
                sys.exit(f"the shell said nothing more for {limit_secs} s:\n{said.decode(errors='replace')}")
            said += os.read(self.terminal, 65536)
        return said

    def secs(self, sql):
        os.write(self.terminal, (sql + ";\r").encode())
        # Answered, and waiting for input again.
        said = self.wait_for(lambda said: (TOOK.search(said) or b"error:" in said) and said.rstrip().endswith(PROMPT.rstrip()))
        if not TOOK.search(said):
            sys.exit(said.decode(errors="replace"))
        return float(TOOK.search(said).group(1))

    def close(self):
        os.write(self.terminal, b"\\q\r")
        os.waitpid(self.pid, 0)


CONFIG = """[kafka]
brokers = "{brokers}"
group = "{name}"
[http]
listen = "off"
[lake]
memory_limit = "1GiB"
[[topics]]
name = "{name}-clicks"
table = "clicks"
schema = "{schemas}/clicks.schema.json"
event_time = "timestamp"
[[topics]]
name = "{name}-ratings"
table = "ratings"
schema = "{schemas}/ratings.schema.json"
event_time = "timestamp"
"""


def land(folder, brokers, events):
    """A lake of clicks and a tenth as many ratings, over two days, by the program itself."""
    name = f"query-bench-{os.getpid()}"
    schemas = measured.REPOSITORY / "config" / "schemas"
    (folder / "eventlake.toml").write_text(CONFIG.format(brokers=brokers, name=name, schemas=schemas))
    spread = ["--seed", "7", "--start", "2026-11-01", "--span", "48h"]

    def run(*arguments):
        measured.run([measured.binary(), *arguments, "--config", "eventlake.toml"], {}, folder, 1800)

    run("topics", "create")
    run("generate", "--topics", f"clicks={name}-clicks", "--count", str(events), *spread)
    run("generate", "--topics", f"ratings={name}-ratings", "--count", str(events // 10), *spread)
    run("ingest", "--until-end")


DUCKDB_COLD = """
import duckdb, sys
connection = duckdb.connect()
connection.execute("SET TimeZone = 'UTC'")
for table in ("clicks", "ratings"):
    glob = f"{sys.argv[1]}/{table}/**/*.parquet"
    connection.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{glob}', hive_partitioning = true)")
for row in connection.execute(sys.argv[2]).fetchall():
    print(*row, sep=",")
"""


def in_duckdb(data):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for table in ("clicks", "ratings"):
        glob = f"{data}/{table}/**/*.parquet"
        connection.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{glob}', hive_partitioning = true)")
    return connection


def by_eventlake(folder, config, sql):
    command = [measured.binary(), "query", "--config", config, sql, "--json"]
    return [list(json.loads(line).values()) for line in measured.run(command, {}, folder, 600).stdout.splitlines()]


def same(left, right):
    """Equal values; means and sums of fractions may differ in their last digits, by the order of the additions."""
    if len(left) != len(right):
        return False
    pairs = [pair for rows in zip(left, right) for pair in zip(*rows)]
    return all(
        abs(one - other) <= 1e-9 * max(1.0, abs(one)) if isinstance(one, float) else one == other for one, other in pairs
    )


def secs_of(run):
    began = time.monotonic()
    run()
    return time.monotonic() - began


def ratios(folder, config, data, runs):
    """For each query the medians of cold and warm: ours over DuckDB's of the run just after it."""
    connection, shell = in_duckdb(data), Shell(folder, config)
    date, hour, _ = connection.execute(
        "SELECT date, hour, count(*) AS n FROM clicks GROUP BY ALL ORDER BY n DESC, date, hour LIMIT 1"
    ).fetchone()
    figures = {}
    for name, query in QUERIES.items():
        sql = query.format(date=date, hour=hour)
        ours, theirs = by_eventlake(folder, config, sql), [list(row) for row in connection.execute(sql).fetchall()]
        if not same(ours, theirs):
            sys.exit(f"{name}: different answers\neventlake: {ours[:5]}\nDuckDB: {theirs[:5]}")
        cold_ours = [measured.binary(), "query", "--config", config, sql, "--format", "csv"]
        cold_theirs = [sys.executable, "-c", DUCKDB_COLD, str(data), sql]
        shell.secs(sql)
        cold, warm = [], []
        for _ in range(runs):
            ours = secs_of(lambda: measured.run(cold_ours, {}, folder, 600))
            cold.append((ours, secs_of(lambda: measured.run(cold_theirs, {}, folder, 600))))
            ours = shell.secs(sql)
            warm.append((ours, secs_of(lambda: connection.execute(sql).fetchall())))
        figures[name] = {
            kind: {
                "ratio": statistics.median(ours / theirs for ours, theirs in pairs),
                "eventlake_secs": statistics.median(ours for ours, _ in pairs),
                "duckdb_secs": statistics.median(theirs for _, theirs in pairs),
            }
            for kind, pairs in (("cold", cold), ("warm", warm))
        }
    shell.close()
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--brokers", help="an Apache Kafka for landing; else EVENTLAKE_TEST_BROKERS")
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--lake", help="a folder that this script has filled before, in place of landing")
    parser.add_argument("--keep", help="fill this folder and leave it")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--at-most", type=float, default=1.5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="query-bench.") as temporary:
        folder = pathlib.Path(given.lake or given.keep or temporary).resolve()
        if not given.lake:
            folder.mkdir(exist_ok=True)
            land(folder, measured.brokers(given.brokers), given.events)
        data = folder / "data" / "parquet"
        files = list(data.glob("*/**/*.parquet"))
        figures = ratios(folder, "eventlake.toml", data, given.runs)
    if given.json:
        print(json.dumps({"files": len(files), "queries": figures}))
    else:
        print(f"{len(files)} files, {os.cpu_count()} cores, {given.runs} runs in turn; DuckDB {duckdb.__version__}")
        print(f"{'QUERY':<10}  {'':<4}  RATIO  EVENTLAKE    DUCKDB")
        for name, kinds in figures.items():
            for kind, one in kinds.items():
                ours, theirs = one["eventlake_secs"], one["duckdb_secs"]
                print(f"{name:<10}  {kind}  {one['ratio']:>5.2f}  {ours:>7.3f} s  {theirs:>6.3f} s")
    above = [name for name, kinds in figures.items() if any(one["ratio"] > given.at_most for one in kinds.values())]
    if above:
        print(f"above {given.at_most}: {', '.join(above)}", file=sys.stderr)
    sys.exit(1 if above else 0)


if __name__ == "__main__":
    main()
