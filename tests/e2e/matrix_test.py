"""results.json computed again from predictions.jsonl and the expert files alone, with rouge-score."""

import csv
import math
import unittest

import h5py
from rouge_score import rouge_scorer

from support import read_json, read_lines, run_ok, run_tests, toy_rows, train

TASKS = ["loud", "count", "last"]


def scalar(value):
    return value.item() if hasattr(value, "item") else value


class Matrix(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = train("matrix", method__accept_threshold="auto", method__calibration_ratio="0.2")
        run_ok("eval", "--run", cls.folder, ranks=2)
        cls.results = read_json(cls.folder / "eval/results.json")
        cls.rows = read_lines(cls.folder / "eval/predictions.jsonl")
        cls.thresholds = {}
        for i, task in enumerate(TASKS):
            with h5py.File(cls.folder / f"experts/{i + 1:02d}-{task}.h5") as file:
                cls.thresholds[task] = float(scalar(file.attrs["accept_threshold"]))

    def who(self, row, stage):
        for task in reversed(TASKS[:stage]):
            if row["margins"][task] > self.thresholds[task]:
                return task
        return "base"

    def test_one_line_for_each_query(self):
        self.assertEqual([row["task"] for row in self.rows], [task for task in TASKS for _ in range(5)])
        self.assertEqual(len({(row["task"], row["id"]) for row in self.rows}), 15)
        for task in TASKS:
            wanted = sorted(answer for _, answer in toy_rows(task, 5, 2))
            found = sorted(row["references"][0] for row in self.rows if row["task"] == task)
            if task != "last":  # its file is split by the program
                self.assertEqual(found, wanted)

    def test_who_answers_at_each_stage(self):
        for row in self.rows:
            self.assertEqual(row["answered_by"], [self.who(row, stage) for stage in range(len(TASKS) + 1)])
            self.assertEqual(sorted(row["margins"]), sorted(TASKS))
            self.assertIn("base", row["answers"])
            self.assertIn(row["task"], row["answers"])

    def test_scores_equal_rouge_score(self):
        scorer = rouge_scorer.RougeScorer(["rougeL"])
        for row in self.rows:
            for name, answer in row["answers"].items():
                best = max(scorer.score(reference, answer)["rougeL"].fmeasure for reference in row["references"])
                self.assertAlmostEqual(row["scores"][name], 100 * best, places=9)

    def mean(self, task, score):
        values = [score(row) for row in self.rows if row["task"] == task]
        return sum(values) / len(values)

    def test_matrix(self):
        matrix = self.results["matrix"]
        self.assertEqual(self.results["tasks"], TASKS)
        self.assertEqual(len(matrix), len(TASKS) + 1)
        for stage, line in enumerate(matrix):
            for task, value in zip(TASKS, line):
                wanted = self.mean(task, lambda row: row["scores"][row["answered_by"][stage]])
                self.assertAlmostEqual(value, wanted, places=6)
        for j, task in enumerate(TASKS):
            self.assertAlmostEqual(self.results["base"][j], matrix[0][j], places=9)
            wanted = self.mean(task, lambda row: row["scores"][row["task"]])
            self.assertAlmostEqual(self.results["oracle"][j], wanted, places=6)

    def test_summary_numbers(self):
        a, n = self.results["matrix"], len(TASKS)
        wanted = {
            "AR": sum(a[n]) / n,
            "BWT": sum(a[n][j] - a[j + 1][j] for j in range(n - 1)) / (n - 1),
            "FWT": sum(a[j][j] for j in range(1, n)) / (n - 1),
            "forgetting": sum(max(a[i][j] for i in range(j + 1, n)) - a[n][j] for j in range(n - 1)) / (n - 1),
        }
        for name, value in wanted.items():
            self.assertAlmostEqual(self.results[name], value, places=6, msg=name)
            self.assertTrue(math.isfinite(value))

    def test_routing(self):
        names = TASKS + ["base"]
        wanted = [[sum(row["task"] == task and row["answered_by"][-1] == name for row in self.rows)
                   for name in names] for task in TASKS]
        self.assertEqual(self.results["routing"], wanted)
        right = sum(wanted[i][i] for i in range(len(TASKS)))
        self.assertAlmostEqual(self.results["routing_accuracy"], right / len(self.rows), places=9)

    def test_csv_holds_the_matrix(self):
        with open(self.folder / "eval/matrix.csv", newline="") as file:
            lines = list(csv.reader(line for line in file if not line.startswith("#")))
        numbers = []
        for line in lines:
            cells = []
            for cell in line:
                try:
                    cells.append(float(cell))
                except ValueError:
                    pass
            if len(cells) >= len(TASKS):
                numbers.append(cells[-len(TASKS):])
        self.assertEqual(len(numbers), len(TASKS) + 1)
        for found, wanted in zip(numbers, self.results["matrix"]):
            for x, y in zip(found, wanted):
                self.assertAlmostEqual(x, y, delta=0.01)

    def test_one_task_has_no_differences(self):
        folder = train("single", tasks="loud")
        run_ok("eval", "--run", folder)
        results = read_json(folder / "eval/results.json")
        self.assertEqual([results[name] for name in ("BWT", "FWT", "forgetting")], [None] * 3)


if __name__ == "__main__":
    run_tests()
