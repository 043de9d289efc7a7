"""What users would pick instead, on the plain case's topic: each installed into a folder of its own, and its rows checked."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import measured
from cost import MIB, plain_load
from figures import Figure, ratios
from stage import Load, check_rows

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "eventlake"
HERE = pathlib.Path(__file__).resolve().parent
SPARK = "3.5.7"
PEERS = {
    # name: (its packages, how many times dearer than eventlake it is to be at least)
    "spark": ([f"pyspark=={SPARK}"], 4.0),
    "python": (["confluent-kafka==2.16.1", "orjson==3.13.0", "pyarrow==26.0.1"], 2.7),
}
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>eventlake</groupId><artifactId>spark-for-the-benchmark</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies><dependency>
    <groupId>org.apache.spark</groupId><artifactId>spark-sql-kafka-0-10_2.12</artifactId><version>{version}</version>
    <exclusions><exclusion><groupId>org.apache.spark</groupId><artifactId>spark-sql_2.12</artifactId></exclusion></exclusions>
  </dependency></dependencies>
</project>
"""


def compare(stage, scale, names):
    """Drain, eventlake and each peer in turn; and each on a quarter of the events, for what an event costs at the margin."""
    installed = {name: install(stage, name) for name in names}
    loads = (plain_load(scale), Load("short", scale.events // 4, generated=True))
    costs = {}
    for load in loads:
        stage.load(load)
        for number in range(scale.runs):
            ran = {"drain": stage.drain(load), "eventlake": stage.ingest(load)[0]}
            ran |= {name: land(stage, name, installed[name], load) for name in names}
            for name, cost in ran.items():
                costs.setdefault((name, load.name), []).append(cost)
            stage.say(f"  {load.events:,} events: {number + 1} of {scale.runs}")
    found = []
    for name in ("eventlake", *names):
        found += figures_of(name, costs, loads, scale)
    return found


def figures_of(name, costs, loads, scale):
    whole, short = loads
    drains, ours, theirs = (cpu(costs[(who, whole.name)]) for who in ("drain", "eventlake", name))
    margin = [
        (long - less) / (whole.events - short.events) * whole.events
        for long, less in zip(theirs, cpu(costs[(name, short.name)]), strict=True)
    ]
    runs = costs[(name, whole.name)]
    found = [
        Figure(name, "CPU per event over the drain", "x", ratios(theirs, drains)),
        Figure(name, "marginal CPU per event over the drain", "x", ratios(margin, drains)),
        Figure(name, "events/s", "k/s", [whole.events / cost.wall_secs / 1e3 for cost in runs]),
        Figure(name, "peak RSS", "MiB", [max(cost.peak_rss_bytes for cost in runs) / MIB]),
    ]
    if name == "eventlake":
        return found
    least = PEERS[name][1]
    # Spark's start is dear: its marginal cost is what is held against all that eventlake costs.
    what, values = ("marginal CPU", margin) if name == "spark" else ("CPU", theirs)
    return [*found, Figure(name, f"{what} per event over eventlake's", "x", ratios(values, ours), at_least=least, judged=scale.judged)]


def cpu(costs):
    return [cost.cpu_secs for cost in costs]


def land(stage, name, installed, load):
    folder = stage.work / f"peer-{name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    topic = load.names[0]
    python, jars = installed
    command = [str(python), str(HERE / f"peer_{name}.py"), stage.brokers, topic, str(folder / topic), str(jars)]
    cost = stage.run(command, folder, 3600)
    events = json.loads(cost.stdout.splitlines()[-1])["events"]
    if events != load.events:
        sys.exit(f"{name} says that it took {events} events, expected {load.events}")
    check_rows(folder, [topic], "kafka_partition", "kafka_offset", load.events)
    shutil.rmtree(folder)
    return cost


def install(stage, name):
    """A virtual environment and, for Spark, the jars of its Kafka source from Maven Central."""
    packages, _ = PEERS[name]
    folder = CACHE / f"peer-{name}"
    python, jars, done = folder / "venv/bin/python", folder / "jars", folder / "installed"
    if not done.exists() or done.read_text() != repr(packages):
        stage.say(f"installing {name} into {folder}")
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
        if name == "spark":
            jars.mkdir()
            (folder / "pom.xml").write_text(POM.format(version=SPARK))
            copy = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
            maven = ["mvn", "-B", "-q", "-f", folder / "pom.xml", copy, "-DincludeScope=runtime", f"-DoutputDirectory={jars}"]
            subprocess.run(maven, check=True, stdout=sys.stderr)
        done.write_text(repr(packages))
    return python, jars
