"""Three writers on a real Kafka under every fault there is, from one seed, for as long as asked; then the verdict.

    scripts/chaos.sh --kills 1000          or --minutes 3, --seed N, --round N (only that one), --work DIR, --keep

Writers are killed, stopped for longer than their session, and join and leave; their network is cut, held and delayed; the broker
is killed and started again; partitions are added, a topic is deleted and created again, retention passes the checkpoint,
transactions abort, a topic is compacted. The run is made of rounds, each with topics and a lake of its own, a strategy of assignment,
and the verdict at its end: each record held against producers' confirmations, and against what Kafka still has, by DuckDB and
a reader of the commit log that shares no code with eventlake; then `eventlake verify`. The seed decides faults and
records, not the machine's timing. Needs a release build and the packages of scripts/requirements.txt.
"""

import argparse
import collections
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import measured  # noqa: E402
from broker import Broker  # noqa: E402
from proxy import Proxy  # noqa: E402
from rounds import Round  # noqa: E402


def told(tally):
    return ", ".join(f"{name} {count}" for name, count in sorted(tally.items()))


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/chaos.sh", description=__doc__.splitlines()[0])
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--kills", type=int, help="in all")
    length.add_argument("--minutes", type=float, help="no round begins after them")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--round", type=int, help="only this round of the seed")
    parser.add_argument("--from-round", type=int, default=0, help="goes on with this one")
    parser.add_argument("--kills-a-round", type=int, default=50)
    parser.add_argument("--work", help="a folder for broker, lakes and logs (a temporary one)")
    parser.add_argument("--keep", action="store_true", help="keeps the lakes of good rounds, too")
    given = parser.parse_args()
    if given.kills is None and given.minutes is None and given.round is None:
        given.minutes = 3
    return given


def more(given, number, tally, began):
    if given.round is not None:
        return number == given.round
    if given.kills is not None:
        return tally["kills"] < given.kills
    return time.monotonic() - began < given.minutes * 60


def main():
    # Being ended is no reason to leave a broker behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    given = arguments()
    work = pathlib.Path(given.work or tempfile.mkdtemp(prefix="eventlake-chaos.")).resolve()
    work.mkdir(parents=True, exist_ok=True)
    print(f"seed {given.seed}, program {measured.binary()}, work folder {work}", flush=True)
    proxies = [Proxy() for _ in range(3)]
    broker = Broker(work / "kafka", proxies)
    tally, rows, failed = collections.Counter(), 0, False
    first = given.from_round if given.round is None else given.round
    began, number = time.monotonic(), first
    try:
        while not failed and more(given, number, tally, began):
            folder = work / f"round-{number}"
            this = Round(given.seed * 10_000 + number, broker, proxies, folder, given.kills_a_round, number == first)
            try:
                counted, found = this.run()
            except Exception:  # noqa: BLE001  Whatever it is, the round has failed, and its folder is evidence.
                traceback.print_exc()
                print(f"FAILED: round {number}; its lake and logs are in {folder}", flush=True)
                print(
                    f"to repeat it: scripts/chaos.sh --seed {given.seed} --round {number}"
                    f" --kills-a-round {given.kills_a_round}", flush=True,
                )
                failed = True
                break
            tally.update(counted)
            tally["rounds"] += 1
            tally["void commits"] += sum(one["void"] for one in found.values())
            tally["offsets lost on purpose"] += found["expiring"]["lost"]
            tally["records that Kafka has twice"] += sum(one["unconfirmed"] for one in found.values())
            rows += sum(one["rows"] + one["rejected"] for one in found.values())
            membership = f"{this.strategy}{', static members' if this.static else ''}"
            print(f"round {number} ({membership}) exact, and proven by verify; {told(counted)}", flush=True)
            print(f"  so far {rows} rows; {int(time.monotonic() - began)} s; {told(tally)}", flush=True)
            if not given.keep:
                shutil.rmtree(folder)
            number += 1
    finally:
        broker.stop()
        for proxy in proxies:
            proxy.end()
    if failed:
        sys.exit(1)
    if not given.work and not given.keep:
        shutil.rmtree(work)
    print(f"every record is accounted for: {rows} rows over {tally['rounds']} rounds in {int(time.monotonic() - began)} s, "
          f"seed {given.seed}")


if __name__ == "__main__":
    main()
