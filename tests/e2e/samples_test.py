"""`baton eval --export-predictions`: the chain's answers in the form in which lm-evaluation-harness logs samples."""

import hashlib
import json
import os
import unittest

from support import digest, read_json, read_lines, run, run_ok, run_tests, train, workspace

TASKS = ["loud", "count", "last"]
USAGE = 2
# The harness's fields in its order; the score stands behind them under its scorer's name.
FIELDS = ["doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash",
          "prompt_hash", "target_hash"]


def hash_of(text):
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


class Samples(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = train("run")
        cls.file = workspace() / "samples.jsonl"
        cls.first = run_ok("eval", "--run", cls.folder, "--export-predictions", cls.file)

    def test_fields_and_hashes(self):
        samples, predictions = read_lines(self.file), read_lines(self.folder / "eval/predictions.jsonl")
        self.assertEqual(len(samples), 15)
        self.assertEqual(len(samples), len(predictions))
        for i, (sample, line) in enumerate(zip(samples, predictions)):
            self.assertEqual(list(sample), [*FIELDS, "rouge_l"])
            self.assertEqual(sample["doc_id"], i)
            self.assertEqual(sample["doc"], {key: line[key] for key in ("task", "id", "prompt", "references")})
            self.assertEqual(sample["target"], line["references"][0])
            self.assertEqual(sample["arguments"], {"gen_args_0": {
                "arg_0": line["prompt"], "arg_1": {"until": [], "do_sample": False, "max_gen_toks": 6}}})
            self.assertEqual((sample["resps"], sample["filtered_resps"]), ([[line["answer"]]], [line["answer"]]))
            self.assertEqual((sample["filter"], sample["metrics"]), ("none", ["rouge_l"]))
            self.assertEqual(sample["rouge_l"], line["scores"][line["answered_by"][-1]])
            doc = json.dumps(sample["doc"], indent=2, ensure_ascii=False)  # as the harness makes them
            self.assertEqual([sample[f"{name}_hash"] for name in ("doc", "prompt", "target")],
                             [hash_of(text) for text in (doc, line["prompt"], sample["target"])])

    def test_means_are_the_last_stage(self):
        last = read_json(self.folder / "eval/results.json")["matrix"][-1]
        for task, score in zip(TASKS, last):
            mine = [sample["rouge_l"] for sample in read_lines(self.file) if sample["doc"]["task"] == task]
            self.assertAlmostEqual(sum(mine) / len(mine), score, places=9)

    def test_a_finished_evaluation_is_not_done_again(self):
        before = digest(self.file)
        evaluated = self.folder / "eval/results.json"
        time = evaluated.stat().st_mtime_ns
        other = workspace() / "again.jsonl"
        other.write_text("to be replaced")
        result = run_ok("eval", "--run", self.folder, "--export-predictions", other, ranks=2)
        self.assertEqual(digest(other), before)
        self.assertEqual(evaluated.stat().st_mtime_ns, time)
        self.assertIn("nothing is evaluated anew", result.text)
        self.assertNotIn("nothing is evaluated anew", self.first.text)
        self.assertEqual(read_json(self.folder / "status.json")["state"], "done")

    def test_another_evaluation_is_made_first(self):
        folder, out = train("short", tasks="loud, count"), workspace() / "short.jsonl"
        run_ok("eval", "--run", folder)
        run_ok("eval", "--run", folder, "--set", "data.max_eval_samples=2", "--export-predictions", out)
        self.assertEqual(len(read_lines(out)), 4)
        run_ok("eval", "--run", folder, "--set", "data.max_eval_samples=2", "--set", "eval.metric=exact_match",
               "--export-predictions", out)
        self.assertEqual(read_lines(out)[0]["metrics"], ["exact_match"])
        self.assertIn(read_lines(out)[0]["exact_match"], (0, 100))
        results = folder / "eval/results.json"
        time = results.stat().st_mtime_ns
        run_ok("train", "--config", workspace() / "short.cfg", "--set", "data.tasks=loud, count, last")
        run_ok("eval", "--run", folder, "--set", "data.max_eval_samples=2", "--set", "eval.metric=exact_match",
               "--export-predictions", out)
        self.assertNotEqual(results.stat().st_mtime_ns, time)
        self.assertEqual(len(read_lines(out)), 6)

    def test_what_cannot_be_written_is_said_first(self):
        folder = train("wrong", tasks="loud")
        outside = workspace() / "outside"
        outside.write_text("a file")
        os.mkfifo(workspace() / "pipe")
        for path, found in ((workspace() / "no/such/samples.jsonl", "is not there"), (workspace(), "a folder"),
                            (outside / "samples.jsonl", "no folder"), (workspace() / "pipe", "a pipe"),
                            (folder / "run.json", "a file of the run"),
                            (folder / "experts/01-loud.h5", "a file of the run")):
            result = run("eval", "--run", folder, "--export-predictions", path)
            self.assertEqual(result.code, USAGE, result.text)
            self.assertIn(found, result.err)
            self.assertIn(str(path), result.err)
        self.assertFalse((folder / "eval/results.json").exists())  # before anything is evaluated
        result = run("eval", "--run", folder, "--export-predictions", workspace() / "x", "--questions", workspace())
        self.assertEqual(result.code, USAGE, result.text)
        self.assertIn("--questions", result.err)

    def test_damaged_predictions_are_not_exported(self):
        folder, out = train("damaged", tasks="loud"), workspace() / "damaged.jsonl"
        run_ok("eval", "--run", folder)
        whole = (folder / "eval/predictions.jsonl").read_text()
        (folder / "eval/predictions.jsonl").write_text(whole.replace("loud", "last"))
        run_ok("eval", "--run", folder, "--export-predictions", out)  # so it is evaluated anew
        self.assertEqual((folder / "eval/predictions.jsonl").read_text(), whole)
        self.assertEqual({sample["doc"]["task"] for sample in read_lines(out)}, {"loud"})


if __name__ == "__main__":
    run_tests()
