"""The analytic router against a slow twin: transformers' hidden states, our own generator of the map, numpy's solver."""

import json
import unittest

import h5py
import numpy
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from make_tiny_model import SYSTEM
from support import digests, read_json, read_lines, run, run_ok, run_tests, tiny_model, toy_rows, train, workspace

TASKS = ["loud", "count", "last"]
WIDTH = 1024


def mersenne_twister_64(seed, count):
    """std::mt19937_64, from its definition."""
    mask = (1 << 64) - 1
    state = [seed]
    for i in range(1, 312):
        state.append((6364136223846793005 * (state[-1] ^ (state[-1] >> 62)) + i) & mask)
    drawn = []
    while len(drawn) < count:
        for i in range(312):
            mixed = (state[i] & 0xFFFFFFFF80000000) | (state[(i + 1) % 312] & 0x7FFFFFFF)
            state[i] = state[(i + 156) % 312] ^ (mixed >> 1) ^ (0xB5026F5AA96619E9 if mixed & 1 else 0)
        for value in state:
            value ^= (value >> 29) & 0x5555555555555555
            value ^= (value << 17) & 0x71D67FFFEDA60000
            value ^= (value << 37) & 0xFFF7EEE000000000
            drawn.append(value ^ (value >> 43))
    return drawn[:count]


class Analytic(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = train("analytic", ranks=2, train__num_train_epochs="1")
        cls.out = run_ok("eval", "--run", cls.folder, "--set", "eval.routers=analytic", ranks=2).text
        cls.tokenizer = Tokenizer.from_file(str(tiny_model() / "tokenizer.json"))
        cls.model = AutoModelForCausalLM.from_pretrained(tiny_model(), dtype=torch.float32).eval()

    def prompt_ids(self, text):
        encode = lambda part: self.tokenizer.encode(part, add_special_tokens=False).ids
        return (encode(f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n") + encode(text)
                + encode("<|im_end|>\n<|im_start|>assistant\n"))

    @torch.no_grad()
    def widened(self, text):
        layer = max(1, self.model.config.num_hidden_layers // 2)
        states = self.model(input_ids=torch.tensor([self.prompt_ids(text)]), output_hidden_states=True)
        hidden = states.hidden_states[layer][0].double().numpy()
        scaled = hidden / numpy.sqrt((hidden ** 2).mean(1, keepdims=True) + 1e-12)
        x = scaled.mean(0)
        phi = numpy.maximum(0, self.signs @ (x / numpy.sqrt((x ** 2).mean())) / numpy.sqrt(len(x)))
        return numpy.concatenate([[1], phi])

    def test_routes_of_every_stage(self):
        statistics = {}
        for i, task in enumerate(TASKS, 1):
            with h5py.File(self.folder / f"routers/0{i}-{task}.h5") as file:
                statistics[task] = {"sum": file["sum"][()].astype(float), "gram": file["gram"][()].astype(float),
                                    "rows": int(file.attrs["num_rows"]), "seed": int(file.attrs["seed"]),
                                    "inputs": int(file.attrs["num_inputs"])}
        seed, inputs = statistics["loud"]["seed"], statistics["loud"]["inputs"]
        words = mersenne_twister_64(seed, -(-(WIDTH - 1) * inputs // 64))
        bits = [(word >> i) & 1 for word in words for i in range(64)][:(WIDTH - 1) * inputs]
        self.signs = numpy.where(numpy.array(bits).reshape(WIDTH - 1, inputs) == 1, 1.0, -1.0)
        for task in ("loud", "count"):  # of the third a seed chooses the rows
            phi = numpy.array([self.widened(text) for text, _ in toy_rows(task, 20, 1)])
            self.assertEqual(statistics[task]["rows"], len(phi))
            self.assertLess(abs(statistics[task]["sum"] - phi.sum(0)).max(), 1e-3)
            self.assertLess(abs(statistics[task]["gram"] - phi.T @ phi).max(), 1e-3)
        counts = {}
        results = read_json(self.folder / "eval/results.json")["routers"]["analytic"]
        sums = [[0.0] * 3 for _ in range(4)]
        for line in read_lines(self.folder / "eval/predictions.jsonl"):
            place = TASKS.index(line["task"])
            phi = self.widened(line["prompt"])
            for stage in range(4):
                who = "base"
                if stage:
                    gram = sum(statistics[task]["gram"] / statistics[task]["rows"] for task in TASKS[:stage])
                    gram += 1e-3 * gram.diagonal().mean() * numpy.eye(WIDTH)
                    means = [statistics[task]["sum"] / statistics[task]["rows"] for task in TASKS[:stage]]
                    who = TASKS[int(numpy.argmax(numpy.linalg.solve(gram, numpy.array(means).T).T @ phi))]
                sums[stage][place] += line["scores"][who] / 5
            counts[line["task"], who] = counts.get((line["task"], who), 0) + 1
        for stage in range(4):
            for place in range(3):
                self.assertAlmostEqual(results["matrix"][stage][place], sums[stage][place], 9)
        for place, task in enumerate(TASKS):
            for other, who in enumerate((*TASKS, "base")):
                self.assertEqual(results["routing"][place][other], counts.get((task, who), 0))
        self.assertGreater(results["routing_accuracy"], 0.9)
        self.assertEqual(results["cost"]["experts_asked_mean"], 0)

    def test_the_same_bits_for_any_ranks_and_any_order(self):
        alone = train("analytic-alone", train__num_train_epochs="1")
        run_ok("eval", "--run", alone, "--set", "eval.routers=analytic")
        for pattern in ("routers/*.h5", "eval/results.json", "eval/predictions.jsonl"):
            self.assertEqual(digests(alone, pattern), digests(self.folder, pattern))
        other = train("analytic-order", tasks="count, loud, last", train__num_train_epochs="1")
        run_ok("eval", "--run", other, "--set", "method.router=analytic")
        self.assertEqual(digests(other, "routers/*loud.h5").popitem()[1], digests(alone, "routers/*loud.h5").popitem()[1])
        answers = lambda folder: {(line["task"], line["id"]): line["answered_by"][-1]
                                  for line in read_lines(folder / "eval/predictions.jsonl")}
        run_ok("eval", "--run", alone, "--set", "method.router=analytic")
        self.assertEqual(answers(other), answers(alone))
        run_ok("eval", "--run", alone, "--set", "eval.routers=analytic")

    def test_asking(self):
        lines = [json.dumps({"prompt": text}) for task in TASKS for text, _ in toy_rows(task, 3, 2)]
        found = run_ok("ask", "--run", self.folder, "--json", "--jsonl", "--set", "method.router=analytic",
                       stdin="\n".join(lines) + "\n").json_lines()
        self.assertEqual([line["asked"] for line in found], [[]] * 9)
        right = sum(line["expert"] == task for line, task in zip(found, (task for task in TASKS for _ in range(3))))
        self.assertGreaterEqual(right, 8)

    def test_what_is_missing_is_said(self):
        fresh = train("analytic-fresh", train__num_train_epochs="1")
        refused = run("ask", "--run", fresh, "--set", "method.router=analytic", "hello")
        self.assertEqual(refused.code, 2)
        self.assertIn("eval.routers=analytic", refused.err)
        run_ok("eval", "--run", fresh, "--set", "eval.routers=analytic")
        path = fresh / "routers/02-count.h5"
        path.write_bytes(path.read_bytes()[:-100])
        self.assertEqual(run("eval", "--run", fresh, "--set", "eval.routers=analytic").code, 4)
        path.unlink()
        self.assertIn("count", run_ok("eval", "--run", fresh, "--set", "eval.routers=analytic").err)


if __name__ == "__main__":
    run_tests()
