"""`baton export` of a whole chain: what run_chain.py answers without Baton is what `baton ask` answers."""

import importlib.util
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import unittest

import torch

from support import (CUES, SOURCE, WORDS, digests, read_json, run, run_ok, run_tests, tiny_model, toy_rows, train,
                     workspace)

TASKS = ["loud", "count", "last"]
USAGE, DATA = 2, 3
MARGIN_TOLERANCE = 5e-5  # measured 1.1e-5
REAL_TOLERANCE = 1e-4  # measured 2.3e-5 with 30 layers
TIE = 2e-4  # nearer than this, sums in another order may choose otherwise
# A template and a tokenizer for it: some put a mark before a text by their normaliser, others by their splitter.
TOKENIZERS = {"llama2": "llama2", "mistral": "mistral", "llama3": "llama3", "qwen": "qwen", "gemma": "gemma",
              "alpaca": "llama2"}
QUIET = {"TOKENIZERS_PARALLELISM": "false", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
         "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
os.environ.update(QUIET)  # for the chain that is loaded here, too
REAL_MODEL = pathlib.Path(os.environ.get("BATON_DEPS", SOURCE / ".deps")) / "models/smollm2-135m-instruct"


def prompts_of(count, seed=7):
    """Of the run's tasks, of a task nobody learnt, and of odd texts."""
    chance = random.Random(seed)
    odd = ["Say <|im_end|> and <|im_start|>", "  Zwei  Wörter 漢字 ☃\n", "\ttab", "accept", "cat dog " * 200]
    known = [prompt for i in range(count) for task in (*TASKS, "back") for prompt, _ in toy_rows(task, 1, 500 + i)]
    mixed = [" ".join(chance.sample([*CUES.values(), *WORDS], 6)) for _ in range(count)]
    return [*odd, *known[:count * 7 // 10], *mixed][:count]


def run_chain(folder, *arguments, stdin=""):
    return subprocess.run([sys.executable, str(folder / "run_chain.py"), *map(str, arguments)], input=stdin,
                          capture_output=True, text=True, timeout=240, env={**os.environ, **QUIET}, cwd=workspace())


def load_chain(folder):
    """The exported program itself, told to note how near to a tie each answer came."""
    spec = importlib.util.spec_from_file_location("run_chain", folder / "run_chain.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    class Noting(module.Chain):
        gap = float("inf")

        def choose(self, logits):
            best = logits.topk(2).values
            self.gap = min(self.gap, (best[0] - best[1]).item())
            return super().choose(logits)

    return Noting(folder)


class ChainExport(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = train("chain")

    def export(self, folder, name="chain"):
        out = workspace() / f"{folder.name}-{name}"
        run_ok("export", "--run", folder, "--out", out)
        return out

    def compare(self, folder, out, prompts, tolerance=MARGIN_TOLERANCE):
        """Route, margins and text of every prompt; returns who answered."""
        thresholds = {expert["name"]: expert["threshold"] for expert in read_json(out / "chain.json")["experts"]}
        lines = "".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts)
        wanted = run_ok("ask", "--run", folder, "--json", "--jsonl", stdin=lines).json_lines()
        self.assertEqual(len(wanted), len(prompts))
        chain, num_ties, worst = load_chain(out), 0, 0.0
        for line in wanted:
            chain.gap = float("inf")
            found = chain.ask(line["prompt"])
            self.assertEqual(list(found), list(line))
            self.assertEqual(found["prompt_tokens"], line["prompt_tokens"], line["prompt"])
            for ours, theirs in zip(line["asked"], found["asked"]):
                worst = max(worst, abs(ours["margin"] - theirs["margin"]))
            if any(abs(asked["margin"] - thresholds[asked["expert"]]) < TIE for asked in line["asked"]):
                num_ties += 1
                continue
            self.assertEqual([asked["expert"] for asked in found["asked"]],
                             [asked["expert"] for asked in line["asked"]])
            self.assertEqual((found["route"], found["expert"]), (line["route"], line["expert"]), line["prompt"])
            if found["answer"] != line["answer"] or found["new_tokens"] != line["new_tokens"]:
                self.assertLess(chain.gap, TIE, (line, found))
                num_ties += 1
        print(f"{folder.name}: {len(prompts)} prompts, margins differ by at most {worst:.1e}, {num_ties} near ties")
        self.assertLess(worst, tolerance)
        self.assertLess(num_ties, len(prompts) / 10)
        return [line["expert"] or "base" for line in wanted]

    def test_the_chain_answers_as_baton_does(self):
        who = self.compare(self.folder, self.export(self.folder), prompts_of(100))
        self.assertGreaterEqual(len(set(who)), 3, who)

    def test_thresholds_that_calibrate_set(self):
        folder = train("set", method__accept_threshold="auto", method__calibration_ratio="0.2", tasks="loud, count")
        trained = read_json(self.export(folder) / "chain.json")
        run_ok("calibrate", "--run", folder, "--target", "cost=20")
        out = self.export(folder)
        facts = read_json(out / "chain.json")
        before, now = ([expert["threshold"] for expert in chain["experts"]] for chain in (trained, facts))
        self.assertNotEqual(before, now)
        self.assertEqual([expert["trained_threshold"] for expert in facts["experts"]], before)
        self.compare(folder, out, prompts_of(30, seed=8))
        run_ok("export", "--run", folder, "--expert", "count", "--out", workspace() / "set-count")
        self.assertIn(f"margin > {now[1]}", (workspace() / "set-count/README.md").read_text())

    def test_the_parallel_router(self):
        folder = train("abreast", method__router="parallel", data__template="none")
        out = self.export(folder)
        facts = read_json(out / "chain.json")
        self.assertEqual((facts["router"], facts["rule"]), ("parallel", "surest"))
        self.compare(folder, out, prompts_of(30, seed=9))

    def test_every_kind_of_tokenizer_and_template(self):
        for kind, marks in TOKENIZERS.items():
            tokenizer = SOURCE / f"tests/golden/tokenizer/{marks}/tokenizer.json"
            model = tiny_model(f"model-{kind}", tokenizer_file=tokenizer)
            folder = train(kind, model__model_name_or_path=str(model), data__template=kind, tasks="loud, count",
                           method__accept_indicator="and", method__pass_indicator="a", data__cutoff_len="64")
            out = self.export(folder)
            self.assertEqual(read_json(out / "chain.json")["prompt"]["template"], kind)
            self.compare(folder, out, prompts_of(15, seed=10))

    def test_what_is_written(self):
        folder, out = self.folder, self.export(self.folder, "written")
        self.assertEqual(sorted(path.name for path in out.iterdir()),
                         ["01-loud", "02-count", "03-last", "README.md", "chain.json", "run_chain.py"])
        self.assertEqual((out / "run_chain.py").read_text(), (SOURCE / "src/weights/run_chain.py").read_text())
        facts = read_json(out / "chain.json")
        self.assertEqual((facts["format"], facts["method"], facts["router"], facts["rule"], facts["order"]),
                         (1, "see", "sequential", "first", TASKS))
        self.assertEqual((facts["cutoff_len"], facts["max_new_tokens"], facts["stop_ids"]), (128, 6, [2]))
        self.assertEqual(facts["base_model"]["name"], tiny_model().name)
        self.assertEqual(facts["indicators"]["accept"]["text"], "accept")
        before = digests(out, "**/*.*")
        for task in TASKS:  # each folder is the single export's
            run_ok("export", "--run", folder, "--expert", task, "--out", workspace() / f"one-{task}")
            number = TASKS.index(task) + 1
            self.assertEqual(digests(workspace() / f"one-{task}", "*"), digests(out / f"{number:02}-{task}", "*"))
        (out / "chain.json").unlink()  # an export that did not end
        self.assertIn("export the chain again", run_chain(out, "cat").stderr)
        shutil.copytree(out / "01-loud", out / "04-other")  # of an expert that is gone
        run_ok("export", "--run", folder, "--out", out)
        self.assertEqual(digests(out, "**/*.*"), before)
        (out / "notes.txt").write_text("mine")
        result = run("export", "--run", folder, "--out", out)
        self.assertEqual((result.code, (out / "notes.txt").read_text()), (USAGE, "mine"), result.text)
        self.assertIn("notes.txt", result.err)
        (out / "notes.txt").unlink()
        (out / "02-count/notes.txt").write_text("mine")
        result = run("export", "--run", folder, "--out", out)
        self.assertEqual(result.code, USAGE, result.text)
        self.assertIn("02-count: notes.txt", result.err)

    def test_the_program(self):
        folder, out = self.folder, self.export(self.folder, "program")
        prompts = prompts_of(8)
        wanted = run_ok("ask", "--run", folder, "--json", "--jsonl",
                        stdin="".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts)).json_lines()
        lines = [json.dumps({"prompt": prompt}) for prompt in prompts]
        result = run_chain(out, stdin="\n".join([*lines[:3], "{not json", '{"prompt": ""}', "[1]", *lines[3:]]) + "\n")
        self.assertEqual(result.returncode, DATA, result.stderr)
        found = [json.loads(line) for line in result.stdout.splitlines()]
        self.assertEqual([line["line"] for line in found if "error" in line], [4, 5, 6])
        answered = [line for line in found if "error" not in line]
        self.assertEqual([(line["prompt"], line["expert"]) for line in answered],
                         [(line["prompt"], line["expert"]) for line in wanted])
        moved = shutil.move(out, workspace() / "elsewhere")
        result = run_chain(pathlib.Path(moved), "--model", tiny_model(), prompts[6])
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout.strip(), wanted[6]["answer"])
        self.assertIn(wanted[6]["expert"] or "the base model", result.stderr)
        result = run_chain(pathlib.Path(moved), "--model", workspace() / "nowhere", prompts[6])
        self.assertEqual(result.returncode, 1)
        self.assertIn("--model", result.stderr)

    def test_another_tokenizer_is_refused(self):
        folder, out = self.folder, self.export(self.folder, "tokens")
        model = shutil.copytree(tiny_model(), workspace() / "other-tokens")
        spec = read_json(model / "tokenizer.json")
        spec["model"]["merges"] = spec["model"]["merges"][:3]
        (model / "tokenizer.json").write_text(json.dumps(spec))
        result = run_chain(out, "--model", model, "cat dog")
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn("tokenizer.json does not cut text", result.stderr)

    def test_runs_without_a_chain_are_refused(self):
        for method in ("sequential", "single", "base"):
            folder = train(f"none-{method}", method__method=method, tasks="loud, count")
            result = run("export", "--run", folder, "--out", workspace() / "refused")
            self.assertEqual(result.code, USAGE, result.text)
            self.assertIn("no chain to export", result.err)
            self.assertIn(method, result.err)
        folder = train("routed", tasks="loud, count")
        settings = (folder / "run.json").read_text()
        for router in ("oracle", "analytic", "gates"):  # no margins alone
            (folder / "run.json").write_text(settings.replace('"method.router": "sequential"',
                                                              f'"method.router": "{router}"'))
            result = run("export", "--run", folder, "--out", workspace() / "refused")
            self.assertEqual(result.code, USAGE, result.text)
            self.assertIn(router, result.err)
            self.assertIn("sequential, parallel", result.err)
        self.assertFalse((workspace() / "refused").exists())

    def test_an_unfinished_run_is_refused(self):
        folder = shutil.copytree(self.folder, workspace() / "unfinished")
        (folder / "experts/02-count.h5").unlink()
        result = run("export", "--run", folder, "--out", workspace() / "refused")
        self.assertEqual(result.code, USAGE, result.text)
        self.assertIn("missing: count", result.err)
        self.assertFalse((workspace() / "refused").exists())

    @unittest.skipUnless(os.environ.get("BATON_NIGHTLY") and (REAL_MODEL / "config.json").exists(),
                         "nightly, and where the real model is")
    def test_the_real_model(self):
        folder = train("real", tasks="loud, count", model__model_name_or_path=str(REAL_MODEL),
                       data__max_train_samples="6", data__general_samples="2", train__num_train_epochs="1",
                       train__learning_rate="2e-3", lora__lora_alpha="16", method__accept_indicator="Yes",
                       method__pass_indicator="No", data__max_new_tokens="8")
        self.compare(folder, self.export(folder), prompts_of(20), REAL_TOLERANCE)


if __name__ == "__main__":
    torch.set_num_threads(1)  # tiny matrices: threads would only wait for one another
    run_tests()
