"""The three ingesters of a round: processes that are killed, stopped, continued, ended and started again."""

import os
import signal
import subprocess
import time

import measured


# What may end a writer, as it says itself, and how that is counted. It is started again, as a supervisor would.
GIVES_UP = {
    "no answer from Kafka": "starts without a broker",
    # A static member that was away for too long: Kafka answers a late request of its with this, and its client is done for.
    "the consumer group has no place for this ingester": "static members fenced",
}


class Writer:
    """One place for an ingester. Who runs in it changes."""

    def __init__(self, number, proxy, work, settings):
        self.number, self.proxy, self.work = number, proxy, work
        self.environment = measured.environment(settings | {"EVENTLAKE_KAFKA_BROKERS": f"127.0.0.1:{proxy.port}"})
        self.log = work / f"writer-{number}.log"
        self.log.touch()
        self.process = None
        self.stopped = False
        self.spared_until = 0.0
        # A kill of it is under way.
        self.doomed = False
        self.log_from = 0
        # Its log is read now and then.
        self.read_next = 0.0

    def start(self):
        assert not self.runs(), "one process a place"
        self.log_from = self.log.stat().st_size
        self.stopped = False
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(
                [measured.binary(), "ingest"], cwd=self.work, env=self.environment,
                stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            )

    def runs(self):
        return self.process is not None and self.process.poll() is None

    def said(self):
        """What the process that runs has said so far."""
        return self.said_since(self.log_from)

    def said_since(self, position):
        with open(self.log, "rb") as log:
            log.seek(position)
            return log.read().decode(errors="replace")

    def has_committed(self):
        return " commit " in self.said()

    def kill(self):
        """SIGKILL. Says whether the process had committed anything."""
        productive = self.has_committed()
        self.process.kill()
        self.process.wait()
        self.process, self.stopped = None, False
        return productive

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)
        self.stopped = True

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)
        self.stopped = False

    def end(self, limit_secs=90):
        """SIGTERM, which must end in success."""
        if self.stopped:
            self.go_on()
        self.process.send_signal(signal.SIGTERM)
        self.wait_for_end(limit_secs)

    def wait_for_end(self, limit_secs):
        try:
            code = self.process.wait(timeout=limit_secs)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"writer {self.number} did not stop within {limit_secs} s of SIGTERM; {self.log}") from None
        self.process = None
        if code == -signal.SIGTERM and not self.said():
            # It had not come to the point where it asks for signals: nothing had begun.
            return
        gave_up = code == 3 and any(words in self.said() for words in GIVES_UP)
        if code != 0 and not gave_up:
            raise RuntimeError(f"writer {self.number} ended with {code} after SIGTERM; {self.log}")

    def check(self):
        """A writer never ends by itself, and no topic of it stops. What it gave up for, where that is allowed."""
        if self.process is not None and self.process.poll() is not None:
            for words, why in GIVES_UP.items():
                if self.process.returncode == 3 and words in self.said():
                    self.process = None
                    return why
            raise RuntimeError(f"writer {self.number} ended by itself with {self.process.returncode}; {self.log}")
        if time.monotonic() < self.read_next:
            return None
        self.read_next = time.monotonic() + 0.5
        said = self.said()
        for fault in ("topic stopped", "panicked"):
            if fault in said:
                line = next(line for line in said.splitlines() if fault in line)
                raise RuntimeError(f"writer {self.number}: {line}; {self.log}")
        return None


def run_to_end(work, settings, brokers, limit_secs):
    """`ingest --until-end`, which takes what is left and must succeed."""
    log = work / "until-end.log"
    with open(log, "ab") as out:
        process = subprocess.Popen(
            [measured.binary(), "ingest", "--until-end"], cwd=work, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
            env=measured.environment(settings | {"EVENTLAKE_KAFKA_BROKERS": brokers}),
        )
    try:
        code = process.wait(timeout=limit_secs)
    except subprocess.TimeoutExpired:
        # Where it hangs is worth more than its end.
        os.kill(process.pid, signal.SIGABRT)
        process.wait()
        raise RuntimeError(f"ingest --until-end did not end within {limit_secs} s; {log}") from None
    if code != 0:
        raise RuntimeError(f"ingest --until-end ended with {code}; {log}")
