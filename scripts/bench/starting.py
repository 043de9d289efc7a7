"""From the start of the program to its partitions assigned, with a log of 100,000 commits."""

import datetime
import hashlib
import json
import os
import uuid

from cost import Daemon
from figures import Figure
from stage import Load

COMMIT_EVERY_SECS = 10
LINKS_MAX = 30_000


def start(stage, scale):
    """Joining the group is the same for a lake of one commit, started in turn: what is left is the log's."""
    # Topics of their own for each run: the log is made for offsets that the topic must have.
    short = Load("start-short", 1, partitions=1)
    long = Load("start", scale.commits + 1, partitions=1)
    stage.load(short)
    stage.load(long)
    _, base = stage.ingest(short, keep=True)
    folder = first_commit(stage, long)
    stage.say(f"  making a log of {scale.commits:,} commits")
    lengthen(folder, long.names[0], scale.commits, landed_file(base, short.names[0]))
    # A first start folds all of it and writes the snapshot that a program which had run so long would have.
    with Daemon(stage, folder) as daemon:
        cold = daemon.wait_until_assigned(1, limit_secs=900)
    if not list((log(folder, long.names[0]) / "snapshots").glob("*.json")):
        raise SystemExit("the first start left no snapshot: what comes would not be measured as it is in use")
    times = []
    for _ in range(scale.runs):
        starts = []
        for lake in (base, folder):
            with Daemon(stage, lake) as daemon:
                starts.append(daemon.wait_until_assigned(1))
        times.append(starts[1] - starts[0])
    stage.eventlake(folder, "ingest", "--until-end", limit_secs=300)
    if not landed(folder, long.names[0]) == long.events:
        raise SystemExit(f"the program did not go on from the log that was made: {landed(folder, long.names[0])}")
    what = f"start to assignment after {scale.commits:,} commits, without joining"
    return [
        Figure("start", what, "s", times, at_most=1, judged=scale.judged),
        Figure("start", "the very first, without a snapshot", "s", [cold]),
    ]


def first_commit(stage, load):
    """A lake whose program has just opened the topic's generation: nothing landed yet."""
    folder = stage.lake(load, roll_interval="1d")
    with Daemon(stage, folder, killed=True) as daemon:
        daemon.wait_until_assigned(1)
    # The group would wait for the member that was killed.
    config = folder / "eventlake.toml"
    config.write_text(config.read_text().replace('group = "bench-', 'group = "bench-start-'))
    return folder


def log(folder, topic):
    return folder / "checkpoints" / topic


def landed_file(folder, topic):
    """The one file of a lake: its content, and what its commit says of it."""
    (path,) = (folder / "data/parquet" / topic).rglob("*.parquet")
    commit = json.loads(max(log(folder, topic).glob("*.json")).read_text())
    return path.read_bytes(), commit["append"]["files"][0]


def lengthen(folder, topic, commits, landed):
    """Appends commits of one event and one file each, as docs/commit-log.md has them, 10 s apart up to now.

    Each file is the same one that the program made of one event: a start asks whether a file is there.
    """
    content, known = landed
    (path,) = log(folder, topic).glob("*.json")
    opened = json.loads(path.read_text())
    topic_id, previous = opened["generation"]["topic_id"], opened["checksum"]
    now = datetime.datetime.now(datetime.timezone.utc)
    for number in range(2, commits + 2):
        time = now - datetime.timedelta(seconds=(commits + 2 - number) * COMMIT_EVERY_SECS)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z")
        stage = uuid.UUID(int=(number << 80) | (7 << 76) | (2 << 62) | number)
        name = f"{topic}/date={time:%Y-%m-%d}/hour={time:%H}/{stage}-0000-{topic_id}.parquet"
        place(folder / "data/parquet" / name, content, number)
        micros = int(time.timestamp()) * 1_000_000
        file = {
            "set": "accepted", "path": name, "generation": 1, "stage": str(stage), "bytes": len(content), "rows": 1, "sha256": known["sha256"],
            "offsets": [{"partition": 0, "from": number - 2, "next": number - 1, "rows": 1}],
            "times": {"min_micros": micros, "max_micros": micros}, "schema_version": known["schema_version"],
        }
        taken = {"partition": 0, "from": number - 2, "next": number - 1, "accepted": 1, "rejected": 0}
        record = {
            "format": 1, "number": number, "kind": "append", "topic": topic, "writer": "bench", "attempt": str(uuid.UUID(int=number)),
            "time": stamp, "previous": previous, "append": {"generation": 1, "partitions": [taken], "files": [file]},
        }
        previous = write(log(folder, topic) / f"{number:020}.json", record)


def write(path, record):
    body = json.dumps(record, separators=(",", ":"))[:-1]
    checksum = hashlib.sha256(body.encode()).hexdigest()
    path.write_text(f'{body},"checksum":"{checksum}"}}\n')
    return checksum


def place(path, content, number):
    """A link to one of a few copies, since a file system allows only so many links."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source = path.parents[2] / f"source-{number // LINKS_MAX}"
    if not source.exists():
        source.write_bytes(content)
    os.link(source, path)


def landed(folder, topic):
    last = max(log(folder, topic).glob("*.json"))
    return json.loads(last.read_text())["append"]["partitions"][0]["next"]
