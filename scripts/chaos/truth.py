"""The verdict on a round's lake: every row held against what producers delivered and what Kafka still has, by DuckDB."""

import collections
import datetime
import json

import duckdb
import fold


NAMES = ("accepted", "rejected", "tombstones", "filtered", "absent", "lost")


class Refuted(Exception):
    pass


def lake_rows(root, table):
    """{(topic id, partition, offset): row} of a glob; a row that is there twice refutes."""
    if not list((root / table).glob("**/*.parquet")):
        return {}
    files = f"read_parquet('{root / table}/**/*.parquet', filename = true)"
    described = duckdb.sql(f"DESCRIBE SELECT * FROM {files}").fetchall()
    # Times as microseconds since 1970, so that no time zone of this machine has a say.
    times = [f'epoch_us("{name}") AS "{name}"' for name, kind, *_ in described if kind == "TIMESTAMP WITH TIME ZONE"]
    cursor = duckdb.execute(f"SELECT * REPLACE ({', '.join(times)}) FROM {files}")
    names = [column[0] for column in cursor.description]
    rows = {}
    for values in cursor.fetchall():
        row = dict(zip(names, values, strict=True))
        # <uuid: five groups>-<sequence>-<topic id>.parquet
        topic_id = row["filename"].rsplit("/", 1)[1].removesuffix(".parquet").split("-", 6)[6]
        position = (topic_id, row["_kafka_partition"], row["_kafka_offset"])
        if position in rows:
            raise Refuted(f"{position} is there twice: {rows[position]['filename']} and {row['filename']}")
        rows[position] = row
    return rows


class Check:
    """One topic of a lake that nobody writes to any more."""

    def __init__(self, work, base, sender, left):
        self.base, self.sender, self.left = base, sender, left
        self.fold = fold.read(work / "checkpoints" / sender.topic)
        self.accepted = lake_rows(work / "data/parquet", base)
        self.rejected = lake_rows(work / "data/rejected", base)
        self.work = work
        self.values = {
            (partition, offset): value for partition, (_, _, records) in left.items() for offset, _, value in records
        }
        # Positions that the broker did not confirm, and Kafka has.
        self.unconfirmed = 0

    def refute(self, what, *where):
        raise Refuted(f"{self.sender.topic}: {what}: {' '.join(str(one) for one in where)}")

    def run(self):
        self.names_of_lives()
        self.files()
        self.rows_were_sent()
        self.kafka_has_landed()
        lost = self.delivered_has_landed()
        self.account(lost)
        return {
            "rows": len(self.accepted), "rejected": len(self.rejected), "lost": lost, "void": self.fold.void,
            "generations": len(self.fold.generations), "unconfirmed": self.unconfirmed,
        }

    def names_of_lives(self):
        """Each topic id is one life, but for lives that ended before anybody saw them."""
        self.lives = fold.lives(self.fold)
        self.ids = list(self.lives)
        if any(generation.reason == "offsets_reset" for generation in self.fold.generations):
            self.refute("offsets were reset, though the topic never went back")
        self.life_of = {}
        for (topic_id, partition, offset), row in [*self.accepted.items(), *self.rejected.items()]:
            number = row["id"] if "id" in row else json.loads(bytes(row["payload"]))["id"]
            life = self.sender.life_of_number(number)
            if self.life_of.setdefault(topic_id, life) != life:
                self.refute("a file holds records of another life of the topic", topic_id, partition, offset)
        # A generation without rows: only the last one is told apart by that.
        self.life_of.setdefault(self.ids[-1], self.sender.life)
        if self.life_of[self.ids[-1]] != self.sender.life:
            self.refute("the last generation is not the topic that is there")

    def files(self):
        found = set()
        for name, folder in (("accepted", "data/parquet"), ("rejected", "data/rejected")):
            root = self.work / folder
            found |= {(name, str(path.relative_to(root))) for path in (root / self.base).glob("**/*.parquet")}
        if found != set(self.fold.live):
            self.refute("log and lake differ", *list(found ^ set(self.fold.live))[:3])

    def rows_were_sent(self):
        """Nothing is there that nobody sent; nothing was altered."""
        for kind, rows in (("accepted", self.accepted), ("rejected", self.rejected)):
            for (topic_id, partition, offset), row in rows.items():
                sent = self.sent_to(topic_id, partition, offset, row)
                where = (topic_id, partition, offset, row["filename"])
                if sent is None or sent.kind != kind:
                    self.refute(f"a row among the {kind} that was not sent as such", *where, sent)
                if row["_kafka_timestamp"] != sent.timestamp_millis * 1000:
                    self.refute("Kafka's timestamp was altered", *where)
                if kind == "rejected":
                    if bytes(row["payload"]) != sent.payload or row["code"] != "enum":
                        self.refute("a rejected record was altered", *where)
                    continue
                event = json.loads(sent.payload)
                if (row["id"], row["at"], row["kind"], row["note"]) != (
                    event["id"], sent.at_micros, event["kind"], event["note"],
                ):
                    self.refute("an event was altered", *where, sent.payload)
                folder = datetime.datetime.fromtimestamp(sent.at_micros / 1e6, datetime.UTC)
                if folder.strftime("/date=%Y-%m-%d/hour=%H/") not in row["filename"]:
                    self.refute("an event is in the wrong time partition", *where)

    def sent_to(self, topic_id, partition, offset, row):
        """What was sent to a position. A broker that is killed may take a batch in twice, and confirm it once: then Kafka
        itself is the witness, or, where it has it no longer, that the record was sent to this partition of this life."""
        life = self.life_of[topic_id]
        if sent := self.sender.delivered.get((life, partition, offset)):
            return sent
        sent = self.sender.sent[row["id"] if "id" in row else json.loads(bytes(row["payload"]))["id"]]
        still_there = life == self.sender.life and not self.was_deleted(partition, offset) and not self.sender.keys
        if still_there and self.values.get((partition, offset)) != sent.payload:
            return None
        self.unconfirmed += 1
        return sent if (sent.life, sent.partition) == (life, partition) else None

    def landed(self, topic_id, partition, offset):
        return (topic_id, partition, offset) in self.accepted or (topic_id, partition, offset) in self.rejected

    def was_deleted(self, partition, offset):
        return any(start <= offset < end for start, end in self.sender.deleted.get(partition, []))

    def kafka_has_landed(self):
        """All that Kafka still hands out is in the lake, and no other offset of a partition that lost nothing."""
        topic_id = self.ids[-1]
        for partition, (_, end, records) in self.left.items():
            place = self.fold.place(partition)
            if place.next != end:
                self.refute("the checkpoint is not the end", partition, place.next, end)
            for offset, _, value in records:
                # A broker that is killed forgets where its log started: what was deleted may be there again.
                if self.was_deleted(partition, offset):
                    continue
                if value is not None and not self.landed(topic_id, partition, offset):
                    self.refute("a record that Kafka still has is missing", partition, offset)
        if not self.sender.transactional:
            return
        there = {(partition, offset) for partition, (_, _, records) in self.left.items() for offset, _, _ in records}
        for _, partition, offset in [*self.accepted, *self.rejected]:
            if (partition, offset) not in there:
                self.refute("a record of an aborted transaction has landed", partition, offset)

    def delivered_has_landed(self):
        """All that was delivered is in the lake, as far as its life was read; gives back how many offsets were lost."""
        gone = {}
        for life, topic_id in {life: topic_id for topic_id, life in self.life_of.items()}.items():
            for partition, place in self.lives[topic_id].items():
                gone[(life, partition)] = (topic_id, place, {o for start, end in place.lost for o in range(start, end)})
        for (_, partition), (_, _, lost) in gone.items():
            for offset in lost:
                if not self.was_deleted(partition, offset):
                    self.refute("an offset is on record as lost that was never deleted", partition, offset)
        if self.sender.transactional or self.sender.keys:
            return 0
        for (life, partition, offset), sent in self.sender.delivered.items():
            topic_id, place, lost = gone.get((life, partition), (None, None, set()))
            was_read = place is not None and offset < place.next
            if not was_read:
                if life == self.sender.life:
                    self.refute("a record was never read", life, partition, offset)
                continue
            landed = self.landed(topic_id, partition, offset)
            if sent.kind != "tombstone" and landed == (offset in lost):
                self.refute("a record is missing" if not landed else "a record has landed and is lost", life, partition, offset)
        return sum(len(lost) for _, _, lost in gone.values())

    def account(self, lost_in_all):
        """The log's counts are those of the lake; what is neither row nor tombstone is absent or lost."""
        rows = {"accepted": self.accepted, "rejected": self.rejected}
        counted = {name: collections.Counter(position[:2] for position in found) for name, found in rows.items()}
        tombstones = collections.defaultdict(list)
        for (life, partition, offset), sent in self.sender.delivered.items():
            if sent.kind == "tombstone":
                tombstones[(life, partition)].append(offset)
        for (partition, offset), value in self.values.items():
            if value is None and (self.sender.life, partition, offset) not in self.sender.delivered:
                tombstones[(self.sender.life, partition)].append(offset)
        for topic_id, partitions in self.lives.items():
            for partition, place in partitions.items():
                count = {name: counted[name][(topic_id, partition)] for name in rows}
                said = {name: place.counts.get(name, 0) for name in NAMES}
                if any(said[name] != count[name] for name in count) or sum(said.values()) != place.next - place.start:
                    self.refute("the log's account is not the lake's", topic_id, partition, said, count, place)
                if self.sender.transactional or self.sender.keys or topic_id not in self.life_of:
                    continue
                offsets = tombstones[(self.life_of[topic_id], partition)]
                passed = sum(place.start <= offset < place.next for offset in offsets)
                passed -= sum(start <= offset < end for start, end in place.lost for offset in offsets)
                # Of a life that is over, nobody can say any more which tombstones the broker took in twice.
                over = self.life_of[topic_id] != self.sender.life
                if said["absent"] or said["tombstones"] != passed and not (over and said["tombstones"] > passed):
                    self.refute("offsets are called absent that Kafka had", topic_id, partition, said, passed)
        if lost_in_all and not self.sender.deleted:
            self.refute("records are lost, though none were deleted", lost_in_all)
