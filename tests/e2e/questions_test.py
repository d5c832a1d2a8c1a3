"""Multiple choice by likelihood through a chain, against real PEFT: every likelihood, every choice, who answered."""

import json
import math
import statistics
import unittest

import torch
from peft import PeftModel
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from make_tiny_model import SYSTEM
from support import digest, read_json, read_lines, run, run_ok, run_tests, tiny_model, toy_rows, train, workspace

TASKS = ["loud", "count", "last"]
TOLERANCE = 7e-5  # measured 7.0e-6 in a sum of up to 16 log probabilities


def write_questions():
    """Four letters in MMLU's CSV, and choices of several tokens in a BIG-bench file whose prompts look like tasks'."""
    letters = workspace() / "letters"
    (letters / "test").mkdir(parents=True, exist_ok=True)
    lines = [f'"Which of these is number {i}?",cat,"dog, or bird",stone,bridge,{"ABCD"[i % 4]}' for i in range(9)]
    (letters / "test" / "places_test.csv").write_text("\n".join(lines) + "\n")
    words = workspace() / "words"
    words.mkdir(exist_ok=True)
    examples = []
    for i, (prompt, answer) in enumerate(toy_rows("loud", 6, 5) + toy_rows("count", 3, 5) + toy_rows("other", 3, 5)):
        scores = {answer: 1, "a long stone bridge": 0, "ball": 1 if i == 2 else 0}
        examples.append({"input": prompt, "target_scores": scores})
    (words / "words.json").write_text(json.dumps({"name": "words", "examples": examples}))
    (words / "dataset_info.json").write_text(json.dumps(
        {"words": {"eval_file": "words.json", "train_file": "words.json", "formatting": "bigbench"}}))
    return letters, words


class Questions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = train("asked", train__num_train_epochs="4")
        run_ok("eval", "--run", cls.folder)
        cls.letters, cls.words = write_questions()
        cls.arguments = ("eval", "--run", cls.folder, "--questions", cls.letters, "--questions", cls.words)
        cls.before = digest(cls.folder / "eval/results.json")
        cls.out = run_ok(*cls.arguments).out
        cls.rows = read_lines(cls.folder / "eval/questions.jsonl")
        cls.results = read_json(cls.folder / "eval/questions.json")
        cls.tokenizer = Tokenizer.from_file(str(tiny_model() / "tokenizer.json"))
        cls.accept, cls.reject = (cls.encode(word)[0] for word in ("accept", "pass"))
        cls.models = {"base": AutoModelForCausalLM.from_pretrained(tiny_model(), dtype=torch.float32).eval()}
        for task in TASKS:
            out = workspace() / f"asked-{task}"
            run_ok("export", "--run", cls.folder, "--expert", task, "--out", out)
            base = AutoModelForCausalLM.from_pretrained(tiny_model(), dtype=torch.float32)
            cls.models[task] = PeftModel.from_pretrained(base, out).eval()

    @classmethod
    def encode(cls, text):
        return cls.tokenizer.encode(text, add_special_tokens=False).ids

    def prompt_ids(self, text):
        return (self.encode(f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n") + self.encode(text)
                + self.encode("<|im_end|>\n<|im_start|>assistant\n"))

    def prompts(self):
        lines = (self.letters / "test" / "places_test.csv").read_text().splitlines()
        letters = [f"Which of these is number {i}?\nA. cat\nB. dog, or bird\nC. stone\nD. bridge\nAnswer:"
                   for i in range(len(lines))]
        examples = json.loads((self.words / "words.json").read_text())["examples"]
        words = [e["input"] + "".join(f"\n  choice: {choice}" for choice in sorted(e["target_scores"]))
                 for e in examples]
        return letters + words

    @torch.no_grad()
    def likelihood(self, model, prompt, choice):
        start = prompt + ([] if model == "base" else [self.accept])
        tokens = self.encode(choice)
        logits = self.models[model](input_ids=torch.tensor([start + tokens])).logits[0].double()
        steps = logits.log_softmax(-1)[len(start) - 1:-1]
        return sum(steps[i, token].item() for i, token in enumerate(tokens))

    @torch.no_grad()
    def margin(self, model, prompt):
        logits = self.models[model](input_ids=torch.tensor([prompt])).logits[0, -1]
        return (logits[self.accept] - logits[self.reject]).item()

    def test_likelihoods_routes_and_scores(self):
        worst, answerers, right = 0.0, set(), {"places": [], "words": []}
        for row, prompt in zip(self.rows, map(self.prompt_ids, self.prompts()), strict=True):
            margins = {task: self.margin(task, prompt) for task in TASKS}
            who = next((task for task in reversed(TASKS) if margins[task] > 0), "base")
            self.assertEqual(row["answered_by"], who)
            answerers.add(who)
            for key, model in (("base", "base"), ("chain", who)):
                wanted = [self.likelihood(model, prompt, choice) for choice in row["choices"]]
                worst = max(worst, *(abs(a - b) for a, b in zip(row[key], wanted, strict=True)))
            best = {key: row["choices"][max(range(len(row[key])), key=row[key].__getitem__)] for key in ("base", "chain")}
            right[row["set"]].append({key: best[key] in row["right"] for key in best})
        print(f"likelihoods differ from PEFT's by at most {worst:.1e}; answered by {sorted(answerers)}")
        self.assertLess(worst, TOLERANCE)
        self.assertGreater(len(answerers), 1)  # else the chain's part of this test says nothing
        for found in self.results["sets"]:
            rows = right[found["name"]]
            self.assertEqual(found["questions"], len(rows))
            for key in ("base", "chain"):
                self.assertAlmostEqual(found[key]["accuracy"], 100 * statistics.mean(r[key] for r in rows), places=9)
            differences = [100 * (r["chain"] - r["base"]) for r in rows]
            self.assertAlmostEqual(found["difference"], statistics.mean(differences), places=9)
            self.assertAlmostEqual(found["difference_standard_error"],
                                   statistics.stdev(differences) / math.sqrt(len(rows)), places=9)
            counts = [row["answered_by"] for row in self.rows if row["set"] == found["name"]]
            self.assertEqual(found["answered_by"], {who: counts.count(who) for who in TASKS + ["base"]})
            self.assertAlmostEqual(found["left_to_base"], counts.count("base") / len(counts))
            self.assertIn(found["name"], self.out)

    def test_curve(self):
        """The area is the share of pairs (own query, question) in which the own query's margin is larger."""
        own = [max(line["margins"].values()) for line in read_lines(self.folder / "eval/predictions.jsonl")]
        foreign = [max(row["margins"].values()) for row in self.rows]
        pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in own for b in foreign]
        curve = self.results["roc"]
        self.assertAlmostEqual(curve["area"], statistics.mean(pairs), places=9)
        self.assertEqual((curve["own_queries"], curve["questions"]), (len(own), len(foreign)))
        for point in curve["points"]:
            self.assertAlmostEqual(point["own_accepted"], statistics.mean(a > point["threshold"] for a in own))

    def test_the_same_bits_over_ranks_and_the_matrix_stays(self):
        files = ("questions.json", "questions.jsonl")
        before = [digest(self.folder / "eval" / name) for name in files]
        run_ok(*self.arguments, ranks=3)
        self.assertEqual([digest(self.folder / "eval" / name) for name in files], before)
        self.assertEqual(digest(self.folder / "eval/results.json"), self.before)

    def test_another_router_and_methods_without_experts(self):
        run_ok(*self.arguments[:5], "--set", "method.router=analytic")
        self.assertNotIn("base", {row["answered_by"] for row in read_lines(self.folder / "eval/questions.jsonl")})
        carried = train("asked-carried", method__method="sequential", train__num_train_epochs="1")
        run_ok("eval", "--run", carried, "--questions", self.words)
        self.assertEqual({row["answered_by"] for row in read_lines(carried / "eval/questions.jsonl")}, {"last"})
        self.assertIsNone(read_json(carried / "eval/questions.json")["roc"])
        run_ok(*self.arguments)  # as the other tests found it

    def test_the_report_shows_them(self):
        run_ok("report", "--run", self.folder, "--out", workspace() / "questions.html")
        page = (workspace() / "questions.html").read_text()
        self.assertIn("General ability", page)
        self.assertIn(f"area {self.results['roc']['area']:.3f}", page)
        lines = (workspace() / "questions-general-ability.csv").read_text().splitlines()
        self.assertEqual([line.split(",")[1] for line in lines], ["questions", "places", "words"])
        self.assertEqual([float(line.split(",")[4]) for line in lines[1:]],
                         [found["chain"]["accuracy"] for found in self.results["sets"]])

    def test_what_is_refused(self):
        def refused(code, *words, folder=None, arguments=()):
            result = run("eval", "--run", self.folder, "--questions", folder or self.words, *arguments)
            self.assertEqual(result.code, code, result.text)
            for word in words:
                self.assertIn(word, result.text)

        refused(2, "true expert", arguments=("--set", "method.router=oracle"))
        refused(3, "/nowhere", folder="/nowhere")
        empty = workspace() / "no-questions"
        empty.mkdir(exist_ok=True)
        refused(3, "names no task", folder=empty)
        refused(3, "no choices", folder=workspace() / "data")
        broken = workspace() / "broken-questions" / "test"
        broken.mkdir(parents=True, exist_ok=True)
        (broken / "a_test.csv").write_text("Which?,a,b,c,d,E\n")
        refused(3, "a_test.csv", folder=broken.parent)


if __name__ == "__main__":
    run_tests()
