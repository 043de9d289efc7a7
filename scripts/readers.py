#!/usr/bin/env python3
"""Counts a lake's rows with DuckDB, Polars and pyarrow: a plain glob, Hive partitioning, and no other option.

    scripts/readers.py data/parquet

For each table, and for all together where a tool can (Polars wants one set of columns), every reader must find the same rows, and the same rows an hour.
Exit code 1 when they differ, or find none.
"""

import pathlib
import sys

import duckdb
import polars
import pyarrow.compute
import pyarrow.dataset


def by_duckdb(glob, _folder):
    query = f"SELECT date, hour, count(*) FROM read_parquet('{glob}', hive_partitioning = true) GROUP BY ALL"
    return {(str(date), int(hour)): count for date, hour, count in duckdb.sql(query).fetchall()}


def by_polars(glob, _folder):
    frame = polars.scan_parquet(glob, hive_partitioning=True).group_by("date", "hour").len().collect()
    return {(str(date), int(hour)): count for date, hour, count in frame.iter_rows()}


def by_pyarrow(_glob, folder):
    # A dataset of a folder is pyarrow's glob. It leaves out files and folders whose names start with `_`.
    table = pyarrow.dataset.dataset(folder, partitioning="hive").to_table(columns=["date", "hour"])
    grouped = table.group_by(["date", "hour"]).aggregate([([], "count_all")]).to_pylist()
    return {(str(row["date"]), int(row["hour"])): row["count_all"] for row in grouped}


READERS = {
    f"DuckDB {duckdb.__version__}": by_duckdb,
    f"Polars {polars.__version__}": by_polars,
    f"pyarrow {pyarrow.__version__}": by_pyarrow,
}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    data = pathlib.Path(sys.argv[1])
    tables = sorted(folder for folder in data.iterdir() if folder.is_dir() and not folder.name.startswith("_"))
    if not tables:
        sys.exit(f"{data} holds no table")
    failed = False
    total = 0
    for table in tables:
        found = {name: reader(f"{table}/**/*.parquet", str(table)) for name, reader in READERS.items()}
        counts = {name: sum(hours.values()) for name, hours in found.items()}
        print(f"{table.name}: " + ", ".join(f"{name} {count}" for name, count in counts.items()))
        first = next(iter(found.values()))
        failed |= sum(first.values()) == 0 or any(hours != first for hours in found.values())
        total += sum(first.values())
    # All tables at once, whatever their columns. Polars wants one set of columns, or an option.
    glob = f"{data}/**/*.parquet"
    query = f"SELECT count(*) FROM read_parquet('{glob}', hive_partitioning = true)"
    by_duckdb_together = duckdb.sql(query).fetchall()[0][0]
    by_pyarrow_together = pyarrow.dataset.dataset(str(data), partitioning="hive").count_rows()
    print(f"{glob}: DuckDB {by_duckdb_together}, pyarrow {by_pyarrow_together}")
    if failed or by_duckdb_together != total or by_pyarrow_together != total:
        sys.exit("the readers differ, or found nothing")


if __name__ == "__main__":
    main()
