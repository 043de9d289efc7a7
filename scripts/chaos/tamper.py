"""Proves that the verdict can fail: a copy of the lake is damaged in every way, and each damage must be refuted."""

import pathlib
import shutil

import duckdb
import truth


def file_of(lake, table):
    """A data file with some rows."""
    files = (lake / "data/parquet" / table).glob("**/*.parquet")
    return max(files, key=lambda path: (path.stat().st_size, path.name))


def rewritten(path, query):
    """The file's rows by another query, under the same name."""
    new = path.with_suffix(".new")
    duckdb.sql(f"COPY ({query.format(file=path)}) TO '{new}' (FORMAT parquet)")
    new.replace(path)


def without_a_row(path):
    rewritten(path, "SELECT * FROM '{file}' WHERE _kafka_offset <> (SELECT max(_kafka_offset) FROM '{file}')")


def with_a_row_twice(path):
    rewritten(path, "SELECT * FROM '{file}' UNION ALL (SELECT * FROM '{file}' ORDER BY _kafka_offset LIMIT 1)")


def with_a_row_altered(path):
    rewritten(path, "SELECT * REPLACE (CASE WHEN _kafka_offset = (SELECT max(_kafka_offset) FROM '{file}') THEN 'odd plain' "
                    "ELSE kind END AS kind) FROM '{file}'")


def with_offsets_moved(path):
    rewritten(path, "SELECT * REPLACE (_kafka_offset + 100000 AS _kafka_offset) FROM '{file}'")


def gone(path):
    path.unlink()


def there_twice(path):
    shutil.copy(path, path.with_name(f"f{path.name[1:]}"))


def in_another_hour(path):
    folder = path.parent.with_name("hour=99")
    folder.mkdir(exist_ok=True)
    path.rename(folder / path.name)


def without_its_last_commit(lake, topic):
    last = max((lake / "checkpoints" / topic).glob("*.json"), key=lambda path: path.stem)
    last.unlink()
    for snapshot in (lake / "checkpoints" / topic / "snapshots").glob("*.json"):
        if int(snapshot.stem) >= int(last.stem):
            snapshot.unlink()


DAMAGES = [without_a_row, with_a_row_twice, with_a_row_altered, with_offsets_moved, gone, there_twice, in_another_hour]


def prove(work, base, sender, left):
    """Raises when a damaged copy passes; gives back how many damages were tried."""
    copy = pathlib.Path(f"{work}-damaged")
    try:
        for damage in DAMAGES:
            must_refute(work, copy, base, sender, left, damage.__name__, lambda damage=damage: damage(file_of(copy, base)))
        must_refute(
            work, copy, base, sender, left, "without its last commit", lambda: without_its_last_commit(copy, sender.topic)
        )
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    return len(DAMAGES) + 1


def must_refute(work, copy, base, sender, left, name, damage):
    shutil.rmtree(copy, ignore_errors=True)
    for folder in (f"data/parquet/{base}", f"data/rejected/{base}", f"checkpoints/{sender.topic}"):
        if (work / folder).exists():
            shutil.copytree(work / folder, copy / folder)
    damage()
    try:
        truth.Check(copy, base, sender, left).run()
    except truth.Refuted:
        return
    raise RuntimeError(f"the verdict does not see a lake {name} of {sender.topic}")
