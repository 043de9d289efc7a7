"""A first build from nothing, beside the same tree at plain release settings; and a one-line change to a running binary."""

import shutil
import subprocess
import tempfile
import time
import tomllib

import measured
from figures import Figure


def build(stage, scale):
    with tempfile.TemporaryDirectory(prefix="eventlake-build.") as folder:
        tree, target = f"{folder}/tree", f"{folder}/target"
        subprocess.run(["git", "clone", "-q", measured.REPOSITORY, tree], check=True)
        cargo(tree, target, "fetch", "--locked")
        ours = [cargo(tree, target, "build", "--release", "--locked")]
        changes = [change(tree, target, number) for number in range(scale.runs)]
        shutil.rmtree(target)
        plain_settings(f"{tree}/Cargo.toml")
        plain = [cargo(tree, target, "build", "--release", "--locked")]
    return [
        Figure("build", "first build over plain release settings", "x", [ours[0] / plain[0]], at_most=0.55),
        Figure("build", "first build", "s", ours),
        Figure("build", "one-line change in the engine to a binary that runs", "s", changes, at_most=20),
    ]


def change(tree, target, number):
    """The line is new each time and in the middle of the engine; the time is until the new program has answered."""
    with open(f"{tree}/crates/engine/src/ingest/committer.rs", "a", encoding="utf-8") as source:
        source.write(f"\npub const BENCH_{number}: u32 = {number};\n")
    began = time.monotonic()
    cargo(tree, target, "build", "--release", "--locked")
    subprocess.run([f"{target}/release/eventlake", "--version"], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def cargo(tree, target, *words):
    began = time.monotonic()
    environment = measured.environment({"CARGO_TARGET_DIR": target})
    subprocess.run(["cargo", *words], cwd=tree, env=environment, check=True, stderr=subprocess.DEVNULL)
    return time.monotonic() - began


def plain_settings(manifest):
    """Takes every profile away, so that cargo's own defaults for a release build hold."""
    with open(manifest, encoding="utf-8") as file:
        lines = file.read().splitlines()
    kept, inside = [], False
    for line in lines:
        if line.startswith("["):
            inside = line.startswith("[profile.")
        if not inside:
            kept.append(line)
    text = "\n".join(kept) + "\n"
    if "profile" in tomllib.loads(text):
        raise SystemExit("Cargo.toml still has profiles")
    with open(manifest, "w", encoding="utf-8") as file:
        file.write(text)
