"""A peer: the best hand-written Python for this job. BROKERS TOPIC FOLDER LIBRARY; prints one JSON object.

Batches of 10 s become hourly Parquet files, then the offsets are committed. It checks no schema beyond the types, and a crash
between files and offsets makes duplicates: what people write. It shares nothing with eventlake.
"""

import gc
import json
import pathlib
import sys
import time

import confluent_kafka
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

BATCH_SECS = 10
FIELDS = ("event_type", "user_id", "item_id", "timestamp", "page_url", "click_duration")
TYPES = (pa.string(), pa.int64(), pa.int64(), pa.string(), pa.string(), pa.float64())


def main():
    # Nothing here makes cycles: the collector would only go through every dictionary again and again.
    gc.disable()
    brokers, topic, folder = sys.argv[1:4]
    consumer = confluent_kafka.Consumer({
        "bootstrap.servers": brokers, "group.id": f"python-{time.time_ns()}", "auto.offset.reset": "earliest",
        "enable.auto.commit": False, "enable.partition.eof": True, "fetch.queue.backoff.ms": 5,
    })
    consumer.subscribe([topic])
    partitions = len(consumer.list_topics(topic, timeout=30).topics[topic].partitions)
    ended, rows, files, chunks = set(), 0, 0, []
    due = time.monotonic() + BATCH_SECS
    while len(ended) < partitions or chunks:
        messages = []
        for message in consumer.consume(10_000, timeout=0.2):
            if message.error() is None:
                messages.append(message)
            elif message.error().code() == confluent_kafka.KafkaError._PARTITION_EOF:
                ended.add(message.partition())
            else:
                raise confluent_kafka.KafkaException(message.error())
        if messages:
            chunks.append(decoded(messages))
        if chunks and (time.monotonic() > due or len(ended) == partitions):
            rows += write(pathlib.Path(folder), files, pa.Table.from_batches(chunks))
            consumer.commit(asynchronous=False)
            chunks, files, due = [], files + 1, time.monotonic() + BATCH_SECS
    consumer.close()
    print(json.dumps({"events": rows}))


def decoded(messages):
    """Columns at once, chunk by chunk: ten seconds of dictionaries would cost gigabytes, and the page faults to get them."""
    rows = orjson.loads(b"[" + b",".join([message.value() for message in messages]) + b"]")
    columns = {name: pa.array([row[name] for row in rows], kind) for name, kind in zip(FIELDS, TYPES, strict=True)}
    columns["timestamp"] = pc.cast(columns["timestamp"], pa.timestamp("us", "UTC"))
    columns["kafka_partition"] = pa.array([message.partition() for message in messages], pa.int32())
    columns["kafka_offset"] = pa.array([message.offset() for message in messages], pa.int64())
    return pa.RecordBatch.from_pydict(columns)


def write(folder, number, table):
    hours = pc.floor_temporal(table["timestamp"], unit="hour")
    for hour in pc.unique(hours):
        start = hour.as_py()
        target = folder / f"date={start:%Y-%m-%d}" / f"hour={start:%H}"
        target.mkdir(parents=True, exist_ok=True)
        pq.write_table(table.filter(pc.equal(hours, hour)), target / f"{number:06}.parquet", compression="zstd")
    return table.num_rows


if __name__ == "__main__":
    main()
