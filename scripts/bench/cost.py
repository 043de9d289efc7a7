"""What landing a backlog costs: beside a bare drain of the same topics, and beside the plain case."""

import re
import signal
import subprocess
import time

import measured
from figures import Figure, ratios
from stage import Load

RSS_MIB_MAX = 512
MIB = 1024 * 1024


def plain_load(scale):
    return Load("plain", scale.events, generated=True)


def in_turn(stage, runs, one, other):
    """Runs the two one after the other, so many times: what the machine does besides strikes both."""
    first, second = [], []
    for number in range(runs):
        first.append(one())
        second.append(other())
        stage.say(f"  {number + 1} of {runs}")
    return first, second


def peak(case, costs, scale, limit=RSS_MIB_MAX):
    """The one figure where the worst of the runs counts, not the median."""
    return Figure(case, "peak RSS", "MiB", [max(cost.peak_rss_bytes for cost in costs) / MIB], at_most=limit, judged=scale.judged)


def over_drain(stage, scale, case, load, cpu_max, speed_min, speed):
    stage.load(load)
    drains, ingests = in_turn(stage, scale.runs, lambda: stage.drain(load), lambda: stage.ingest(load)[0])
    cpu = ratios([cost.cpu_secs for cost in ingests], [cost.cpu_secs for cost in drains])
    pace = ratios([cost.wall_secs for cost in drains], [cost.wall_secs for cost in ingests])
    per_event = [cost.cpu_secs / load.events * 1e6 for cost in ingests]
    scale.ingest_events_a_sec = scale.ingest_events_a_sec or load.events / min(cost.wall_secs for cost in ingests)
    return [
        Figure(case, "CPU per event over the drain", "x", cpu, at_most=cpu_max, judged=scale.judged),
        Figure(case, speed, "x", pace, at_least=speed_min, judged=scale.judged),
        Figure(case, "CPU per event, drain", "us", [cost.cpu_secs / load.events * 1e6 for cost in drains]),
        Figure(case, "CPU per event, ingest", "us", per_event),
        peak(case, ingests, scale),
    ]


def plain(stage, scale):
    return over_drain(stage, scale, "plain", plain_load(scale), 1.5, 0.7, "events/s over the drain")


def nested(stage, scale):
    load = Load("nested", scale.events // 4, shape="order")
    found = stage.load(load)
    stage.say(f"  {found['payload_bytes'] / load.events:.0f} bytes of JSON an event")
    return over_drain(stage, scale, "nested", load, None, 0.6, "MB/s of JSON over the drain")


def shuffled(stage, scale):
    load = Load("shuffled", scale.events, partitions=64, hours=200)
    return over_plain(stage, scale, "shuffled", load, 1.5)[0]


def topics(stage, scale):
    load = Load("topics", scale.events, partitions=5, topics=scale.topics)
    figures, folder = over_plain(stage, scale, "topics", load, 1.3, keep=True)
    share = idle_cpu(stage, folder, load.topics * load.partitions, scale.idle_secs)
    return [*figures, Figure("topics", "idle CPU, of a core", "%", [share * 100], at_most=2, judged=scale.judged)]


def over_plain(stage, scale, case, load, cpu_max, keep=False):
    base = plain_load(scale)
    stage.load(base)
    stage.load(load)
    folders = []

    def ingest():
        cost, folder = stage.ingest(load, keep=keep)
        folders.append(folder)
        return cost

    plains, ingests = in_turn(stage, scale.runs, lambda: stage.ingest(base)[0], ingest)
    cpu = ratios([cost.cpu_secs for cost in ingests], [cost.cpu_secs for cost in plains])
    figures = [
        Figure(case, "CPU per event over the plain case", "x", cpu, at_most=cpu_max, judged=scale.judged),
        Figure(case, "CPU per event, ingest", "us", [cost.cpu_secs / load.events * 1e6 for cost in ingests]),
        peak(case, ingests, scale),
    ]
    return figures, folders[-1]


def idle_cpu(stage, folder, partitions, secs):
    """The share of a core that the daemon takes when everything has landed and nothing comes."""
    with Daemon(stage, folder) as daemon:
        daemon.wait_until_assigned(partitions)
        # The first roll intervals still tidy up.
        time.sleep(min(secs, 15))
        used, began = measured.cpu_secs(daemon.pid), time.monotonic()
        time.sleep(secs)
        return (measured.cpu_secs(daemon.pid) - used) / (time.monotonic() - began)


class Daemon:
    """`eventlake ingest` until the block ends; then it is killed, or stops as on SIGTERM and must stop well."""

    def __init__(self, stage, folder, killed=False):
        self.killed = killed
        self.command, self.log = stage.command(folder, "ingest"), folder / "daemon.log"
        self.folder = folder

    def __enter__(self):
        self.began = time.monotonic()
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen(self.command, cwd=self.folder, env=measured.environment({}), stdin=subprocess.DEVNULL, stderr=log)
        self.pid = self.child.pid
        return self

    def wait_until_assigned(self, partitions, limit_secs=300):
        """Seconds from its start until it said that so many partitions are assigned."""
        while time.monotonic() < self.began + limit_secs:
            found = self.log.read_text(errors="replace")
            if sum(int(count) for count in re.findall(r"partitions assigned.*partitions=(\d+)", found)) >= partitions:
                return time.monotonic() - self.began
            if self.child.poll() is not None:
                break
            time.sleep(0.002)
        raise SystemExit(f"the daemon did not get its {partitions} partitions:\n{measured.tail(self.log)}")

    def __exit__(self, kind, *_):
        if self.killed:
            self.child.kill()
            self.child.wait()
            return
        self.child.send_signal(signal.SIGTERM)
        try:
            code = self.child.wait(timeout=120)
        except subprocess.TimeoutExpired:
            self.child.kill()
            code = self.child.wait()
        if kind is None and code != 0:
            raise SystemExit(f"the daemon ended with {code}:\n{measured.tail(self.log)}")
