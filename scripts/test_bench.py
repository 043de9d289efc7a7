#!/usr/bin/env python3
"""The benchmark's own judgement: what it must refuse, and the sums it draws its figures from.

    scripts/test_bench.py       needs duckdb and pyarrow, as in scripts/requirements.txt; neither Kafka nor eventlake
"""

import json
import pathlib
import sys
import tempfile
import unittest

import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "bench"))

import figures  # noqa: E402
import length  # noqa: E402
import micro  # noqa: E402
import size  # noqa: E402
import stage  # noqa: E402


def lake(folder, positions):
    table = pa.table({"p": [one for one, _ in positions], "o": [other for _, other in positions]})
    (folder / "t").mkdir(exist_ok=True)
    pq.write_table(table, folder / "t/0199a1b2-0000-7000-8000-0000000000a1-0000-x.parquet", compression="zstd")


class Rows(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def test_every_event_once_passes(self):
        lake(self.folder, [(0, 0), (0, 1), (1, 0)])
        stage.check_rows(self.folder, ["t"], "p", "o", 3)

    def test_a_lost_event_that_a_double_makes_up_for_is_found(self):
        lake(self.folder, [(0, 0), (0, 1), (0, 1)])
        with self.assertRaises(SystemExit):
            stage.check_rows(self.folder, ["t"], "p", "o", 3)

    def test_a_missing_event_is_found(self):
        lake(self.folder, [(0, 0), (0, 1)])
        with self.assertRaises(SystemExit):
            stage.check_rows(self.folder, ["t"], "p", "o", 3)

    def test_what_pyarrow_wrote_is_as_large_as_what_pyarrow_writes(self):
        lake(self.folder, [(0, number) for number in range(1000)])
        self.assertEqual(size.beside_pyarrow(self.folder / "t", self.folder / "scratch", 1000), 1.0)


class Judgement(unittest.TestCase):
    def test_the_median_is_held_against_the_target(self):
        self.assertEqual(figures.Figure("c", "w", "x", [1.0, 1.4, 9.0], at_most=1.5).verdict, "met")
        self.assertEqual(figures.Figure("c", "w", "x", [1.0, 1.6, 1.7], at_most=1.5).verdict, "missed")
        self.assertEqual(figures.Figure("c", "w", "x", [0.6], at_least=0.7).verdict, "missed")
        self.assertEqual(figures.Figure("c", "w", "x", [9.0], at_most=1.5, judged=False).verdict, "not judged")

    def test_a_run_is_held_against_the_one_beside_it(self):
        self.assertEqual(figures.ratios([2.0, 9.0], [1.0, 3.0]), [2.0, 3.0])

    def test_a_second_half_that_costs_twice_as_much_shows(self):
        appends = [(10.0, 100), (20.0, 200), (30.0, 300), (40.0, 400), (50.0, 500)]
        samples = [(float(at), at if at <= 30 else 30 + 2 * (at - 30), 100 if at <= 30 else 150) for at in range(1, 51)]
        first, second, grown = length.halves(appends, samples)
        self.assertAlmostEqual(second / first, 2.0)
        self.assertAlmostEqual(grown, 1.5)


class Micro(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)

    def test_what_criterion_left_is_read_by_the_row(self):
        place = self.folder / "decode_clicks/sonic-rs/new"
        place.mkdir(parents=True)
        benchmark = {"group_id": "decode/clicks", "function_id": "sonic-rs", "throughput": {"Elements": 100}}
        (place / "benchmark.json").write_text(json.dumps(benchmark))
        (place / "estimates.json").write_text(json.dumps({"median": {"point_estimate": 5000.0}}))
        self.assertEqual(micro.measurements(self.folder), {("decode/clicks", "sonic-rs"): 50.0})

    def test_a_contender_that_is_faster_is_a_target_missed(self):
        runs = [{("decode/x", "eventlake"): 3.0, ("decode/x", "fast"): 2.0, ("decode/x", "slow"): 6.0}]
        verdicts = {figure.what: (figure.values, figure.verdict) for figure in micro.compared(runs, judged=True)}
        self.assertEqual(verdicts["decode x: over fast"], ([1.5], "missed"))
        self.assertEqual(verdicts["decode x: over slow"], ([0.5], "met"))
        self.assertEqual(verdicts["decode x: eventlake"], ([3.0], ""))

    def test_a_run_that_measured_nothing_is_refused(self):
        with self.assertRaises(SystemExit):
            micro.compared([{}], judged=True)


if __name__ == "__main__":
    unittest.main()
