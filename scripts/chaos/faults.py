"""The faults of a round: drawn from its seed, carried out on writers, network, broker and topics, and counted."""

import collections
import heapq
import itertools
import threading
import time

import fold

SESSION_SECS = 1.2
# A writer that was stopped for longer than its session is let live until it has found out.
FENCED = ("lost to the group", "going back to the checkpoint", "partitions revoked", "no place for this ingester")
SPARED_SECS = 3.0
# A kill that is meant for a writer at work waits that long for its first commit.
AT_WORK_SECS = 4.5

# Out of a hundred faults. Killing comes first: everything else is to be met by writers in every state.
WEIGHTS = {
    "kill": 58, "zombie": 17, "leave": 6, "cut": 5, "hold": 3, "delay": 4, "grow": 2, "recreate": 1.5, "expire": 2.5,
    "crash_broker": 1,
}


class Faults:
    def __init__(self, draw, writers, broker, senders, work, say):
        self.draw, self.writers, self.broker, self.senders, self.work, self.say = draw, writers, broker, senders, work, say
        self.tally = collections.Counter()
        # (when, number, what to do): the second halves of faults.
        self.due = []
        self.numbers = itertools.count()
        self.background = []
        self.failures = []

    def later(self, secs, action):
        heapq.heappush(self.due, (time.monotonic() + secs, next(self.numbers), action))

    def run_due(self, until):
        """Waits, does what comes due, and looks after the writers."""
        while (now := time.monotonic()) < until or self.due and self.due[0][0] <= now:
            if self.due and self.due[0][0] <= now:
                heapq.heappop(self.due)[2]()
            else:
                time.sleep(0.02)
            for writer in self.writers:
                if why := writer.check():
                    self.tally[why] += 1
                    self.start(writer)
            if self.failures:
                raise self.failures[0]

    def one(self):
        name = self.draw.choices(list(WEIGHTS), WEIGHTS.values())[0]
        getattr(self, name)()

    def settle(self):
        """Ends what is under way, so that nothing but time stands between the writers and the end of the topics."""
        for thread in self.background:
            thread.join()
        while self.due:
            self.run_due(self.due[0][0])
        for writer in self.writers:
            writer.proxy.mend()
        if self.failures:
            raise self.failures[0]

    def in_background(self, action):
        def guarded():
            try:
                action()
            except Exception as error:  # noqa: BLE001  Raised again by the thread that watches.
                self.failures.append(error)

        thread = threading.Thread(target=guarded, daemon=True)
        self.background.append(thread)
        thread.start()

    def pick(self, fit):
        fitting = [writer for writer in self.writers if writer.runs() and fit(writer)]
        return self.draw.choice(fitting) if fitting else None

    def start(self, writer):
        if not writer.runs():
            writer.doomed = False
            writer.start()

    # Writers.

    def kill(self):
        """One writer or several at once: some wherever they are, most in the middle of their work."""
        at_work = self.draw.random() < 0.6
        for _ in range(self.draw.choices((1, 2, 3), (60, 25, 15))[0]):
            now = time.monotonic()
            writer = self.pick(lambda one: one.spared_until < now and not one.doomed)
            if writer is None:
                return
            writer.doomed = True
            self.kill_at_work(writer, writer.process, now + AT_WORK_SECS if at_work else now)

    def kill_at_work(self, writer, process, deadline):
        if writer.process is not process or not writer.runs():
            writer.doomed = False
        elif time.monotonic() < deadline and not writer.has_committed():
            self.later(0.1, lambda: self.kill_at_work(writer, process, deadline))
        else:
            self.later(self.draw.uniform(0, 0.5), lambda: self.kill_now(writer, process))

    def kill_now(self, writer, process):
        writer.doomed = False
        if writer.process is process and writer.runs():
            self.tally["kills"] += 1
            self.tally["kills of a writer that had committed"] += writer.kill()
            self.later(self.draw.uniform(0, 0.5), lambda: self.start(writer))

    def zombie(self):
        """A writer is stopped for longer than its session, once it is at work, and continued."""
        writer = self.pick(lambda one: not one.stopped and not one.doomed)
        if writer is not None:
            writer.doomed = True
            self.stop_at_work(writer, writer.process, time.monotonic() + AT_WORK_SECS)

    def stop_at_work(self, writer, process, deadline):
        if writer.process is not process or not writer.runs() or time.monotonic() > deadline:
            writer.doomed = False
            return
        if not writer.has_committed():
            self.later(0.1, lambda: self.stop_at_work(writer, process, deadline))
            return
        writer.doomed = False
        secs = SESSION_SECS * self.draw.uniform(1.3, 2.5)
        writer.spared_until = time.monotonic() + secs + SPARED_SECS
        before = writer.log.stat().st_size
        writer.stop()

        def wake():
            if writer.process is not process or not writer.runs() or not writer.stopped:
                return
            writer.go_on()
            self.tally["zombies"] += 1
            self.later(SPARED_SECS, heard)

        def heard():
            if writer.process is process or not writer.runs():
                self.tally["zombies that said so"] += any(words in writer.said_since(before) for words in FENCED)

        self.later(secs, wake)

    def leave(self):
        now = time.monotonic()
        writer = self.pick(lambda one: not one.stopped and one.spared_until < now and not one.doomed)
        if writer is None or self.broker.up.locked():
            return
        writer.proxy.mend()
        writer.end()
        self.tally["leaves and joins"] += 1
        self.later(self.draw.uniform(0.2, 3), lambda: self.start(writer))

    # The network.

    def cut(self):
        proxy = self.draw.choice(self.writers).proxy
        proxy.cut()
        self.tally["cuts"] += 1
        self.later(self.draw.uniform(0.2, 4), proxy.mend)

    def hold(self):
        proxy = self.draw.choice(self.writers).proxy
        proxy.hold()
        self.tally["connections held"] += 1
        if self.draw.random() < 0.5:
            self.later(self.draw.uniform(0.5, 3), proxy.cut)
        self.later(self.draw.uniform(3, 5), proxy.mend)

    def delay(self):
        proxy = self.draw.choice(self.writers).proxy
        proxy.delay_secs = self.draw.uniform(0.02, 0.3)
        self.tally["delays"] += 1
        self.later(self.draw.uniform(1, 5), proxy.mend)

    def crash_broker(self):
        if not self.broker.up.locked():
            self.tally["broker kills"] += 1
            secs = self.draw.uniform(0, 3)
            self.in_background(lambda: self.broker.crash_and_start(secs))

    # The topics.

    def grow(self):
        sender = self.senders["growing"]
        partitions = sender.partitions + self.draw.randint(1, 3)
        if self.broker.up.locked() or partitions > 16:
            return
        with self.broker.up:
            self.broker.grow(sender.topic, partitions)
        sender.partitions = partitions
        self.tally["partitions added"] += 1

    def recreate(self):
        """Deletes the topic and creates it again; every other new one is larger than the old one at once."""
        sender, partitions, larger = self.senders["reborn"], self.draw.randint(1, 4), self.draw.random() < 0.5
        if self.broker.up.locked():
            return
        with self.broker.up, sender.turn:
            sender.flush()
            count = len(sender.delivered)
            self.broker.delete(sender.topic)
            self.broker.create(sender.topic, partitions)
            sender.begin_life(partitions)
        if larger:
            sender.burst(min(count + 100, 5000))
        self.tally["topics created again"] += 1

    def expire(self):
        """Retention passes the checkpoint: nobody reads, records come, records are deleted that nobody has read."""
        sender = self.senders["expiring"]
        if self.broker.up.locked():
            return
        dead = self.draw.random() < 0.5
        self.stand_still(dead)
        with self.broker.up:
            sender.burst(self.draw.randint(100, 400))
            places = fold.read(self.work / "checkpoints" / sender.topic).generations[-1:]
            checkpoint = {p: place.next for one in places for p, place in one.partitions.items()}
            before = {}
            with sender.turn:
                sender.flush()
                for partition in range(sender.partitions):
                    end = 1 + max((o for _, p, o in sender.delivered if p == partition), default=-1)
                    start = checkpoint.get(partition, 0)
                    if end > start + 1:
                        before[partition] = self.draw.randint(start + 1, end)
                        sender.deleted.setdefault(partition, []).append([start, before[partition]])
            self.broker.delete_records(sender.topic, before)
        for writer in self.writers:
            if writer.stopped:
                writer.go_on()
            self.start(writer)
        self.tally["retention passing, writers dead" if dead else "retention passing, writers paused"] += 1

    def stand_still(self, dead):
        for writer in self.writers:
            if writer.runs() and dead:
                self.tally["kills"] += 1
                self.tally["kills of a writer that had committed"] += writer.kill()
            elif writer.runs() and not writer.stopped:
                writer.stop()
