"""The real Kafka of a run: started, killed and asked by its direct address, where no proxy is in between."""

import os
import pathlib
import subprocess
import threading
import time

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

SCRIPT = pathlib.Path(__file__).resolve().parent.parent / "kafka.sh"
ASK_SECS = 30


class Broker:
    def __init__(self, folder, proxies):
        self.folder = folder
        self.behind = ",".join(str(proxy.port) for proxy in proxies)
        self.address = self.script("start", "--port", "0", *self.start_flags())
        port = int(self.address.rsplit(":", 1)[1])
        for number, proxy in enumerate(proxies):
            proxy.upstream_port = port + 4 + number
        self.admin = AdminClient({"bootstrap.servers": self.address, "log_level": 2})
        # Held while the broker is down: who wants to change topics waits.
        self.up = threading.Lock()

    def start_flags(self):
        return ["--heap", "512m", "--behind", self.behind]

    def script(self, command, *flags):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("EVENTLAKE_KAFKA")}
        done = subprocess.run(
            [SCRIPT, command, "--dir", self.folder, *flags],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"kafka.sh {command} ended with {done.returncode}:\n{done.stderr}")
        return done.stdout.strip()

    def crash_and_start(self, away_secs):
        with self.up:
            self.script("crash")
            time.sleep(away_secs)
            self.script("start", *self.start_flags())

    def stop(self):
        self.script("stop")

    def done(self, futures):
        """Waits for an administrator's answers, one a topic."""
        for future in futures.values():
            future.result(timeout=ASK_SECS)

    def create(self, name, partitions, settings=None):
        # A topic that was deleted a moment ago may be on its way out still.
        self.patiently(lambda: self.done(self.admin.create_topics([NewTopic(name, partitions, 1, config=settings or {})])))

    def patiently(self, ask):
        deadline = time.monotonic() + ASK_SECS
        while True:
            try:
                return ask()
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def delete(self, name):
        self.done(self.admin.delete_topics([name]))
        deadline = time.monotonic() + ASK_SECS
        while name in self.admin.list_topics(timeout=ASK_SECS).topics:
            if time.monotonic() > deadline:
                raise RuntimeError(f"topic {name} is not gone after {ASK_SECS} s")
            time.sleep(0.1)

    def grow(self, name, partitions):
        self.patiently(lambda: self.done(self.admin.create_partitions([NewPartitions(name, partitions)])))

    def partitions(self, name):
        return sorted(self.admin.list_topics(name, timeout=ASK_SECS).topics[name].partitions)

    def delete_records(self, name, before):
        """What retention does: of each partition, every record before the offset is gone."""
        wanted = [TopicPartition(name, partition, offset) for partition, offset in before.items()]
        self.patiently(lambda: self.done(self.admin.delete_records(wanted)))

    def left(self, name):
        """What a reader of committed records finds now: {partition: (start, end, [(offset, key, value)])}."""
        consumer = Consumer({
            "bootstrap.servers": self.address, "group.id": "chaos-reader", "enable.auto.commit": False,
            "isolation.level": "read_committed", "auto.offset.reset": "error", "enable.partition.eof": True,
        })
        try:
            found = {}
            for partition in self.partitions(name):
                start, end = consumer.get_watermark_offsets(TopicPartition(name, partition), timeout=ASK_SECS)
                found[partition] = (start, end, [])
            consumer.assign([TopicPartition(name, partition, found[partition][0]) for partition in found])
            waiting = set(found)
            deadline = time.monotonic() + 120
            while waiting:
                if time.monotonic() > deadline:
                    raise RuntimeError(f"{name} cannot be read to its end: partitions {sorted(waiting)} are missing")
                for message in consumer.consume(10_000, timeout=1):
                    if message.error() is None:
                        found[message.partition()][2].append((message.offset(), message.key(), message.value()))
                    elif message.error().name() == "_PARTITION_EOF":
                        waiting.discard(message.partition())
            return found
        finally:
            consumer.close()
