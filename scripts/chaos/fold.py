"""Reads a topic's commit log as docs/commit-log.md describes it, without a line of eventlake's own code."""

import dataclasses
import hashlib
import json
import pathlib


class Damage(Exception):
    pass


@dataclasses.dataclass
class Place:
    """A partition of a generation: from where to where it was taken, and what became of the offsets."""

    start: int
    next: int
    counts: dict = dataclasses.field(default_factory=dict)
    # [[from, next], ...]
    lost: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Generation:
    topic_id: str
    reason: str
    partitions: dict


@dataclasses.dataclass
class Fold:
    generations: list
    # (set, path) -> rows
    live: dict
    void: int

    def place(self, partition):
        return self.generations[-1].partitions.setdefault(partition, Place(0, 0))


def lives(fold):
    """{topic id: {partition: Place}}, the one opened last at the end. A broker whose metadata are behind may name a topic that
    is no more; what such a generation opens again goes on where it ended."""
    found = {}
    for generation in fold.generations:
        before = found.pop(generation.topic_id, {})
        merged = dict(before)
        for partition, place in generation.partitions.items():
            if (old := before.get(partition)) is None:
                merged[partition] = place
                continue
            if place.start != old.next:
                raise Damage(f"{generation.topic_id}/{partition} ended at {old.next} and goes on at {place.start}")
            names = old.counts | place.counts
            counts = {name: old.counts.get(name, 0) + place.counts.get(name, 0) for name in names}
            merged[partition] = Place(old.start, place.next, counts, old.lost + place.lost)
        found[generation.topic_id] = merged
    return found


def record(path):
    line = path.read_bytes()
    text, checksum = line[:-80], line[-67:-3].decode()
    if hashlib.sha256(text).hexdigest() != checksum:
        raise Damage(f"{path}: the checksum does not hold")
    return json.loads(line), checksum


def read(folder):
    """Folds the log of a topic that nobody writes to any more."""
    folder = pathlib.Path(folder)
    snapshots = sorted(folder.glob("snapshots/*.json"))
    fold, number, previous = Fold([], {}, 0), 0, "0" * 64
    if snapshots:
        fold, number, previous = of_snapshot(snapshots[-1])
    while (path := folder / f"{number + 1:020}.json").exists():
        commit, checksum = record(path)
        if (commit["number"], commit["previous"]) != (number + 1, previous):
            raise Damage(f"{path}: does not follow commit {number}")
        body = commit[commit["kind"]]
        valid = {"append": append, "replace": replace, "generation": generation}[commit["kind"]](fold, body)
        fold.void += not valid
        number, previous = number + 1, checksum
    later = [path.name for path in folder.glob("*.json") if int(path.stem) > number]
    if later:
        raise Damage(f"{folder}: commit {number + 1} is missing, {later[0]} is there")
    return fold


def of_snapshot(path):
    snapshot, _ = record(path)
    generations = []
    for one in snapshot["generations"]:
        partitions = {
            int(partition): Place(state["start"], state["next"], state["counts"], state.get("lost", []))
            for partition, state in one["partitions"].items()
        }
        generations.append(Generation(one["topic_id"], one["reason"], partitions))
    live = {(file["set"], file["path"]): file["rows"] for file in snapshot["files"]}
    return Fold(generations, live, snapshot["totals"]["void_commits"]), snapshot["number"], snapshot["commit_checksum"]


def append(fold, body):
    if body["generation"] != len(fold.generations):
        return False
    if any(taken["from"] != fold.place(taken["partition"]).next for taken in body["partitions"]):
        return False
    for taken in body["partitions"]:
        place = fold.place(taken["partition"])
        place.next = taken["next"]
        for name in ("accepted", "rejected"):
            place.counts[name] = place.counts.get(name, 0) + taken[name]
        for name in ("tombstones", "filtered", "absent", "lost"):
            offsets = sum(end - start for start, end in taken.get(name, []))
            place.counts[name] = place.counts.get(name, 0) + offsets
        place.lost = place.lost + taken.get("lost", [])
    fold.live |= {(file["set"], file["path"]): file["rows"] for file in body["files"]}
    return True


def replace(fold, body):
    removed = [(file["set"], file["path"]) for file in body["removed"]]
    if not all(file in fold.live for file in removed):
        return False
    for file in removed:
        del fold.live[file]
    fold.live |= {(file["set"], file["path"]): file["rows"] for file in body["files"]}
    return True


def generation(fold, body):
    if body["ordinal"] != len(fold.generations) + 1:
        return False
    last = fold.generations[-1] if fold.generations else None
    if body["reason"] == "topic_recreated" and last and last.topic_id == body["topic_id"]:
        return False
    partitions = {start["partition"]: Place(start["from"], start["from"]) for start in body["starts"]}
    fold.generations.append(Generation(body["topic_id"], body["reason"], partitions))
    return True
