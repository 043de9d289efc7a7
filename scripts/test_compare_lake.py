#!/usr/bin/env python3
"""The comparison itself, held against lakes that are broken on purpose: each kind of damage must be found."""

import contextlib
import datetime
import io
import json
import pathlib
import tempfile
import unittest

import pyarrow
import pyarrow.parquet

import compare_lake

UTC = datetime.timezone.utc
HOUR = datetime.datetime(2026, 3, 1, 10, tzinfo=UTC)
CONFIG = '[[topics]]\nname = "clicks"\nschema = "clicks.schema.json"\nevent_time = "at"\n'
SCHEMA = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "at": {"type": "string", "format": "date-time"},
        "note": {"type": ["string", "null"]},
        "value": {"type": "number"},
    },
}
KAFKA_MILLIS = 1_772_360_000_123
LANDED = pyarrow.schema([
    ("id", pyarrow.int64()), ("at", pyarrow.timestamp("us", "UTC")), ("note", pyarrow.string()),
    ("value", pyarrow.float64()), ("_kafka_partition", pyarrow.int32()), ("_kafka_offset", pyarrow.int64()),
    ("_kafka_timestamp", pyarrow.timestamp("us", "UTC")),
])
REFUSED = pyarrow.schema([
    ("key", pyarrow.binary()), ("payload", pyarrow.binary()), ("code", pyarrow.string()), ("field", pyarrow.string()),
    ("expected", pyarrow.string()), ("found", pyarrow.string()), ("_kafka_partition", pyarrow.int32()),
    ("_kafka_offset", pyarrow.int64()), ("_kafka_timestamp", pyarrow.timestamp("us", "UTC")),
])


def event(n):
    at = HOUR + datetime.timedelta(seconds=n, microseconds=n)
    return {"id": n, "at": at.isoformat().replace("+00:00", "Z"), "note": None if n % 2 else f"n{n}", "value": n / 4}


class Lake:
    """Ten good records and two broken ones, whole until a case does something to it."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        base = {"topic": "clicks", "partition": 0, "timestamp": KAFKA_MILLIS, "key": "k"}
        self.sent = [base | {"offset": n, "valid": True, "payload": json.dumps(event(n))} for n in range(10)]
        self.sent.append(base | {"offset": 10, "valid": False, "fault": "not_json", "payload": "oops"})
        self.sent.append(base | {"offset": 11, "valid": False, "fault": "invalid_utf8", "payload_base64": "/w=="})
        kafka = datetime.datetime.fromtimestamp(KAFKA_MILLIS / 1000, UTC)
        positions = [{"_kafka_partition": 0, "_kafka_offset": n, "_kafka_timestamp": kafka} for n in range(12)]
        self.rows = [
            event(n) | {"at": datetime.datetime.fromisoformat(event(n)["at"])} | positions[n] for n in range(10)
        ]
        reason = {"key": b"k", "code": "malformed_json", "field": "", "expected": "JSON", "found": "oops"}
        self.refused = [reason | {"payload": b"oops"} | positions[10], reason | {"payload": b"\xff"} | positions[11]]
        self.hour = "date=2026-03-01/hour=10"

    def faults(self):
        (self.folder / "config.toml").write_text(CONFIG)
        (self.folder / "clicks.schema.json").write_text(json.dumps(SCHEMA))
        (self.folder / "deliveries.jsonl").write_text("".join(json.dumps(sent) + "\n" for sent in self.sent))
        for kind, rows, schema in (("parquet", self.rows, LANDED), ("rejected", self.refused, REFUSED)):
            path = self.folder / "data" / kind / "clicks" / self.hour / "file.parquet"
            path.parent.mkdir(parents=True)
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema), path)
        said = io.StringIO()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
            compare_lake.compare(self.folder / "config.toml", self.folder / "deliveries.jsonl", self.folder)
        return [line.removeprefix("FAULT ").split(":")[0] for line in said.getvalue().splitlines() if "FAULT" in line]


class Damage(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.lake = Lake(folder.name)

    def assert_found(self, *kinds):
        self.assertEqual(self.lake.faults(), list(kinds))

    def test_a_whole_lake_has_no_fault(self):
        self.assert_found()

    def test_a_row_is_missing(self):
        self.lake.rows.pop(4)
        self.assert_found("a valid record is missing")

    def test_a_row_is_there_twice(self):
        self.lake.rows.append(self.lake.rows[4])
        self.assert_found("a row is there twice")

    def test_one_row_is_lost_and_another_doubled(self):
        self.lake.rows[4] = self.lake.rows[5]
        self.assert_found("a row is there twice", "a valid record is missing")

    def test_a_text_is_altered(self):
        self.lake.rows[4]["note"] = "n5"
        self.assert_found("a field was altered")

    def test_a_time_is_one_microsecond_off(self):
        self.lake.rows[4]["at"] += datetime.timedelta(microseconds=1)
        self.assert_found("a field was altered")

    def test_a_null_became_a_value(self):
        self.lake.rows[5]["note"] = ""
        self.assert_found("a field was altered")

    def test_kafkas_timestamp_is_off(self):
        self.lake.rows[5]["_kafka_timestamp"] += datetime.timedelta(milliseconds=1)
        self.assert_found("Kafka's timestamp was altered")

    def test_a_row_nobody_sent(self):
        self.lake.rows.append(self.lake.rows[4] | {"_kafka_offset": 99})
        self.assert_found("a row that nobody sent")

    def test_the_wrong_folder(self):
        self.lake.hour = "date=2026-03-01/hour=11"
        self.assertIn("an event is in the wrong time partition", self.lake.faults())

    def test_a_broken_record_is_missing(self):
        self.lake.refused.pop()
        self.assert_found("a broken record is missing (invalid_utf8)")

    def test_its_bytes_were_altered(self):
        self.lake.refused[1]["payload"] = b"\xef\xbf\xbd"
        self.assert_found("a rejected record's payload was altered")

    def test_it_has_no_reason(self):
        self.lake.refused[0]["code"] = ""
        self.assert_found("a rejected record has no reason")

    def test_a_valid_record_was_rejected(self):
        self.lake.rows.pop(4)
        self.lake.refused.append(self.lake.refused[0] | {"_kafka_offset": 4})
        self.assert_found("a valid record was rejected")


if __name__ == "__main__":
    unittest.main()
