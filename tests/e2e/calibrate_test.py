"""Thresholds of a finished run set anew: from the experts' own curves, beside the old ones, and without training."""

import json
import unittest

import h5py

from support import digests, read_json, read_lines, run, run_ok, run_tests, train, workspace

TASKS = ["loud", "count", "last"]


def curve(folder, task):
    with h5py.File(folder / f"experts/0{TASKS.index(task) + 1}-{task}.h5") as file:
        values = list(file.attrs["roc"])
    return [tuple(values[i:i + 3]) for i in range(0, len(values), 3)]


class Calibrate(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = train("set", method__accept_threshold="auto", train__num_train_epochs="2")
        run_ok("eval", "--run", cls.folder)
        cls.before = read_json(cls.folder / "eval/results.json")
        cls.files = digests(cls.folder, "experts/*.h5", "buffers/*.h5")

    def check_answers(self, threshold):
        run_ok("eval", "--run", self.folder, ranks=2)
        for line in read_lines(self.folder / "eval/predictions.jsonl"):
            who = next((task for task in reversed(TASKS) if line["margins"][task] > threshold[task]), "base")
            self.assertEqual(line["answered_by"][-1], who)

    def test_each_target_takes_the_best_point_of_the_curve(self):
        goals = {"false_accept=0": lambda t, f: (f <= 0, t), "cost=3": lambda t, f: (t - 3 * f,),
                 "balanced": lambda t, f: (t - f,)}
        for target, merit in goals.items():
            out = run_ok("calibrate", "--run", self.folder, "--target", target).out
            found = read_json(self.folder / "thresholds.json")
            self.assertEqual(found["target"], target)
            threshold = {}
            for task in TASKS:
                self.assertIn(task, out)
                entry = found["thresholds"][task]
                threshold[task] = entry["threshold"]
                points = {point[0]: point[1:] for point in curve(self.folder, task)}
                best = max(merit(*rates) for rates in points.values())
                self.assertEqual(merit(*points[entry["threshold"]]), best, (target, task))
            self.check_answers(threshold)
        self.assertEqual(digests(self.folder, "experts/*.h5", "buffers/*.h5"), self.files)
        line = run_ok("ask", "--run", self.folder, "--json", "red red red red cat").json_lines()[0]
        self.assertIn(line["route"], ("expert", "base"))
        self.assertIn("nothing to do", run_ok("train", "--config", workspace() / "set.cfg").err)
        run_ok("calibrate", "--run", self.folder, "--target", "trained")
        self.assertFalse((self.folder / "thresholds.json").exists())
        run_ok("eval", "--run", self.folder)
        self.assertEqual(read_json(self.folder / "eval/results.json"), self.before)

    def test_what_is_wrong_is_said(self):
        for arguments, code, word in ((("--target", "best"), 2, "false_accept"), (("--target", "cost=0"), 2, "cost"),
                                      (("--target", "false_accept=0.1x"), 2, "--target")):
            result = run("calibrate", "--run", self.folder, *arguments)
            self.assertEqual(result.code, code)
            self.assertIn(word, result.err)
        fixed = train("fixed")
        result = run("calibrate", "--run", fixed)
        self.assertEqual(result.code, 2)
        self.assertIn("accept_threshold", result.err)
        damaged = train("damaged", method__accept_threshold="auto", train__num_train_epochs="1")
        run_ok("calibrate", "--run", damaged)
        (damaged / "thresholds.json").write_text("{}")
        self.assertEqual(run("eval", "--run", damaged).code, 4)

    def test_an_expert_trained_later_has_its_own(self):
        settings = {"method__accept_threshold": "auto", "train__num_train_epochs": "1"}
        later = train("later", **settings)
        run_ok("calibrate", "--run", later, "--target", "cost=9")
        train("later", **settings, arguments=("--replace", "last"))
        run_ok("eval", "--run", later)  # the same bytes: what was set still fits
        entry = read_json(later / "thresholds.json")
        entry["thresholds"]["last"]["expert_sha256"] = "0" * 64
        (later / "thresholds.json").write_text(json.dumps(entry))
        self.assertEqual(run("eval", "--run", later).code, 4)  # not the file that run.json knows


if __name__ == "__main__":
    run_tests()
