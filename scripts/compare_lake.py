#!/usr/bin/env python3
"""Compares a lake with the producer's own account of what it delivered, record by record and field by field.

    scripts/compare_lake.py --config config/eventlake.toml --deliveries deliveries.jsonl --lake DIR

The deliveries are what `eventlake generate --deliveries FILE` writes. DIR holds data/parquet and data/rejected. The
lake is read by DuckDB through plain globs, with none of eventlake's code. Every valid record must be there once, at
its (partition, offset), each field as it was sent, in the folder of its event time; every broken one must be once
among the rejected, with a reason and its raw bytes; and nothing else may be there. Exit code 1 when it is not so.
"""

import argparse
import base64
import datetime
import json
import pathlib
import sys
import tomllib

import duckdb

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
MICROSECOND = datetime.timedelta(microseconds=1)
FAULTS_SHOWN = 5


class Faults:
    """The first few of each kind, and how many there were."""

    def __init__(self):
        self.kinds = {}

    def add(self, kind, detail):
        self.kinds.setdefault(kind, []).append(detail)

    def report(self):
        for kind, details in self.kinds.items():
            print(f"FAULT {kind}: {len(details)}, such as", file=sys.stderr)
            for detail in details[:FAULTS_SHOWN]:
                print(f"    {detail}", file=sys.stderr)
        return len(self.kinds)


def micros_of(text):
    """Microseconds since 1970 of an RFC 3339 date-time; without an offset it is UTC."""
    time = datetime.datetime.fromisoformat(text)
    if time.tzinfo is None:
        time = time.replace(tzinfo=datetime.timezone.utc)
    return (time - EPOCH) // MICROSECOND


def expected_value(schema, value):
    """What a JSON value is in the lake: times as microseconds, an absent field as null."""
    if value is None:
        return None
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if "object" in kinds:
        return {name: expected_value(inner, value.get(name)) for name, inner in schema["properties"].items()}
    if "array" in kinds:
        return [expected_value(schema["items"], item) for item in value]
    if "number" in kinds:
        return float(value)
    if "integer" in kinds:
        return int(value)
    if schema.get("format") == "date-time":
        return micros_of(value)
    if schema.get("format") == "date":
        return datetime.date.fromisoformat(value)
    return value


def folder_of(micros):
    return (EPOCH + datetime.timedelta(microseconds=micros)).strftime("date=%Y-%m-%d/hour=%H")


def read_table(folder):
    """All rows by (partition, offset); a position that is there twice is an error at once."""
    files = list(folder.glob("**/*.parquet")) if folder.exists() else []
    if not files:
        return {}, []
    source = f"read_parquet('{folder}/**/*.parquet', filename = true)"
    connection = duckdb.connect()
    relation = connection.sql(f"SELECT * FROM {source} LIMIT 0")
    columns = []
    for name, kind in zip(relation.columns, relation.types):
        # DuckDB would hand times out as objects in the session's time zone.
        columns.append(f'epoch_us("{name}") AS "{name}"' if str(kind).startswith("TIMESTAMP") else f'"{name}"')
    names = relation.columns
    cursor = connection.execute(f"SELECT {', '.join(columns)} FROM {source}")
    partition, offset = names.index("_kafka_partition"), names.index("_kafka_offset")
    found, twice = {}, []
    while rows := cursor.fetchmany(50_000):
        for row in rows:
            position = (row[partition], row[offset])
            if position in found:
                twice.append(position)
            found[position] = row
    return {position: dict(zip(names, row)) for position, row in found.items()}, twice


def compare_topic(topic, schema, deliveries, lake, faults):
    """Takes what was delivered off what has landed; gives back the counts."""
    accepted, twice = read_table(lake / "data/parquet" / topic["table"])
    rejected, twice_rejected = read_table(lake / "data/rejected" / topic["table"])
    for position in twice:
        faults.add("a row is there twice", (topic["name"], position))
    for position in twice_rejected:
        faults.add("a rejected record is there twice", (topic["name"], position))
    counts = {"accepted": 0, "rejected": 0}
    for sent in deliveries:
        position = (sent["partition"], sent["offset"])
        where = (topic["name"], position)
        if sent["valid"]:
            counts["accepted"] += 1
            row = accepted.pop(position, None)
            if row is None:
                kind = "a valid record was rejected" if position in rejected else "a valid record is missing"
                faults.add(kind, (where, rejected.pop(position, sent["payload"])))
            else:
                compare_accepted(where, topic, schema, sent, row, faults)
        else:
            counts["rejected"] += 1
            row = rejected.pop(position, None)
            if row is None:
                kind = "a broken record was accepted" if position in accepted else "a broken record is missing"
                faults.add(f"{kind} ({sent['fault']})", (where, accepted.pop(position, None)))
            else:
                compare_rejected(where, sent, row, faults)
    for position in accepted:
        faults.add("a row that nobody sent", (topic["name"], position))
    for position in rejected:
        faults.add("a rejected record that nobody sent", (topic["name"], position))
    return counts


def compare_accepted(where, topic, schema, sent, row, faults):
    event = json.loads(sent["payload"])
    for name, inner in schema["properties"].items():
        expected = expected_value(inner, event.get(name))
        if name not in row:
            faults.add("a declared column is not there", (where, name))
        elif row[name] != expected or type(row[name]) is not type(expected):
            faults.add("a field was altered", (where, name, f"sent {expected!r}", f"found {row[name]!r}"))
    if row["_kafka_timestamp"] != sent["timestamp"] * 1000:
        faults.add("Kafka's timestamp was altered", (where, sent["timestamp"], row["_kafka_timestamp"]))
    event_micros = row[topic["event_time"]] if "event_time" in topic else row["_kafka_timestamp"]
    folder = folder_of(event_micros)
    if f"/{folder}/" not in row["filename"]:
        faults.add("an event is in the wrong time partition", (where, folder, row["filename"]))


def raw(sent, name):
    if f"{name}_base64" in sent:
        return base64.b64decode(sent[f"{name}_base64"])
    return sent[name].encode()


def compare_rejected(where, sent, row, faults):
    for name in ("key", "payload"):
        found = row[name]
        if found is None or bytes(found) != raw(sent, name):
            faults.add(f"a rejected record's {name} was altered", (where, raw(sent, name)[:80], found))
    if not row["code"] or not row["expected"] or not row["found"]:
        faults.add("a rejected record has no reason", (where, row["code"], row["expected"], row["found"]))
    if row["_kafka_timestamp"] != sent["timestamp"] * 1000:
        faults.add("Kafka's timestamp was altered", (where, sent["timestamp"], row["_kafka_timestamp"]))
    folder = folder_of(sent["timestamp"] * 1000)
    if f"/{folder}/" not in row["filename"]:
        faults.add("a rejected record is in the wrong time partition", (where, folder, row["filename"]))


def compare(config_file, deliveries_file, lake):
    """Gives back how many kinds of faults there were; prints a line a topic."""
    config_file = pathlib.Path(config_file)
    config = tomllib.loads(config_file.read_text())
    by_topic = {}
    with open(deliveries_file, encoding="utf-8") as lines:
        for line in lines:
            sent = json.loads(line)
            by_topic.setdefault(sent["topic"], []).append(sent)
    faults = Faults()
    print(f"{'topic':<16} {'delivered':>10} {'valid':>10} {'broken':>8}")
    for topic in config["topics"]:
        topic.setdefault("table", topic["name"])
        schema = json.loads((config_file.parent / topic["schema"]).read_text())
        deliveries = by_topic.pop(topic["name"], [])
        counts = compare_topic(topic, schema, deliveries, pathlib.Path(lake), faults)
        print(f"{topic['name']:<16} {len(deliveries):>10} {counts['accepted']:>10} {counts['rejected']:>8}")
        if not deliveries:
            faults.add("nothing was delivered to a topic", topic["name"])
    for name in by_topic:
        faults.add("deliveries to a topic that the configuration does not have", name)
    return faults.report()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="config/eventlake.toml")
    parser.add_argument("--deliveries", required=True)
    parser.add_argument("--lake", required=True)
    arguments = parser.parse_args()
    if compare(arguments.config, arguments.deliveries, arguments.lake):
        sys.exit(1)
    print("every record is in the lake exactly as it was sent: none lost, none twice, none altered")


if __name__ == "__main__":
    main()
