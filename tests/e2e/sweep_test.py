"""Many runs over one cluster: teams of ranks take whole runs from one queue, each into a folder of its own."""

import os
import signal
import statistics
import subprocess
import unittest

from support import digests, find_binary, read_json, run, run_ok, run_tests, train, workspace, write_config

KEPT = ("experts/*.h5", "buffers/*.h5", "eval/results.json", "eval/predictions.jsonl")
QUICK = {"train__num_train_epochs": "2", "eval__routers": "parallel"}


def sweep(name, *arguments, ranks=0, **changes):
    config = write_config(name, **{**QUICK, **changes})
    return run("sweep", "--config", config, *arguments, ranks=ranks), workspace() / name


class Sweep(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.asked = ("--methods", "see,replay,base", "--seeds", "2", "--orders", "1,2")
        cls.result, cls.root = sweep("swept", *cls.asked, ranks=3)
        cls.names = [f"{method}-order{order}-seed{seed}" for order in (1, 2) for seed in (42, 43)
                     for method in ("see", "replay", "base")]

    def test_every_run_is_there_and_in_the_tables(self):
        self.assertEqual(self.result.code, 0, self.result.text)
        found = read_json(self.root / "sweep.json")["runs"]
        self.assertEqual([entry["folder"] for entry in found], self.names)
        for entry in found:
            results = read_json(self.root / entry["folder"] / "eval/results.json")
            self.assertTrue(entry["done"])
            self.assertEqual((entry["method"], entry["seed"], entry["tasks"]),
                             (results["method"], results["seed"], results["tasks"]))
            for key in ("AR", "BWT", "FWT", "forgetting", "routing_accuracy"):
                self.assertEqual(entry[key], results[key])
            self.assertIn("parallel" if entry["method"] == "see" else "", results.get("routers", {"": 0}))
            self.assertTrue((self.root / f"logs/{entry['folder']}.log").read_text())
        mean = statistics.mean(entry["AR"] for entry in found if entry["method"] == "see" and entry["order"] == 1)
        self.assertIn(f"{mean:.2f} +-", self.result.out)
        orders = {tuple(entry["tasks"]) for entry in found}
        self.assertEqual(len(orders), 2)
        self.assertIn(("loud", "count", "last"), orders)

    def test_a_run_is_what_train_and_eval_make(self):
        alone = train("alone", **QUICK, train__seed="43", method__method="see")
        run_ok("eval", "--run", alone)
        self.assertEqual(digests(alone, *KEPT), digests(self.root / "see-order1-seed43", *KEPT))

    def test_what_is_done_stays_and_another_scorer_is_evaluated_anew(self):
        times = {path: path.stat().st_mtime_ns for path in self.root.glob("*/eval/results.json")}
        self.assertEqual(len(times), 12)
        result, _ = sweep("swept", *self.asked, ranks=2)
        self.assertEqual(result.code, 0)
        self.assertEqual({path: path.stat().st_mtime_ns for path in times}, times)
        result, _ = sweep("swept", "--methods", "base", ranks=2, eval__metric="exact_match")
        self.assertEqual(result.code, 0)
        results = read_json(self.root / "base-order1-seed42/eval/results.json")
        self.assertEqual((results["metric"], results["settings"]["eval.metric"]), ("exact_match", "exact_match"))
        result, _ = sweep("swept", "--methods", "base", ranks=2)
        self.assertEqual(result.code, 0)

    def test_a_stop_and_the_same_command(self):
        config = write_config("halted", **QUICK)
        command = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", "2", find_binary(),
                   "sweep", "--config", config, "--methods", "see,sequential", "--seeds", "2"]
        environment = dict(os.environ, BATON_FAULT="step=1,kind=pause,seconds=0.1")
        process = subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                   text=True, env=environment, cwd=workspace())
        for line in process.stderr:
            if ": done" in line:
                process.send_signal(signal.SIGTERM)
                break
        process.stderr.read()
        process.stderr.close()
        self.assertNotEqual(process.wait(60), 0)
        root = workspace() / "halted"
        self.assertLess(len(list(root.glob("*/eval/results.json"))), 4)
        result, _ = sweep("halted", "--methods", "see,sequential", "--seeds", "2", ranks=3)
        self.assertEqual(result.code, 0, result.text)
        self.assertEqual(digests(root / "see-order1-seed42", *KEPT), digests(self.root / "see-order1-seed42", *KEPT))

    def test_a_run_that_fails_does_not_keep_the_others(self):
        folder = workspace() / "gap"
        sweep("gap", "--methods", "base,multitask")
        (folder / "multitask-order1-seed42/experts/03-last.h5").write_bytes(b"no expert")
        result, _ = sweep("gap", "--methods", "multitask,base,sequential", ranks=2)
        self.assertEqual(result.code, 4, result.text)
        self.assertIn("multitask-order1-seed42", result.err)
        self.assertTrue((folder / "sequential-order1-seed42/eval/results.json").exists())

    def test_what_cannot_be_planned_is_refused_before_anything_starts(self):
        for arguments, word in ((("--methods", "see", "--seeds", "0"), "--seeds"), (("--methods", "see,see"), "--methods"),
                                (("--methods", "sea"), "see"), (("--methods", "see", "--orders", "1,x"), "--orders"),
                                (("--methods", ""), "--methods"), ((), "--methods")):
            result, root = sweep("refused", *arguments)
            self.assertEqual(result.code, 2, arguments)
            self.assertIn(word, result.err)
            self.assertFalse(root.exists())


if __name__ == "__main__":
    run_tests()
