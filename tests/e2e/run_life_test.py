"""The life of a run folder but for replacements: a first start that fails, a run.json that was changed by hand, an evaluation that goes on."""

import json
import os
import shutil
import signal
import subprocess
import time
import unittest

from support import (digests, find_binary, find_built, glob_live, read_json, run, run_ok, run_tests, toy_data, train, workspace,
                     write_config)

EXPERTS, BUFFERS = "experts/*.h5", "buffers/*.h5"
SMALL = {"train__num_train_epochs": "1", "train__train_batch_size": "8", "train__micro_batch_size": "3",
         "data__max_train_samples": "14", "train__save_seconds": "0"}
STOPPED = 75


class FirstStart(unittest.TestCase):
    def test_what_fails_on_data_has_fixed_nothing(self):
        data = toy_data("first-data")
        (data / "count_train.json").write_text("[{")
        settings = {**SMALL, "data__dataset_dir": str(data)}
        folder = workspace() / "first"
        for tasks, code in (("loud, nothing", 2), ("loud, count", 3)):
            result = run("train", "--config", write_config("first", tasks=tasks, **settings))
            self.assertIn(result.code, (2, 3), result.text[-2000:])
            self.assertLessEqual({path.name for path in folder.iterdir()}, {"status.json", "failure.json"})
        run_ok("train", "--config", write_config("first", tasks="last, loud", **settings))
        self.assertEqual(read_json(folder / "run.json")["tasks"], ["last", "loud"])
        before = (folder / "run.json").read_text()
        result = run("train", "--config", write_config("first", tasks="last, loud, count", **settings))
        self.assertEqual(result.code, 3, result.text[-2000:])
        self.assertEqual((folder / "run.json").read_text(), before)
        run_ok("train", "--config", write_config("first", tasks="last, loud, back", **settings))

    def test_folders_that_went_are_made_again(self):
        config = write_config("folders", **SMALL)
        run("train", "--config", config, env={"BATON_FAULT": "kind=signal,calls=12"})
        folder = workspace() / "folders"
        expected = digests(train("folders-whole", **SMALL), EXPERTS, BUFFERS)
        for name in ("logs", "eval"):
            shutil.rmtree(folder / name)
        run_ok("train", "--config", config)
        self.assertEqual(digests(folder, EXPERTS, BUFFERS), expected)
        shutil.rmtree(folder / "eval")
        run_ok("eval", "--run", folder)


class RunRecord(unittest.TestCase):
    def test_a_record_changed_by_hand_is_refused_in_words(self):
        folder = train("record", tasks="loud, count", **SMALL)
        path = folder / "run.json"
        good = path.read_text()

        def no_tasks(record):
            record["tasks"] = []

        def a_task_twice(record):
            record["tasks"] = ["loud", "count", "loud"]

        def other_tasks(record):
            record["config"]["data.tasks"] = "count, loud"

        def empty_config(record):
            record["config"] = {}

        cases = ((no_tasks, ("no task",)), (a_task_twice, ("loud twice",)), (other_tasks, ("data.tasks",)),
                 (empty_config, ("model_name_or_path",)))
        for change, words in cases:
            record = json.loads(good)
            change(record)
            path.write_text(json.dumps(record))
            for command in (["eval", "--run", folder], ["ask", "--run", folder, "cat"]):
                with self.subTest(change=change.__name__, command=command[0]):
                    result = run(*command)
                    self.assertEqual(result.code, 4, result.text[-2000:])
                    self.assertIn("run.json", result.text)
                    for word in words:
                        self.assertIn(word, result.text)
        for change in (no_tasks, a_task_twice):
            record = json.loads(good)
            change(record)
            path.write_text(json.dumps(record))
            self.assertEqual(run("train", "--config", workspace() / "record.cfg").code, 4)
        path.write_text(good)
        run_ok("ask", "--run", folder, "cat")


SCORED = ("eval/results.json", "eval/predictions.jsonl", "eval/matrix.csv")


class Evaluation(unittest.TestCase):
    def stop_half_way(self, folder):
        """An evaluation that leaves at least ten chunks done, and not all."""
        process = subprocess.Popen([str(find_binary()), "eval", "--run", str(folder)], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if len(glob_live(folder, "eval/partial/*/chunk-*[0-9]")) > 10:
                process.send_signal(signal.SIGTERM)
                break
            time.sleep(0.002)
        error = process.communicate(timeout=60)[1]
        self.assertEqual(process.returncode, STOPPED, error[-2000:])
        return len(list(folder.glob("eval/partial/*/chunk-*[0-9]")))

    def settings(self):
        return {**SMALL, "data__dataset_dir": str(toy_data("life-eval", num_eval=40)), "eval__eval_batch_size": "2",
                "train__num_train_epochs": "2", "train__non_finite": "skip"}

    def test_chunks_of_other_experts_are_not_mixed_in(self):
        """The same identity, other bytes: an update left out, as after a disturbed training."""
        folder = train("eval-mixed", **self.settings())
        before = digests(folder, EXPERTS)
        facts = lambda: [json.loads(run_ok("inspect", path, "--json").out)["fingerprint"] for path in sorted(folder.glob(EXPERTS))]
        fingerprints = facts()
        self.stop_half_way(folder)
        run_ok("train", "--config", workspace() / "eval-mixed.cfg", "--replace", "loud", "--replace", "count", "--replace", "last",
               env={"BATON_FAULT": "kind=nan,step=2"})
        self.assertFalse(set(before.values()) & set(digests(folder, EXPERTS).values()))
        self.assertEqual(facts(), fingerprints)
        clean = workspace() / "eval-clean"
        shutil.copytree(folder, clean)
        shutil.rmtree(clean / "eval")
        run_ok("eval", "--run", clean)
        run_ok("eval", "--run", folder)
        self.assertEqual(digests(folder, *SCORED), digests(clean, *SCORED))

    def test_timings_are_those_of_the_queries_of_this_call(self):
        folder = train("eval-timed", **self.settings())
        self.assertGreater(self.stop_half_way(folder), 0)
        run_ok("eval", "--run", folder)
        timings = read_json(folder / "eval/timings.json")
        num_queries = read_json(folder / "eval/results.json")["cost"]["queries"]
        self.assertEqual(num_queries, 3 * 40)
        # A chunk is one answerer's, so queries are counted by their replies.
        self.assertEqual(timings["queries"] + timings["queries_before"], num_queries)
        self.assertGreater(timings["queries"], 0)
        self.assertGreater(timings["queries_before"], 0)
        self.assertAlmostEqual(timings["seconds_per_query"], timings["seconds"] / timings["queries"], places=12)

    def test_the_record_is_read_under_the_lock(self):
        """What another program writes before it lets the folder go must not be lost."""
        folder = train("eval-lock", tasks="loud, count", **SMALL)
        for ranks in (0, 2):
            slow = {"LD_PRELOAD": str(find_built("BATON_IO_FAULT", "tests/libio_fault.so")), "IO_FAULT_SECONDS": "4",
                    "IO_FAULT_PREFIX": str(folder / "run.lock"), "IO_FAULT_CALL": "open", "IO_FAULT_NTH": "1"}
            launcher = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)] if ranks else []
            process = subprocess.Popen([*launcher, str(find_binary()), "eval", "--run", str(folder)], stdout=subprocess.DEVNULL,
                                       stderr=subprocess.PIPE, text=True, env=dict(os.environ, OMP_WAIT_POLICY="passive", **slow))
            time.sleep(3)  # a program that reads first has read by now, and waits for the lock
            record = read_json(folder / "run.json")
            record["warnings"].append(f"written meanwhile, {ranks}")
            (folder / "run.json").write_text(json.dumps(record))
            error = process.communicate(timeout=120)[1]
            self.assertEqual(process.returncode, 0, error[-2000:])
            record = read_json(folder / "run.json")
            self.assertIn(f"written meanwhile, {ranks}", record["warnings"])
            self.assertIn("eval/results.json", record["files"])


if __name__ == "__main__":
    run_tests()
