"""Runs the program in a folder of its own, to its end, and says what it cost by the operating system's own account."""

import dataclasses
import datetime
import os
import pathlib
import subprocess
import sys
import time

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent


@dataclasses.dataclass
class Cost:
    wall_secs: float
    user_secs: float
    system_secs: float
    peak_rss_bytes: int
    stdout: str

    @property
    def cpu_secs(self):
        return self.user_secs + self.system_secs


def target_folder():
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target")) / "release"


def binary():
    """The program: what EVENTLAKE names, or the release build."""
    return str(pathlib.Path(os.environ.get("EVENTLAKE", target_folder() / "eventlake")).resolve())


def example(name):
    path = target_folder() / "examples" / name
    if not path.exists():
        sys.exit(f"{path} is not there; hint: cargo build --release --examples")
    return str(path.resolve())


def brokers(given):
    found = given or os.environ.get("EVENTLAKE_TEST_BROKERS")
    if not found:
        sys.exit("no Kafka is named; hint: EVENTLAKE_TEST_BROKERS=$(scripts/kafka.sh start), or --brokers")
    return found


def environment(settings):
    """The caller's environment without its EVENTLAKE_... variables, and with these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("EVENTLAKE_")}
    return kept | settings


def run(command, settings, work, limit_secs, watch=None):
    """Runs a command in the folder; stops the script with what it said when it fails or takes too long.

    `watch`, if given, is called with the process id a hundred times a second.
    """
    said = pathlib.Path(work) / "said.log"
    began = time.monotonic()
    with open(said, "wb") as err:
        child = subprocess.Popen(
            command, cwd=work, env=environment(settings), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err
        )
    stdout, peak = [], 0
    deadline = began + limit_secs
    os.set_blocking(child.stdout.fileno(), False)
    while True:
        stdout.append(child.stdout.read() or b"")
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            break
        if time.monotonic() > deadline:
            child.kill()
            child.wait()
            sys.exit(f"{command} did not end within {limit_secs} s:\n{tail(said)}")
        peak = max(peak, peak_rss_bytes(child.pid))
        if watch:
            watch(child.pid)
        time.sleep(0.01)
    wall = time.monotonic() - began
    stdout.append(child.stdout.read() or b"")
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{command} ended with {child.returncode}:\n{tail(said)}")
    return Cost(wall, usage.ru_utime, usage.ru_stime, peak, b"".join(stdout).decode())


def peak_rss_bytes(pid):
    """The largest that this process, or one it started, has been: the kernel's own high-water mark.

    Not ru_maxrss, which counts what this script held when it made the process.
    """
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        started = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0  # It has ended.
    own = [int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM:")]
    return max([0, *own, *(peak_rss_bytes(child) for child in started)])


def cpu_secs(pid):
    """What a process that still runs has used so far, user and system."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_bytes(pid):
    fields = pathlib.Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def unix_secs(text):
    """Of a time as the commit log and the logs write it, in UTC."""
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def tail(path):
    return "\n".join(path.read_text(errors="replace").splitlines()[-25:])
