"""Ten times the events: does an event of the second half cost more than one of the first, and does memory grow?"""

import json
import sys
import time

import measured
from cost import MIB, RSS_MIB_MAX, in_turn, plain_load
from figures import Figure
from stage import Load


def long(stage, scale):
    load = Load("long", scale.events * 10)
    stage.load(load)
    ratios, growth, peaks = [], [], []
    for number in range(scale.long_runs):
        samples = []
        # Small inputs need small rolls, or everything is one commit and has no halves.
        roll = "128MiB" if scale.judged else "1MiB"
        cost, folder = stage.ingest(load, keep=True, watch=lambda pid: sample(samples, pid), roll_size=roll)
        first, second, grown = halves(commits(folder, load.names[0]), samples)
        ratios.append(second / first)
        growth.append(grown)
        peaks.append(cost.peak_rss_bytes / MIB)
        stage.say(f"  {number + 1} of {scale.long_runs}")
    return [
        Figure("long", "CPU per event, last half over first", "x", ratios, at_most=1.1, judged=scale.judged),
        Figure("long", "peak RSS, last half over first", "x", growth, at_most=1.1, judged=scale.judged),
        Figure("long", "peak RSS", "MiB", [max(peaks)], at_most=RSS_MIB_MAX, judged=scale.judged),
    ]


def memory(stage, scale):
    """A backlog of over 2.5 GiB of JSON, shuffled over 200 hours, under half the memory."""
    load = Load("memory", scale.events * 17 // 4, partitions=16, hours=200)
    found = stage.load(load)
    stage.say(f"  {found['payload_bytes'] / MIB:.0f} MiB of JSON")
    cost, _ = stage.ingest(load, memory_limit="256MiB")
    # No matter how small the backlog: the limit holds for every run, so it is always judged.
    return [Figure("memory", "peak RSS under a limit of 256 MiB", "MiB", [cost.peak_rss_bytes / MIB], at_most=256)]


def sample(samples, pid):
    try:
        samples.append((time.time(), measured.cpu_secs(pid), measured.rss_bytes(pid)))
    except (OSError, IndexError):
        pass  # It ended between two looks.


def commits(folder, topic):
    """(the moment an append was proposed, events landed until then), in order, from the log itself."""
    found, landed = [], 0
    for path in sorted((folder / "checkpoints" / topic).glob("*.json")):
        commit = json.loads(path.read_text())
        if commit["kind"] == "append":
            landed += sum(partition["next"] - partition["from"] for partition in commit["append"]["partitions"])
            found.append((measured.unix_secs(commit["time"]), landed))
    return found


def halves(appends, samples):
    """CPU an event in both halves, from the first commit on (before it lies the start), and how the peak of memory grew."""
    if len(appends) < 4:
        raise SystemExit(f"only {len(appends)} commits: too few to have halves; hint: more --events")
    begin, end = appends[0], appends[-1]
    middle = min(appends[1:-1], key=lambda append: abs(append[1] - (begin[1] + end[1]) / 2))
    used = [max(cpu for at, cpu, _ in samples if at <= moment) for moment, _ in (begin, middle, end)]
    first = (used[1] - used[0]) / (middle[1] - begin[1])
    second = (used[2] - used[1]) / (end[1] - middle[1])
    peaks = [max(rss for at, _, rss in samples if low <= at <= high) for low, high in ((0, middle[0]), (middle[0], end[0]))]
    return first, second, peaks[1] / peaks[0]


def proof(stage, scale):
    """`eventlake verify`, the whole proof, beside pyarrow reading three columns of the same files."""
    load = plain_load(scale)
    stage.load(load)
    _, folder = stage.ingest(load, keep=True)
    verify = stage.command(folder, "verify", "--json")
    reading = [sys.executable, "-c", READ.format(root=f"data/parquet/{load.names[0]}")]
    reads, proofs = in_turn(
        stage, scale.runs, lambda: stage.run(reading, folder, 600), lambda: stage.run(verify, folder, 600)
    )
    for read, proved in zip(reads, proofs, strict=True):
        report = json.loads(proved.stdout)
        rows = sum(topic["files"]["rows"] for topic in report["topics"])
        if report["verdict"] != "proven" or not rows == json.loads(read.stdout)["rows"] == load.events:
            raise SystemExit(f"verify: {report['verdict']}, {rows} rows; pyarrow: {read.stdout}; expected {load.events}")
    inside = [json.loads(read.stdout) for read in reads]
    wall = [proved.wall_secs / read["wall_secs"] for proved, read in zip(proofs, inside, strict=True)]
    cpu = [proved.cpu_secs / read["cpu_secs"] for proved, read in zip(proofs, inside, strict=True)]
    return [
        Figure("proof", "time of verify over pyarrow's reading", "x", wall),
        Figure("proof", "CPU of verify over pyarrow's reading", "x", cpu),
        Figure("proof", "peak RSS", "MiB", [max(cost.peak_rss_bytes for cost in proofs) / MIB], at_most=RSS_MIB_MAX, judged=scale.judged),
    ]


# Without the start of the interpreter and its imports, which a longer read would hide.
READ = """
import json, time
import pyarrow.dataset as ds
began, cpu, rows = time.monotonic(), time.process_time(), 0
dataset = ds.dataset({root!r}, format="parquet", partitioning="hive")
for batch in dataset.to_batches(columns=["_kafka_partition", "_kafka_offset", "timestamp"]):
    rows += batch.num_rows
print(json.dumps(dict(rows=rows, wall_secs=time.monotonic() - began, cpu_secs=time.process_time() - cpu)))
"""
