"""What live views cost: landing the shop's four topics with five views, over landing them with none."""

import dataclasses
import json
import os
import shutil
import sys

import measured
from cost import in_turn, peak
from figures import Figure, ratios
from stage import LANDING_SECS, check_rows

TOPICS = {
    "clicks": ("clicks", "timestamp"),
    "views": ("views", "timestamp"),
    "ratings": ("ratings", "timestamp"),
    "client_tickets": ("tickets", "created_at"),
}
# A running view, a sliding window, a join, an anomaly over earlier windows, a plain select.
VIEWS = """
[[views]]
name = "tickets_by_type_priority"
sql = "SELECT type, priority, count(*) AS count FROM tickets GROUP BY type, priority"
outputs = [{ to = "json", path = "out/tickets.json" }]

[[views]]
name = "clicks_by_item"
sql = "SELECT item_id, count(*) AS clicks FROM clicks GROUP BY item_id"
window = { size = "60s", slide = "10s", lateness = "1h" }
outputs = [{ to = "jsonl", path = "out/clicks.jsonl" }]

[[views]]
name = "led_to_rating"
sql = "SELECT r.item_id, count(*) AS ratings FROM clicks c JOIN ratings r ON c.user_id = r.user_id AND c.item_id = r.item_id AND c.timestamp <= r.timestamp GROUP BY r.item_id"
window = { size = "60s", lateness = "1h" }
outputs = [{ to = "jsonl", path = "out/led.jsonl" }]

[[views]]
name = "odd_items"
sql = '''
SELECT item_id, clicks, mean FROM (
  SELECT item_id, clicks, window_start AS at, max(window_start) OVER () AS newest,
         avg(clicks) OVER earlier AS mean, stddev(clicks) OVER earlier AS deviation
  FROM clicks_by_item
  WINDOW earlier AS (PARTITION BY item_id ORDER BY window_start ROWS BETWEEN 10 PRECEDING AND 1 PRECEDING))
WHERE at = newest AND clicks > mean + 3 * deviation'''
window = { size = "110s", slide = "10s", lateness = "1h" }
outputs = [{ to = "jsonl", path = "out/odd.jsonl" }]

[[views]]
name = "long_views"
sql = "SELECT user_id, item_id, view_duration FROM views WHERE view_duration > 60 AND device_type = 'mobile'"
outputs = [{ to = "jsonl", path = "out/long.jsonl" }]
"""


# How much event time the events are spread over: as they come at full speed, and as a backlog of a quiet shop.
SPANS = {"views": "1m", "views, an hour": "1h"}


def views(stage, scale):
    return [figure for case, span in SPANS.items() for figure in over_none(stage, scale, case, span)]


def over_none(stage, scale, case, span):
    shop = Shop(scale.events // 4, span)
    load(stage, shop)
    plains, withs = in_turn(stage, scale.runs, lambda: land(stage, shop, ""), lambda: land(stage, shop, VIEWS))
    cpu = ratios([cost.cpu_secs for cost in withs], [cost.cpu_secs for cost in plains])
    wall = ratios([cost.wall_secs for cost in withs], [cost.wall_secs for cost in plains])
    return [
        Figure(case, "CPU per event with five views over none", "x", cpu, at_most=1.3, judged=scale.judged),
        Figure(case, "time until all is landed and shown over none", "x", wall),
        Figure(case, "CPU per event, no views", "us", [cost.cpu_secs / (4 * shop.events) * 1e6 for cost in plains]),
        peak(case, withs, scale),
    ]


@dataclasses.dataclass(frozen=True)
class Shop:
    """So many events a topic, spread over a stretch of event time."""

    events: int
    span: str

    @property
    def names(self):
        return {kind: f"bench-shop-{self.span}-{self.events}-{kind}" for kind in TOPICS}


def lake(stage, shop, views):
    stage.runs += 1
    folder = stage.work / f"lake-{stage.runs}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    text = (
        f'[kafka]\nbrokers = "{stage.brokers}"\ngroup = "bench-{os.getpid()}-{stage.runs}"\n'
        '[lake]\nmemory_limit = "512MiB"\n[http]\nlisten = "off"\n'
    )
    for kind, name in shop.names.items():
        table, event_time = TOPICS[kind]
        schema = measured.REPOSITORY / f"config/schemas/{kind}.schema.json"
        text += f'[[topics]]\nname = "{name}"\ntable = "{table}"\nschema = "{schema}"\nevent_time = "{event_time}"\npartitions = 4\n'
    (folder / "eventlake.toml").write_text(text + views)
    return folder


def load(stage, shop):
    """Fills the topics, or takes those that a run before left on the same cluster."""
    folder = lake(stage, shop, "")
    stage.eventlake(folder, "topics", "create", limit_secs=300)
    drain = [measured.example("drain"), stage.brokers, ",".join(shop.names.values())]
    found = json.loads(stage.run(drain, stage.work, LANDING_SECS).stdout)["events"]
    if found not in (0, 4 * shop.events):
        sys.exit(f"topics bench-shop-* hold {found} events, expected {4 * shop.events}; hint: delete them on that cluster")
    if found:
        return
    topics = ",".join(f"{kind}={name}" for kind, name in shop.names.items())
    stage.say(f"loading {shop.events:,} events into each of {topics}")
    stage.eventlake(
        folder, "generate", "--topics", topics, "--count", str(shop.events), "--seed", "1", "--start", "2026-11-01T00:00:00Z",
        "--span", shop.span, limit_secs=LANDING_SECS,
    )


def land(stage, shop, views):
    folder = lake(stage, shop, views)
    cost = stage.eventlake(folder, "ingest", "--until-end", limit_secs=LANDING_SECS)
    tables = [table for table, _ in TOPICS.values()]
    check_rows(folder / "data/parquet", tables, "_kafka_partition", "_kafka_offset", 4 * shop.events)
    shutil.rmtree(folder)
    return cost
