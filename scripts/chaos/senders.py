"""Producers of the topics of a round, each on a thread of its own, with its own account of what the broker confirmed."""

import bisect
import dataclasses
import functools
import json
import random
import threading
import time
import traceback

from confluent_kafka import KafkaError, KafkaException, Producer

HOUR_MICROS = 3_600_000_000
SLIPS_MAX = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Sent:
    """A record as it was sent. `kind`: accepted, rejected, or tombstone."""

    life: int
    partition: int
    number: int
    kind: str
    payload: bytes | None
    at_micros: int
    timestamp_millis: int


def record(life, partition, number, draw):
    """The payload decides what must become of it; the time partitions are a few."""
    now = time.time_ns() // 1000
    at = now - draw.choice((0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 30)) * HOUR_MICROS
    millis = now // 1000
    luck = draw.random()
    if luck < 0.03:
        return Sent(life, partition, number, "tombstone", None, at, millis)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at // 1_000_000)) + f".{at % 1_000_000:06}Z"
    if luck > 0.97:
        payload = json.dumps({"id": number, "at": stamp, "kind": "unheard of"})
        return Sent(life, partition, number, "rejected", payload.encode(), at, millis)
    note = "" if luck < 0.5 else f"n° {number} " + "x" * draw.randrange(40)
    payload = json.dumps({"id": number, "at": stamp, "kind": draw.choice(("plain", "odd")), "note": note})
    return Sent(life, partition, number, "accepted", payload.encode(), at, millis)


class Sender(threading.Thread):
    """Sends to one topic until it is ended. Who holds its turn stops it, with everything before confirmed after a flush."""

    transactional = False

    def __init__(self, address, topic, partitions, rate, seed, keys=0):
        super().__init__(daemon=True)
        self.address, self.topic, self.rate, self.keys = address, topic, rate, keys
        self.partitions = partitions
        self.life, self.life_starts = 0, [0]
        # Of each partition, what was deleted by retention: [[from, next], ...]
        self.deleted = {}
        # (life, partition, offset) -> Sent, as the broker confirmed it
        self.delivered = {}
        # Everything by its number, confirmed or not.
        self.sent = []
        self.number = 0
        self.draw = random.Random(seed)
        self.ending = threading.Event()
        self.turn = threading.Lock()
        self.failure = None
        self.slips = 0
        self.producer = self.new_producer()

    def settings(self):
        return {
            "bootstrap.servers": self.address, "enable.idempotence": True, "linger.ms": 5, "log_level": 2,
            "message.timeout.ms": 300_000, "reconnect.backoff.max.ms": 500,
        }

    def new_producer(self):
        return Producer(self.settings())

    def run(self):
        try:
            while not self.ending.is_set():
                with self.turn:
                    self.send_a_few()
                self.ending.wait(0.05)
            with self.turn:
                self.flush()
        except Exception as error:  # noqa: BLE001  Told by the thread that waits for this one.
            traceback.print_exc()
            self.failure = error

    def send_a_few(self):
        try:
            self.send(max(1, int(self.rate * 0.05)))
        except SystemError:
            # The client library slipped (once in some thousand faults it raises what is no exception). Whether the record was
            # sent, Kafka says; a library that does nothing else is a failure all the same.
            traceback.print_exc()
            self.slips += 1
            if self.slips > SLIPS_MAX:
                raise

    def send(self, count):
        for _ in range(count):
            self.send_one(self.producer)
        self.producer.poll(0)

    def send_one(self, producer):
        sent = record(self.life, self.draw.randrange(self.partitions), self.number, self.draw)
        self.sent.append(sent)
        self.number += 1
        key = f"key-{sent.number % self.keys}" if self.keys else f"{sent.number}"
        produce = functools.partial(
            producer.produce, self.topic, value=sent.payload, key=key, partition=sent.partition,
            timestamp=sent.timestamp_millis, on_delivery=functools.partial(self.confirm, sent),
        )
        try:
            produce()
        except KafkaException as error:
            # A partition that was added a moment ago is not known before the topic is asked for again.
            if error.args[0].code() != KafkaError._UNKNOWN_PARTITION:
                raise
            producer.list_topics(self.topic, timeout=30)
            produce()

    def confirm(self, sent, error, message):
        if error is not None:
            self.failure = KafkaException(error)
        # A broker that was killed may confirm a batch that it had already, and not know any more where.
        elif message.offset() >= 0:
            self.delivered[(sent.life, message.partition(), message.offset())] = sent

    def flush(self):
        deadline = time.monotonic() + 120
        while self.producer.flush(1):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.topic}: records are not confirmed after 120 s")

    def burst(self, count):
        """Sends that many at once, and waits for them."""
        with self.turn:
            self.burst_in_turn(count)

    def burst_in_turn(self, count):
        for _ in range(count):
            self.send_one(self.producer)
        self.flush()

    def begin_life(self, partitions):
        """The topic was created again: another producer, for this one remembers the topic as it was."""
        self.life, self.partitions = self.life + 1, partitions
        self.life_starts.append(self.number)
        self.producer = self.new_producer()

    def life_of_number(self, number):
        return bisect.bisect_right(self.life_starts, number) - 1

    def end(self):
        self.ending.set()

    def finish(self):
        self.join(timeout=180)
        if self.is_alive():
            raise RuntimeError(f"{self.topic}: the sender does not end")
        if self.failure:
            raise RuntimeError(f"{self.topic}: {self.failure!r}")


class TransactionalSender(Sender):
    """Sends in transactions, some of which are aborted. Its account does not tell which are: Kafka itself does."""

    transactional = True

    def __init__(self, *arguments, **named):
        self.aborted = self.committed = 0
        super().__init__(*arguments, **named)

    def settings(self):
        return super().settings() | {"transactional.id": self.topic, "transaction.timeout.ms": 60_000, "message.timeout.ms": 60_000}

    def new_producer(self):
        producer = super().new_producer()
        self.until_done(lambda: producer.init_transactions(30))
        return producer

    def until_done(self, step):
        """A step that failed for the moment is done again. Other errors are the caller's."""
        deadline = time.monotonic() + 120
        while True:
            try:
                return step()
            except KafkaException as error:
                fault = error.args[0]
                if not fault.retriable() or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def send(self, count):
        """One transaction of a few records, so that control records are many."""
        try:
            self.producer.begin_transaction()
            for _ in range(self.draw.randint(1, 2 * count)):
                self.send_one(self.producer)
            if self.draw.random() < 0.3:
                self.abort()
            else:
                self.until_done(lambda: self.producer.commit_transaction(30))
                self.committed += 1
        except KafkaException as error:
            self.recover(error.args[0])

    def recover(self, fault):
        if fault.txn_requires_abort():
            try:
                return self.abort()
            except KafkaException:
                # A broker that was killed may have ended the transaction by itself.
                pass
        # Fenced or confused: a new producer of the same name ends what this one left open.
        self.producer = self.new_producer()

    def abort(self):
        self.until_done(lambda: self.producer.abort_transaction(30))
        self.aborted += 1

    def confirm(self, sent, error, message):
        # A record of an aborted transaction may be purged before it was sent.
        if error is None and message.offset() < 0:
            return
        if error is None:
            self.delivered[(sent.life, message.partition(), message.offset())] = sent
        elif error.code() not in (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT, KafkaError._MSG_TIMED_OUT):
            # What is fatal to the producer is told again by its next step, which then takes a new one.
            is_passing = error.retriable() or error.txn_requires_abort() or error.fatal()
            self.failure = self.failure or (None if is_passing else KafkaException(error))

    def burst_in_turn(self, count):
        self.send(count // 2)
