"""Margins and answers of a trained chain against real PEFT, through exported adapters."""

import json
import unittest

import torch
from peft import PeftModel
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from make_tiny_model import SYSTEM
from support import read_lines, run, run_ok, run_tests, tiny_model, toy_data, train, workspace

TASKS = ["loud", "count", "last"]
MARGIN_TOLERANCE = 1.5e-5  # measured 1.7e-6; other instruction sets sum in another order


class Peft(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = train("peft")
        run_ok("eval", "--run", cls.folder)
        cls.rows = read_lines(cls.folder / "eval/predictions.jsonl")
        cls.tokenizer = Tokenizer.from_file(str(tiny_model() / "tokenizer.json"))
        cls.accept, cls.reject = (cls.encode(word)[0] for word in ("accept", "pass"))
        cls.prompts = cls.read_prompts()
        cls.models = {}
        for task in TASKS:
            out = workspace() / f"peft-{task}"
            run_ok("export", "--run", cls.folder, "--expert", task, "--out", out)
            base = AutoModelForCausalLM.from_pretrained(tiny_model(), dtype=torch.float32)
            cls.models[task] = PeftModel.from_pretrained(base, out).eval()
        cls.models["base"] = AutoModelForCausalLM.from_pretrained(tiny_model(), dtype=torch.float32).eval()

    @classmethod
    def encode(cls, text):
        return cls.tokenizer.encode(text, add_special_tokens=False).ids

    @classmethod
    def read_prompts(cls):
        """(task, reference) -> prompt, of the task whose references are all different."""
        rows = [json.loads(line) for line in (toy_data() / "loud.eval.json").read_text().splitlines()]
        return {("loud", row["output"]): row["full_prompt"] for row in rows}

    def prompt_ids(self, text):
        return (self.encode(f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n") + self.encode(text)
                + self.encode("<|im_end|>\n<|im_start|>assistant\n"))

    @torch.no_grad()
    def logits(self, model, ids):
        return self.models[model](input_ids=torch.tensor([ids])).logits[0, -1].float()

    def answer(self, model, ids, num_tokens=6):
        tokens = []
        while len(tokens) < num_tokens:
            logits = self.logits(model, ids + tokens)
            if tokens or model != "base":
                logits[[self.accept, self.reject]] = -torch.inf
            best = logits.topk(2)
            if best.values[0] - best.values[1] < 2e-5:
                return None  # too near a tie to compare
            tokens.append(int(best.indices[0]))
            if tokens[-1] == 2:
                break
        return self.tokenizer.decode(tokens)

    def test_margins(self):
        compared, worst = 0, 0.0
        for row in self.rows:
            prompt = self.prompts.get((row["task"], row["references"][0]))
            if prompt is None:
                continue
            for task in TASKS:
                logits = self.logits(task, self.prompt_ids(prompt))
                wanted = (logits[self.accept] - logits[self.reject]).item()
                worst = max(worst, abs(row["margins"][task] - wanted))
                compared += 1
        print(f"margins differ from PEFT's by at most {worst:.1e}")
        self.assertLess(worst, MARGIN_TOLERANCE)
        self.assertEqual(compared, 15)

    def test_answers(self):
        compared = 0
        for row in self.rows:
            prompt = self.prompts.get((row["task"], row["references"][0]))
            if prompt is None:
                continue
            for name, answer in row["answers"].items():
                start = self.prompt_ids(prompt) + ([] if name == "base" else [self.accept])
                wanted = self.answer(name, start)
                if wanted is not None:
                    self.assertEqual(answer.strip(), wanted.strip(), (name, prompt))
                    compared += 1
        self.assertGreaterEqual(compared, 5)

    def test_ask_agrees_with_eval(self):
        lines = [json.dumps({"prompt": prompt}) for (task, _), prompt in self.prompts.items() if task == "loud"]
        asked = run_ok("ask", "--run", self.folder, "--json", "--jsonl", stdin="\n".join(lines) + "\n")
        found = asked.json_lines()
        self.assertEqual(len(found), len(lines))
        for line, row in zip(found, [row for row in self.rows if row["task"] == "loud"]):
            self.assertEqual(line["prompt"], self.prompts["loud", row["references"][0]])
            winner = row["answered_by"][-1]
            self.assertEqual((line["route"], line["expert"]),
                             ("base", None) if winner == "base" else ("expert", winner))
            self.assertEqual(line["answer"], row["answers"][winner])
            first = 0 if winner == "base" else TASKS.index(winner)
            self.assertEqual([expert["expert"] for expert in line["asked"]], TASKS[first:][::-1])
            for expert in line["asked"]:
                self.assertAlmostEqual(expert["margin"], row["margins"][expert["expert"]], delta=1e-5)
            self.assertEqual(line["prompt_tokens"], len(self.prompt_ids(line["prompt"])))

    def test_special_text_in_a_prompt_stays_text(self):
        prompt = "Say <|im_end|> and <|im_start|>"
        line = run_ok("ask", "--run", self.folder, "--json", prompt).json_lines()[0]
        self.assertEqual(line["prompt"], prompt)
        ids = run_ok("tokenize", "--model", tiny_model(), stdin=prompt + "\n").out.strip()
        self.assertFalse({1, 2} & set(json.loads(ids)))
        markers = len(self.prompt_ids("")) + len(json.loads(ids))
        self.assertEqual(line["prompt_tokens"], markers)

    def test_ask_base_alone(self):
        line = run_ok("ask", "--model", tiny_model(), "--json", "cat dog").json_lines()[0]
        self.assertEqual((line["route"], line["expert"], line["asked"]), ("base", None, []))
        stdin = run_ok("ask", "--model", tiny_model(), "--json", stdin="cat dog").json_lines()[0]
        self.assertEqual(stdin["answer"], line["answer"])

    def test_tokenize_equals_tokenizers(self):
        texts = ["cat  dog 1234", "Ünï ☃ 漢字 \U0001F600", "\ttab", "accept pass acceptpass"]
        result = run_ok("tokenize", "--model", tiny_model(), stdin="\n".join(texts) + "\n")
        self.assertEqual([json.loads(line) for line in result.out.splitlines()], [self.encode(t) for t in texts])

    def test_inspect(self):
        for path in (self.folder, self.folder / "experts/01-loud.h5", self.folder / "buffers/02-count.h5"):
            self.assertTrue(json.loads(run_ok("inspect", path, "--json").out))
            self.assertIn("loud" if path == self.folder else path.stem[3:], run_ok("inspect", path).out)

    def test_plan_trains_nothing(self):
        result = run_ok("plan", "--config", workspace() / "peft.cfg", "--ranks", "8", "--ranks-per-node", "4")
        for task in TASKS:
            self.assertIn(task, result.out)
        self.assertNotEqual(run("plan", "--config", workspace() / "peft.cfg", "--ranks", "0").code, 0)


if __name__ == "__main__":
    run_tests()
