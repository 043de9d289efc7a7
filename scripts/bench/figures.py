"""What a benchmark found: one figure a line of its table, held against its target, with the machine and the versions."""

import dataclasses
import datetime
import os
import pathlib
import platform
import re
import statistics
import subprocess

import measured


@dataclasses.dataclass
class Figure:
    case: str
    what: str
    unit: str  # "x" for a ratio
    values: list
    at_most: float | None = None
    at_least: float | None = None
    judged: bool = True

    @property
    def median(self):
        return statistics.median(self.values)

    @property
    def target(self):
        if self.at_most is not None:
            return f"<= {self.at_most:g}"
        return f">= {self.at_least:g}" if self.at_least is not None else ""

    @property
    def verdict(self):
        """What the median says: a peak is given as one value, its maximum."""
        if not self.target:
            return ""
        if not self.judged:
            return "not judged"
        met = self.median <= self.at_most if self.at_most is not None else self.median >= self.at_least
        return "met" if met else "missed"

    def record(self):
        return {
            "case": self.case, "what": self.what, "unit": self.unit, "runs": len(self.values), "min": min(self.values),
            "median": self.median, "max": max(self.values), "target": self.target, "verdict": self.verdict,
        }


def ratios(of, to):
    """Each run over the run of the baseline just before it: what else the machine did in these seconds struck both."""
    return [one / other for one, other in zip(of, to, strict=True)]


def shown(value):
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"


def table(figures):
    lines = ["| case | what | unit | min | median | max | target | |", "| --- | --- | --- | ---: | ---: | ---: | --- | --- |"]
    for figure in figures:
        low, high = shown(min(figure.values)), shown(max(figure.values))
        lines.append(
            f"| {figure.case} | {figure.what} | {figure.unit} | {low} | {shown(figure.median)} | {high} "
            f"| {figure.target} | {figure.verdict} |"
        )
    return "\n".join(lines)


def conditions(runs):
    """The machine, and the version of everything that takes part."""
    processor = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory_kib = int(re.search(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text()).group(1))
    kafka = re.search(r"KAFKA_VERSION=(\S+)", (measured.REPOSITORY / "scripts/kafka.sh").read_text()).group(1)
    return {
        "date": datetime.date.today().isoformat(), "cores": os.cpu_count(),
        "processor": processor.group(1) if processor else platform.machine(), "memory_gib": round(memory_kib / 2**20, 1),
        "load_before": round(os.getloadavg()[0], 1), "runs": runs, "commit": commit(), "program": said(measured.binary(), "--version"),
        "librdkafka": librdkafka(), "kafka": kafka, "rustc": said("rustc", "--version"),
    }


def commit():
    changed = said("git", "-C", str(measured.REPOSITORY), "status", "--porcelain", "--untracked-files=no")
    found = said("git", "-C", str(measured.REPOSITORY), "rev-parse", "--short", "HEAD") or "unknown"
    return found + (" and changes" if changed else "")


def librdkafka():
    """The version that the lock file pins: rdkafka-sys carries librdkafka's own after the plus sign."""
    found = re.search(r'name = "rdkafka-sys"\nversion = "([^"]+)"', (measured.REPOSITORY / "Cargo.lock").read_text())
    return found.group(1).rpartition("+")[2] if found else "unknown"


def said(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
