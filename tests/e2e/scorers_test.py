"""Scorers by task: what results.json says of them, recomputed; scorers and rows that do not fit; the published configs."""

import json
import random
import subprocess
import sys
import unittest

from support import SOURCE, WORDS, read_json, read_lines, run, run_ok, run_tests, train, workspace, write_config

METRIC_ERROR = 3


def write_data(name="scored", chinese=False):
    """yes (two labels, accuracy), pick (options, multiple_choice), say (free text, the usual scorer)."""
    folder = workspace() / name
    folder.mkdir()
    chance = random.Random(5)
    words = [" ".join(chance.sample(WORDS, 3)) for _ in range(30)]

    def write(task, rows):
        (folder / f"{task}.train.json").write_text(json.dumps(rows[:24], ensure_ascii=False))
        (folder / f"{task}.eval.json").write_text(json.dumps(rows[24:], ensure_ascii=False))
        return {"train_file": f"{task}.train.json", "eval_file": f"{task}.eval.json"}

    last = "\u4e2d\u6587" if chinese else "cat"
    info = {
        "yes": write("yes", [{"instruction": f"loud loud loud {text}", "output": "red" if "red" in text else "old"}
                             for text in words]) | {"metric": "accuracy", "labels": ["red", "old"]},
        "pick": write("pick", [{"instruction": f"back back back {text}", "output": text.split()[0],
                                "options": text.split()} for text in words]) | {"metric": "multiple_choice"},
        "say": write("say", [{"instruction": f"count count count {text}", "output": last if i == 29 else text.split()[-1]}
                             for i, text in enumerate(words)]),
        "other": write("other", [{"instruction": text, "output": "no"} for text in words]),
    }
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder


def normal(text):
    return " ".join("".join(c for c in text.casefold() if c.isalnum() or c.isspace()).split())


class Scorers(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.data = write_data()
        cls.folder = train("scored-run", tasks="yes, pick, say", data__dataset_dir=str(cls.data))
        cls.result = run_ok("eval", "--run", cls.folder, ranks=2)
        cls.results = read_json(cls.folder / "eval/results.json")
        cls.rows = read_lines(cls.folder / "eval/predictions.jsonl")

    def test_names(self):
        self.assertEqual(self.results["metrics"], {"yes": "accuracy", "pick": "multiple_choice", "say": "rouge_l"})
        self.assertEqual(self.results["metric"], "accuracy, multiple_choice, rouge_l")
        self.assertEqual(sorted(self.results["answers_outside"]), ["pick", "yes"])

    def test_scores_and_counts_again(self):
        options = {row["instruction"]: row["options"] for row in json.loads((self.data / "pick.eval.json").read_text())}
        for task in ("yes", "pick"):
            counts = {"base": 0, "chain": 0, "oracle": 0}
            scores = []
            for row in (row for row in self.rows if row["task"] == task):
                known = {"red", "old"} if task == "yes" else {normal(text) for text in options[row["prompt"]]}
                right = {normal(text) for text in row["references"]}
                for name, answer in row["answers"].items():
                    self.assertEqual(row["scores"][name], 100 if normal(answer) in known & right else 0)
                outside = {name: normal(answer) not in known for name, answer in row["answers"].items()}
                counts["base"] += outside["base"]
                counts["chain"] += outside[row["answered_by"][-1]]
                counts["oracle"] += outside[task]
                scores.append(row["scores"][row["answered_by"][-1]])
            self.assertEqual(self.results["answers_outside"][task], counts)
            place = self.results["tasks"].index(task)
            self.assertAlmostEqual(self.results["matrix"][-1][place], sum(scores) / len(scores), places=9)
            self.assertGreater(counts["base"], 0)  # a random model answers anything
        self.assertIn("none of its labels or options", self.result.out)

    def test_a_scorer_that_does_not_fit_is_refused_before_anything_is_decoded(self):
        before = (self.folder / "eval/results.json").read_bytes()
        result = run("eval", "--run", self.folder, "--set", "eval.metric=multiple_choice")
        self.assertEqual(result.code, METRIC_ERROR, result.text)
        for word in ("multiple_choice does not fit", "say.eval.json", "no options"):
            self.assertIn(word, result.text)
        self.assertEqual((self.folder / "eval/results.json").read_bytes(), before)
        result = run("eval", "--run", self.folder, "--set", "eval.metric=acuracy")
        self.assertEqual(result.code, 2)
        self.assertIn("accuracy", result.text)

    def test_a_chinese_reference_is_refused_by_ssr_rouge_l_alone(self):
        data = write_data("chinese", chinese=True)
        folder = train("chinese-run", tasks="say, pick", data__dataset_dir=str(data))
        result = run("eval", "--run", folder, "--set", "eval.metric=ssr_rouge_l")
        self.assertEqual(result.code, METRIC_ERROR, result.text)
        for word in ("ssr_rouge_l", "say.eval.json", "U+4E2D"):
            self.assertIn(word, result.text)
        run_ok("eval", "--run", folder, "--set", "eval.metric=exact_match")

    def test_an_unknown_scorer_of_an_entry_is_refused_at_the_start(self):
        info = json.loads((self.data / "dataset_info.json").read_text())
        folder = workspace() / "misnamed"
        folder.mkdir()
        for path in self.data.glob("*.json"):
            (folder / path.name).write_bytes(path.read_bytes())
        info["yes"]["metric"] = "acuracy"
        (folder / "dataset_info.json").write_text(json.dumps(info))
        result = run("train", "--config", write_config("misnamed-run", tasks="yes, pick", data__dataset_dir=str(folder)))
        self.assertEqual(result.code, METRIC_ERROR, result.text)
        self.assertIn('did you mean "accuracy"?', result.text)
        result = run("train", "--config", write_config("unfit-run", tasks="yes, say", data__dataset_dir=str(self.data),
                                                       eval__metric="multiple_choice"))
        self.assertEqual(result.code, METRIC_ERROR, result.text)
        self.assertIn("multiple_choice does not fit", result.text)

    def test_published_configs_have_no_unknown_key(self):
        configs = sorted((SOURCE / "configs").glob("*.cfg"))
        self.assertGreaterEqual(len(configs), 11)
        for path in configs:
            if path.stem == "quickstart":
                continue
            result = run("train", "--config", path, "--set", f"data.dataset_dir={workspace() / 'nowhere'}",
                         "--set", f"model.model_name_or_path={workspace() / 'nowhere'}")
            self.assertIn(result.code, (3, 4), f"{path.name}: {result.text}")  # the data or the model are not there


class Fetch(unittest.TestCase):
    """data/fetch.py with folders in the place of the public addresses."""

    def fetch(self, name, source):
        out = workspace() / f"fetched-{name}"
        return out, subprocess.run([sys.executable, SOURCE / "data/fetch.py", name, out, "--from", source],
                                   capture_output=True, text=True, check=False)

    def test_mmlu(self):
        out, result = self.fetch("mmlu", SOURCE / "data/samples")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(read_json(out / "dataset_info.json"), {"animals": {"formatting": "mmlu", "metric": "multiple_choice"}})
        self.assertEqual((out / "test/animals_test.csv").read_bytes(), (SOURCE / "data/samples/test/animals_test.csv").read_bytes())

    def test_what_is_not_whole_is_refused(self):
        for name in ("ssr", "ni", "olora", "trace"):
            out, result = self.fetch(name, SOURCE / "data/samples")
            self.assertEqual(result.returncode, 1, name)
            self.assertTrue(result.stderr.startswith("error: "), result.stderr)
            self.assertFalse((out / "dataset_info.json").exists())


if __name__ == "__main__":
    run_tests()
