"""One round: a lake and topics of its own, three writers under faults, then the rest in peace, then the verdict."""

import json
import random
import subprocess
import time

import faults
import measured
import tamper
import truth
from senders import Sender, TransactionalSender
from writers import Writer, run_to_end

SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["id", "at", "kind"],
    "properties": {
        "id": {"type": "integer", "minimum": 0},
        "at": {"type": "string", "format": "date-time"},
        "kind": {"enum": ["plain", "odd"]},
        "note": {"type": "string"},
    },
}

COMPACTED = {
    "cleanup.policy": "compact", "segment.bytes": "1048576", "segment.ms": "1000", "max.compaction.lag.ms": "1000",
    "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": "0",
}

# Base name: (partitions, records a second, keys, topic settings).
TOPICS = {
    "steady": (12, 250, 0, {}),
    "growing": (2, 150, 0, {}),
    "transactions": (4, 100, 0, {}),
    "compacted": (3, 100, 40, COMPACTED),
    "reborn": (2, 100, 0, {}),
    "expiring": (2, 100, 0, {}),
}

# How partitions are handed over: the strategy, and whether each place keeps its membership.
MEMBERSHIPS = [("cooperative-sticky", False), ("range", False), ("cooperative-sticky", True), ("range", True)]


class Round:
    def __init__(self, seed, broker, proxies, work, kills, proves):
        self.seed, self.broker, self.work, self.kills = seed, broker, work, kills
        # Whether the verdict is held against damaged lakes, too.
        self.proves = proves
        self.draw = random.Random(seed)
        self.strategy, self.static = self.draw.choices(MEMBERSHIPS, (35, 15, 35, 15))[0]
        self.tag = f"{seed}-{time.time_ns() // 1_000_000 % 10**8}"
        self.settings = {
            "EVENTLAKE_CONFIG": str(work / "eventlake.toml"),
            "EVENTLAKE_HTTP_LISTEN": "off",
            "NO_COLOR": "1",
        }
        work.mkdir(parents=True)
        self.write_configuration()
        own = lambda number: {"EVENTLAKE_KAFKA_PROPERTIES_GROUP_INSTANCE_ID": f"writer-{number}"} if self.static else {}
        self.writers = [
            Writer(number, proxy, work, self.settings | own(number)) for number, proxy in enumerate(proxies)
        ]
        self.senders = {}

    def topic(self, base):
        return f"{base}-{self.tag}"

    def write_configuration(self):
        (self.work / "events.schema.json").write_text(json.dumps(SCHEMA))
        topics = "".join(
            f'\n[[topics]]\nname = "{self.topic(base)}"\ntable = "{base}"\nschema = "events.schema.json"\nevent_time = "at"\n'
            for base in TOPICS
        )
        (self.work / "eventlake.toml").write_text(f"""[kafka]
brokers = "127.0.0.1:1"
group = "chaos-{self.tag}"

[kafka.properties]
"partition.assignment.strategy" = "{self.strategy}"
"session.timeout.ms" = {int(faults.SESSION_SECS * 1000)}
"heartbeat.interval.ms" = 300
"max.poll.interval.ms" = 20000
"topic.metadata.refresh.interval.ms" = 1000
"socket.timeout.ms" = 10000
"reconnect.backoff.max.ms" = 500

[lake]
roll_interval = "300ms"
on_data_loss = "record"
snapshot_every = 20
log_retention = "3s"
{topics}""")

    def run(self):
        """Raises on a refutation; gives back what was counted and what was found."""
        began = time.monotonic()
        self.create_topics()
        for sender in self.senders.values():
            sender.start()
        counted = faults.Faults(self.draw, self.writers, self.broker, self.senders, self.work, print)
        try:
            self.rage(counted)
            counted.settle()
            for sender in self.senders.values():
                sender.end()
            for sender in self.senders.values():
                sender.finish()
            for writer in self.writers:
                if writer.runs():
                    writer.end()
            raged = time.monotonic()
            run_to_end(self.work, self.settings, self.broker.address, 120)
            found = self.verdict()
        finally:
            for sender in self.senders.values():
                sender.end()
            for writer in self.writers:
                writer.proxy.mend()
                if writer.runs():
                    writer.kill()
        transactional = self.senders["transactions"]
        counted.tally["transactions aborted"] = transactional.aborted
        counted.tally["transactions committed"] = transactional.committed
        counted.tally["seconds under faults"] = int(raged - began)
        return counted.tally, found

    def create_topics(self):
        for number, (base, (partitions, rate, keys, settings)) in enumerate(TOPICS.items()):
            self.broker.create(self.topic(base), partitions, settings)
            kind = TransactionalSender if base == "transactions" else Sender
            self.senders[base] = kind(
                self.broker.address, self.topic(base), partitions, rate, self.seed * 10 + number, keys=keys
            )

    def rage(self, counted):
        for writer in self.writers:
            writer.start()
        counted.run_due(time.monotonic() + 3)
        while counted.tally["kills"] < self.kills:
            counted.one()
            counted.run_due(time.monotonic() + self.draw.uniform(0.2, 2.0))
            for sender in self.senders.values():
                if sender.failure:
                    raise RuntimeError(f"{sender.topic}: {sender.failure!r}")

    def verdict(self):
        """Holds each topic's lake against the truth, and once a run the verdict itself against lakes that are damaged."""
        found = {}
        for base, sender in self.senders.items():
            left = self.broker.left(sender.topic)
            found[base] = truth.Check(self.work, base, sender, left).run()
            found[base]["delivered"] = len(sender.delivered)
            if self.proves and base in ("steady", "transactions"):
                tamper.prove(self.work, base, sender, left)
        self.verify(found)
        return found

    def verify(self, found):
        """The program's own verdict must be the same, topic by topic; lost offsets are never called proven."""
        done = subprocess.run(
            [measured.binary(), "verify", "--json"], capture_output=True, text=True, check=False, cwd=self.work,
            env=measured.environment(self.settings | {"EVENTLAKE_KAFKA_BROKERS": self.broker.address}),
        )
        (self.work / "verify.json").write_text(done.stdout)
        (self.work / "verify.log").write_text(done.stderr)
        if not done.stdout:
            raise truth.Refuted(f"eventlake verify ended with {done.returncode}: {done.stderr[-500:]}")
        lost = 0
        for topic in json.loads(done.stdout)["topics"]:
            ours = found[topic["table"]]
            lost += ours["lost"]
            expected = {
                "verdict": "lost" if ours["lost"] else "proven", "accepted": ours["rows"], "rejected": ours["rejected"],
                "lost": ours["lost"], "missing": 0,
            }
            theirs = {"verdict": topic["verdict"], **{name: topic["offsets"][name] for name in list(expected)[1:]}}
            if theirs != expected:
                raise truth.Refuted(f"{topic['topic']}: eventlake verify found {theirs}, the round found {expected}")
        if done.returncode != (1 if lost else 0):
            raise truth.Refuted(f"eventlake verify ended with {done.returncode}, with {lost} offsets lost")
