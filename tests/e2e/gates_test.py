"""The router `gates` against a slow twin: gates learnt with torch on transformers' model, answers of mixtures decoded
without a cache, each linear's weights written out token by token."""

import json
import shutil
import signal
import subprocess
import unittest

import h5py
import numpy
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, get_linear_schedule_with_warmup

from make_tiny_model import SYSTEM
from processes import wait_for
from support import (digests, find_binary, read_json, read_lines, run, run_ok, run_tests, tiny_model, toy_rows, train,
                     workspace)

TASKS = ["loud", "count", "last"]
STEPS = 40
END = 2
STAGES = ["base", "loud", "loud + count", "loud + count + last"]
EVAL = ("--set", f"method.gate_steps={STEPS}")


def layer_norm(x):
    return torch.nn.functional.layer_norm(x, x.shape[-1:])


class GatedLinear(torch.nn.Module):
    """W x + sum over experts of weight(x) * scale * B A x."""

    def __init__(self, linear):
        super().__init__()
        self.linear, self.experts, self.mode = linear, {}, []

    def forward(self, x):
        y = self.linear(x)
        if not self.mode:
            return y
        parts = [self.experts[name] for name in self.mode]
        if self.learning:
            weights = torch.sigmoid(x @ parts[0]["gate"]).unsqueeze(0)
        else:
            scores = torch.stack([(layer_norm(x) * layer_norm(part["gate"])).sum(-1) / x.shape[-1] ** 0.5
                                  for part in parts])
            shares = torch.softmax(scores, 0)
            if len(parts) > 2:
                shares = torch.where(shares >= torch.topk(shares, 2, 0).values[-1:], shares, 0)
            weights = shares / shares.sum(0, keepdim=True)
        for weight, part in zip(weights, parts):
            y = y + weight.unsqueeze(-1) * part["scale"] * (x @ part["A"].T @ part["B"].T)
        return y


class Gates(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # All rows in each update: the order in which they are drawn is then no matter.
        cls.folder = train("gates", ranks=2, train__train_batch_size="20", train__micro_batch_size="5",
                           train__num_train_epochs="30")
        cls.experts = digests(cls.folder, "experts/*.h5", "buffers/*.h5")
        cls.fresh = workspace() / "gates-fresh"
        shutil.copytree(cls.folder, cls.fresh)
        cls.told = run_ok("eval", "--run", cls.folder, "--set", "eval.routers=parallel,analytic,gates", *EVAL, ranks=2)
        cls.results = read_json(cls.folder / "eval/results.json")
        cls.rows = read_lines(cls.folder / "eval/predictions.jsonl")
        cls.tokenizer = Tokenizer.from_file(str(tiny_model() / "tokenizer.json"))
        cls.model = AutoModelForCausalLM.from_pretrained(tiny_model(), dtype=torch.float32).eval()
        cls.model.requires_grad_(False)
        cls.accept, cls.reject = (cls.tokenizer.encode(word, add_special_tokens=False).ids[0]
                                  for word in ("accept", "pass"))
        cls.linears = {}
        for task_index, task in enumerate(TASKS, 1):
            with h5py.File(cls.folder / f"experts/0{task_index}-{task}.h5") as file:
                scale = file.attrs["lora_alpha"] / file.attrs["lora_rank"]
                arrays = {name: torch.tensor(array[()]) for name, array in file["adapter"].items()}
            with h5py.File(cls.folder / f"routers/0{task_index}-{task}.gates.h5") as file:
                gates = {name: torch.tensor(array[()]) for name, array in file["gates"].items()}
            for name, a in arrays.items():
                if not name.endswith(".lora_A.weight"):
                    continue
                place = name.removesuffix(".lora_A.weight").removeprefix("base_model.model.")
                if place not in cls.linears:
                    parent, child = place.rsplit(".", 1)
                    cls.linears[place] = GatedLinear(cls.model.get_submodule(place))
                    setattr(cls.model.get_submodule(parent), child, cls.linears[place])
                cls.linears[place].experts[task] = {
                    "A": a, "B": arrays[name.replace("lora_A", "lora_B")], "scale": float(scale),
                    "gate": gates[f"base_model.model.{place}.gate"]}

    def use(self, names, learning=False):
        for linear in self.linears.values():
            linear.mode, linear.learning = names, learning

    def ids(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def prompt_ids(self, text):
        return (self.ids(f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n") + self.ids(text)
                + self.ids("<|im_end|>\n<|im_start|>assistant\n"))

    def learn(self, task):
        """Gates of one expert; the answer counts, the indicator before it does not."""
        kept = {place: linear.experts[task]["gate"] for place, linear in self.linears.items()}
        new = {place: torch.zeros_like(gate, requires_grad=True) for place, gate in kept.items()}
        for place, linear in self.linears.items():
            linear.experts[task]["gate"] = new[place]
        self.use([task], learning=True)
        optimizer = torch.optim.AdamW(new.values(), lr=5e-3, weight_decay=0)
        schedule = get_linear_schedule_with_warmup(optimizer, -(-STEPS * 6 // 100), STEPS)
        rows = [(self.prompt_ids(prompt) + [self.accept], self.ids(answer) + [END])
                for prompt, answer in toy_rows(task, 20, 1)]
        total = sum(len(answer) for _, answer in rows)
        losses = []
        for _ in range(STEPS):
            loss = 0
            for prompt, answer in rows:
                logits = self.model(input_ids=torch.tensor([prompt + answer])).logits[0, len(prompt) - 1:-1]
                loss = loss + torch.nn.functional.cross_entropy(logits, torch.tensor(answer), reduction="sum") / total
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(new.values(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        for place, linear in self.linears.items():
            linear.experts[task]["gate"] = kept[place]
        return {place: gate.detach() for place, gate in new.items()}, kept, losses

    def test_learnt_gates_are_the_twins(self):
        for place, task in enumerate(TASKS[:2], 1):
            twin, ours, losses = self.learn(task)
            with h5py.File(self.folder / f"routers/0{place}-{task}.gates.h5") as file:
                self.assertEqual((file.attrs["num_rows"], file.attrs["steps"]), (20, STEPS))
                self.assertAlmostEqual(file.attrs["first_loss"], losses[0], delta=1e-5)
                self.assertAlmostEqual(file.attrs["last_loss"], losses[-1], delta=1e-5)
            self.assertLess(losses[-1], losses[0])
            flat = lambda gates: torch.cat([gates[name] for name in sorted(gates)])
            difference, size = (flat(twin) - flat(ours)).norm().item(), flat(twin).norm().item()
            print(f"{task}: gates of size {size:.3f} differ by {difference:.1e}, loss {losses[0]:.4f} to {losses[-1]:.4f}")
            self.assertGreater(size, 0.1)
            self.assertLess(difference, 2e-5 * size)

    @torch.no_grad()
    def answer(self, names, prompt):
        """None where the choice of a token, or of the experts kept, is too near a tie to compare."""
        self.use(names)
        tokens = []
        start = self.prompt_ids(prompt) + ([self.accept] if names else [])
        for _ in range(6):
            logits = self.model(input_ids=torch.tensor([start + tokens])).logits[0, -1]
            if names:
                logits[[self.accept, self.reject]] = -torch.inf
            best = torch.topk(logits, 2)
            if best.values[0] - best.values[1] < 1e-4:
                return None
            tokens.append(int(best.indices[0]))
            if tokens[-1] == END:
                break
        return self.tokenizer.decode(tokens).strip()

    def test_answers_of_mixtures_are_the_twins(self):
        compared = 0
        for row in self.rows:
            for stage in (1, 2, 3):
                wanted = self.answer(TASKS[:stage], row["prompt"])
                if wanted is not None:
                    self.assertEqual(row["answers"][STAGES[stage]], wanted, (stage, row["prompt"]))
                    compared += 1
        print(f"{compared} of {3 * len(self.rows)} answers compared")
        self.assertGreater(compared, 2 * len(self.rows))
        mixed = [row["answers"][STAGES[3]] for row in self.rows]
        self.assertNotEqual(mixed, [row["answers"][row["task"]] for row in self.rows], "a mixture is no single expert")

    def test_what_the_results_say(self):
        scores = self.results["routers"]["gates"]
        self.assertIsNone(scores["routing"])
        self.assertIsNone(scores["routing_accuracy"])
        self.assertIsNotNone(self.results["routers"]["analytic"]["routing"])
        self.assertEqual(scores["cost"]["experts_asked_mean"], 0)
        for stage in range(4):
            for place, task in enumerate(TASKS):
                mean = numpy.mean([row["scores"][STAGES[stage]] for row in self.rows if row["task"] == task])
                self.assertAlmostEqual(scores["matrix"][stage][place], mean, 9)
        self.assertEqual(digests(self.folder, "experts/*.h5", "buffers/*.h5"), self.experts)
        timings = read_json(self.folder / "eval/timings.json")
        self.assertEqual((timings["queries"], timings["queries_before"]), (15, 0))
        self.assertNotIn("method.gate_learning_rate", self.results["settings"])
        self.assertEqual(self.results["settings"]["method.gate_steps"], str(STEPS))

    def test_the_same_bits_for_any_ranks_and_beside_any_routers(self):
        wanted = digests(self.folder, "routers/*.gates.h5")
        self.assertEqual(len(wanted), 3)
        for ranks in (0, 3, 4):
            other = workspace() / f"gates-ranks-{ranks}"
            shutil.copytree(self.fresh, other)
            run_ok("eval", "--run", other, "--set", "method.router=gates", *EVAL, ranks=ranks)
            self.assertEqual(digests(other, "routers/*.gates.h5"), wanted)
            results = read_json(other / "eval/results.json")
            for key in ("matrix", "AR", "BWT", "FWT", "forgetting", "routing", "routing_accuracy"):
                self.assertEqual(results[key], self.results["routers"]["gates"][key])
            for row, beside in zip(read_lines(other / "eval/predictions.jsonl"), self.rows):
                self.assertEqual(row["answered_by"], STAGES)
                self.assertEqual(row["answer"], beside["answers"][STAGES[3]])
        for router in ("sequential", "parallel", "analytic"):
            run_ok("eval", "--run", self.fresh, "--set", f"method.router={router}")
            alone = read_json(self.fresh / "eval/results.json")
            beside = self.results["routers"][router]
            for key in ("matrix", "AR", "BWT", "FWT", "forgetting", "routing", "routing_accuracy"):
                self.assertEqual(alone[key], beside[key], router)
        run_ok("report", "--run", workspace() / "gates-ranks-0")
        self.assertNotIn("no experts to choose from", (workspace() / "gates-ranks-0/report.html").read_text())

    def test_asking(self):
        prompts = [row["prompt"] for row in self.rows]
        lines = "\n".join(json.dumps({"prompt": prompt}) for prompt in prompts) + "\n"
        found = run_ok("ask", "--run", self.folder, "--json", "--jsonl", "--set", "method.router=gates", *EVAL,
                       stdin=lines).json_lines()
        for line, row in zip(found, self.rows, strict=True):
            self.assertEqual((line["route"], line["expert"], line["experts"], line["asked"]),
                             ("expert", None, TASKS, []))
            self.assertEqual(line["answer"], row["answers"][STAGES[3]])
        text = run_ok("ask", "--run", self.folder, "--set", "method.router=gates", *EVAL, prompts[0])
        self.assertIn("experts loud, count, last together", text.err)

    def test_one_expert_alone_has_weight_1(self):
        folder = train("gates-one", tasks="loud", train__num_train_epochs="1")
        run_ok("eval", "--run", folder, "--set", "eval.routers=gates", *EVAL)
        results = read_json(folder / "eval/results.json")
        self.assertEqual(results["routers"]["gates"]["matrix"][1], results["oracle"])
        self.assertEqual(digests(folder, "routers/*"), {}, "nothing is to be learnt for that")
        line = run_ok("ask", "--run", folder, "--json", "--set", "method.router=gates", "hello").json_lines()[0]
        self.assertEqual((line["route"], line["expert"]), ("expert", "loud"))

    def test_what_does_not_fit_is_said(self):
        folder = workspace() / "gates-unfit"
        shutil.copytree(self.fresh, folder)
        ask = ("ask", "--run", folder, "--set", "method.router=gates", *EVAL, "hello")
        refused = run(*ask)
        self.assertEqual(refused.code, 2)
        self.assertIn("eval.routers=gates", refused.err)
        shutil.copytree(self.folder / "routers", folder / "routers", dirs_exist_ok=True)  # not in run.json: their checksums decide
        run_ok("eval", "--run", folder, "--set", "eval.routers=gates", *EVAL)
        run_ok(*ask)
        other = run("ask", "--run", folder, "--set", "method.router=gates", "hello")  # 100 steps
        self.assertEqual(other.code, 2)
        self.assertIn("gate_steps: expected 100, found 40", other.err)
        path = folder / "routers/02-count.gates.h5"
        whole = path.read_bytes()
        path.write_bytes((folder / "routers/01-loud.gates.h5").read_bytes())
        foreign = run(*ask)
        self.assertEqual(foreign.code, 2)
        self.assertIn("task: expected count, found loud", foreign.err)
        path.write_bytes(whole[:-100])
        self.assertEqual(run("eval", "--run", folder, "--set", "eval.routers=gates", *EVAL).code, 4)
        path.unlink()
        self.assertIn("count: gates learnt on 20 rows", run_ok("eval", "--run", folder, "--set", "eval.routers=gates",
                                                               *EVAL).err)
        self.assertEqual(path.read_bytes(), whole)

        run_ok("train", "--config", str(workspace() / "gates.cfg"), "--set", f"output.output_dir={folder}", "--set",
               "train.num_train_epochs=29", "--replace", "all")
        foreign = run(*ask)
        self.assertEqual(foreign.code, 2)
        self.assertIn("expert_sha256", foreign.err)
        self.assertIn("is learnt anew", run_ok("eval", "--run", folder, "--set", "eval.routers=gates", *EVAL).err)
        run_ok(*ask)

    def test_questions_are_for_routers_that_pick(self):
        refused = run("eval", "--run", self.folder, "--questions", workspace(), "--set", "method.router=gates")
        self.assertEqual(refused.code, 2)
        self.assertIn("several experts answer as one", refused.err)

    def test_a_stop_keeps_what_is_finished(self):
        folder = workspace() / "gates-stop"
        shutil.copytree(self.fresh, folder)
        command = [str(find_binary()), "eval", "--run", str(folder), "--set", "eval.routers=gates", "--set",
                   "method.gate_steps=300"]
        program = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        first = folder / "routers/01-loud.gates.h5"
        wait_for(lambda: first.exists() or program.poll() is not None, "the first gates")
        program.send_signal(signal.SIGTERM)
        _, told = program.communicate(timeout=60)
        self.assertEqual(program.returncode, 75, told)
        self.assertFalse((folder / "routers/03-last.gates.h5").exists())
        kept = first.read_bytes()
        self.assertEqual(read_json(folder / "status.json")["state"], "stopped")
        told = run_ok(*command[1:]).err
        self.assertNotIn("loud: gates learnt", told)
        self.assertIn("last: gates learnt", told)
        self.assertEqual(first.read_bytes(), kept)


if __name__ == "__main__":
    run_tests()
