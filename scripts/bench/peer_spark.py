"""A peer: Spark Structured Streaming to Parquet by hour. BROKERS TOPIC FOLDER JARS; prints one JSON object.

One local process with all cores, a micro-batch every 10 s, until the topic's end as of the start.
"""

import json
import pathlib
import sys
import time

from pyspark.sql import SparkSession, functions

FIELDS = "event_type STRING, user_id BIGINT, item_id BIGINT, timestamp TIMESTAMP, page_url STRING, click_duration DOUBLE"


def main():
    brokers, topic, folder, jars = sys.argv[1:5]
    spark = (
        SparkSession.builder.master("local[*]")
        .config("spark.jars", ",".join(str(jar) for jar in sorted(pathlib.Path(jars).glob("*.jar"))))
        .config("spark.ui.enabled", "false")
        .config("spark.sql.session.timeZone", "UTC")
        .config("spark.sql.parquet.compression.codec", "zstd")
        .config("spark.sql.shuffle.partitions", "2")
        .config("spark.driver.memory", "1g")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .config("spark.driver.host", "127.0.0.1")
        .getOrCreate()
    )
    records = (
        spark.readStream.format("kafka").option("kafka.bootstrap.servers", brokers).option("subscribe", topic)
        .option("startingOffsets", "earliest").load()
    )
    event = functions.from_json(functions.col("value").cast("string"), FIELDS)
    rows = (
        records.select(event.alias("event"), functions.col("partition").alias("kafka_partition"), functions.col("offset").alias("kafka_offset"))
        .select("event.*", "kafka_partition", "kafka_offset")
        .withColumn("date", functions.date_format("timestamp", "yyyy-MM-dd"))
        .withColumn("hour", functions.date_format("timestamp", "HH"))
    )
    query = (
        rows.writeStream.format("parquet").partitionBy("date", "hour").option("path", folder)
        .option("checkpointLocation", f"{folder}.checkpoint").trigger(availableNow=True).start()
    )
    began = time.monotonic()
    query.awaitTermination()
    events = sum(progress["numInputRows"] for progress in query.recentProgress)
    gateway = spark.sparkContext._gateway
    spark.stop()
    print(json.dumps({"events": events, "query_secs": time.monotonic() - began}), flush=True)
    # Waited for here, so that the operating system counts the virtual machine's time to this process.
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait()


if __name__ == "__main__":
    main()
