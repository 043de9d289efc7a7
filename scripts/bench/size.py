"""How large the data are, beside what pyarrow makes of the same rows with zstd, one file a roll."""

import collections

import pyarrow as pa
import pyarrow.parquet as pq

from cost import plain_load
from figures import Figure
from stage import Load


def size(stage, scale):
    orders = Load("nested", scale.events // 4, shape="order")
    hours = Load("shuffled", scale.events, partitions=64, hours=200)
    figures = []
    for what, load, limit in (("clicks", plain_load(scale), 1.25), ("nested events", orders, 1.25), ("64 x 200 backlog", hours, None)):
        stage.load(load)
        _, folder = stage.ingest(load, keep=True)
        ratio = beside_pyarrow(folder / "data/parquet" / load.names[0], folder / "pyarrow.parquet", load.events)
        figures.append(Figure("size", f"bytes of {what} over pyarrow's", "x", [ratio], at_most=limit, judged=scale.judged))
    return figures


def beside_pyarrow(table, scratch, events):
    rolls = collections.defaultdict(list)
    for path in sorted(table.rglob("*.parquet")):
        # A file is named after the stage that wrote it, and a roll is one stage.
        rolls[path.name[:36]].append(path)
    ours = theirs = rows = 0
    for paths in rolls.values():
        whole = pa.concat_tables([pq.read_table(path, partitioning=None) for path in paths])
        pq.write_table(whole, scratch, compression="zstd")
        ours += sum(path.stat().st_size for path in paths)
        theirs += scratch.stat().st_size
        rows += whole.num_rows
    if rows != events:
        raise SystemExit(f"pyarrow read {rows} rows below {table}, expected {events}")
    return ours / theirs
