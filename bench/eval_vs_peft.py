#!/usr/bin/env python3
"""Evaluating a chain against transformers + PEFT: the same experts, queries, batches and answers, rounds in turn.

    python bench/eval_vs_peft.py --baton build/release/baton --run runs/quickstart [--rounds 3] [--threads 2]

`baton eval` fills the whole matrix. The peer does what the last stage, the oracle and the base rows need: it asks
expert after expert in batches of similar length, goes on from the keys and values of the rows that an expert accepted,
decodes what is still missing of the oracle, and the base's answer to every query. Neither side's loading of the model
is counted. Answers and routes are compared: a ratio of two different things would say nothing.
Printed, too: what the whole matrix costs over those rows, from the seconds and token counts of our own pass.
"""

import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ENVIRONMENT = {"TOKENIZERS_PARALLELISM": "false", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1",
               "OMP_WAIT_POLICY": "passive"}


class Peer:
    """The chain by transformers and PEFT, in one process that is told when to work."""

    def __init__(self, job):
        import torch
        from peft import PeftModel
        from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache
        self.torch, self.cache_type, self.job = torch, DynamicCache, job
        torch.set_num_threads(job["threads"])
        base = AutoModelForCausalLM.from_pretrained(job["model"], dtype=getattr(torch, job["dtype"]))
        self.tokenizer = AutoTokenizer.from_pretrained(job["model"])
        self.model = None
        for task in job["tasks"]:
            folder = os.path.join(job["adapters"], task)
            if self.model is None:
                self.model = PeftModel.from_pretrained(base, folder, adapter_name=task)
            else:
                self.model.load_adapter(folder, adapter_name=task)
        self.model.eval()
        self.indicators = [self.tokenizer.encode(word, add_special_tokens=False)[0] for word in job["indicators"]]
        self.prompts = []
        for query in job["queries"]:
            text = self.tokenizer.apply_chat_template([{"role": "user", "content": query["prompt"]}], tokenize=False,
                                                      add_generation_prompt=True)
            self.prompts.append(self.tokenizer.encode(text, add_special_tokens=False))

    def batches(self, queries):
        """Of similar length."""
        order = sorted(queries, key=lambda query: (len(self.prompts[query]), query))
        size = self.job["batch"]
        return [order[i:i + size] for i in range(0, len(order), size)]

    def read(self, batch):
        longest = max(len(self.prompts[query]) for query in batch)
        ids = self.torch.zeros((len(batch), longest), dtype=self.torch.long)
        mask = self.torch.zeros_like(ids)
        for row, query in enumerate(batch):
            ids[row, longest - len(self.prompts[query]):] = self.torch.tensor(self.prompts[query])
            mask[row, longest - len(self.prompts[query]):] = 1
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        out = self.model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=True, logits_to_keep=1)
        return ids, mask, out

    def go_on(self, ids, mask, cache, first, suppressed):
        """Greedy answers behind the cache; `first` is forced."""
        ones = self.torch.ones((len(ids), 1), dtype=self.torch.long)
        ids, mask = self.torch.cat([ids, ones * first], 1), self.torch.cat([mask, ones], 1)
        options = {"suppress_tokens": suppressed} if suppressed else {}
        out = self.model.generate(input_ids=ids, attention_mask=mask, past_key_values=cache, do_sample=False,
                                  max_new_tokens=self.job["max_new_tokens"], eos_token_id=self.job["stop_ids"],
                                  pad_token_id=self.job["stop_ids"][0], **options)
        return [self.tokenizer.decode(row[ids.shape[1]:], skip_special_tokens=True).strip() for row in out]

    def by_expert(self, task, queries, answers, decides):
        """Reads `queries` by an expert; decodes those that it accepts, or all of them. Returns those passed on."""
        self.model.set_adapter(task)
        passed = []
        for batch in self.batches(queries):
            ids, mask, out = self.read(batch)
            logits = out.logits[:, -1].float()
            margins = (logits[:, self.indicators[0]] - logits[:, self.indicators[1]]).tolist()
            taken = [row for row in range(len(batch)) if not decides or margins[row] > self.job["thresholds"][task]]
            passed += [batch[row] for row in range(len(batch)) if row not in taken]
            if not taken:
                continue
            cache = out.past_key_values
            rows = self.torch.tensor(taken)
            cache.batch_select_indices(rows)
            found = self.go_on(ids[rows], mask[rows], cache, self.indicators[0], self.indicators)
            for row, answer in zip(taken, found):
                answers[batch[row]] = (task, answer)
        return passed

    def by_base(self, queries, answers):
        with self.model.disable_adapter():
            for batch in self.batches(queries):
                longest = max(len(self.prompts[query]) for query in batch)
                ids = self.torch.zeros((len(batch), longest), dtype=self.torch.long)
                mask = self.torch.zeros_like(ids)
                for row, query in enumerate(batch):
                    ids[row, longest - len(self.prompts[query]):] = self.torch.tensor(self.prompts[query])
                    mask[row, longest - len(self.prompts[query]):] = 1
                out = self.model.generate(input_ids=ids, attention_mask=mask, do_sample=False,
                                          max_new_tokens=self.job["max_new_tokens"], eos_token_id=self.job["stop_ids"],
                                          pad_token_id=self.job["stop_ids"][0])
                for query, row in zip(batch, out):
                    answers[query] = ("base", self.tokenizer.decode(row[longest:], skip_special_tokens=True).strip())

    def evaluate(self):
        chain, oracle, base = {}, {}, {}
        with self.torch.inference_mode():
            start = time.monotonic()
            waiting = list(range(len(self.prompts)))
            for task in reversed(self.job["tasks"]):
                if waiting:
                    waiting = self.by_expert(task, waiting, chain, decides=True)
            chain_only = time.monotonic()
            self.by_base(range(len(self.prompts)), base)
            base_done = time.monotonic()
            chain.update((query, base[query]) for query in waiting)
            for task in self.job["tasks"]:
                own = [i for i, query in enumerate(self.job["queries"]) if query["task"] == task]
                missing = [i for i in own if chain[i][0] != task]
                oracle.update((i, chain[i]) for i in own if i not in missing)
                if missing:
                    self.by_expert(task, missing, oracle, decides=False)
        seconds = time.monotonic() - start
        share_of_base = len(waiting) / len(self.prompts)
        as_list = lambda answers: [answers[i] for i in range(len(self.prompts))]
        return {"seconds": seconds, "chain_seconds": chain_only - start + share_of_base * (base_done - chain_only),
                "chain": as_list(chain), "oracle": as_list(oracle), "base": as_list(base)}

    def serve(self):
        print(json.dumps({"ready": True}), flush=True)
        for _ in sys.stdin:
            print(json.dumps(self.evaluate()), flush=True)


def baton(binary, *arguments, threads):
    command = [str(binary.resolve()), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False,
                          env={**os.environ, **ENVIRONMENT, "OMP_NUM_THREADS": str(threads)})
    if done.returncode != 0:
        sys.exit(f"{command} ended with {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def read_lines(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def reads_share(queries, tasks):
    """Prompts read for the last stage, the oracle and the base rows, over those that our pass read."""
    reads = 0
    for query in queries:
        who = query["answered_by"][-1]
        asked = len(tasks) - (tasks.index(who) if who != "base" else 0)
        own_is_asked = tasks.index(query["task"]) >= len(tasks) - asked
        reads += asked + 1 + (0 if own_is_asked else 1)
    return reads / (len(queries) * (len(tasks) + 1))


def decoded_share(queries):
    """Answers that those rows need, over the answers that our pass decoded."""
    needed = sum(1 + len({query["answered_by"][-1], query["task"]} - {"base"}) for query in queries)
    return needed / sum(len(query["answers"]) for query in queries)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--baton", type=pathlib.Path)
    parser.add_argument("--run", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rows", type=int, default=24, help="evaluation rows a task")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--peer", type=pathlib.Path, help="used by this program itself")
    args = parser.parse_args()
    if args.peer:
        Peer(json.loads(args.peer.read_text())).serve()
        return
    config = json.loads((args.run / "run.json").read_text())["config"]
    tasks = config["data.tasks"].split(",")
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        run = shutil.copytree(args.run, place / "run")
        evaluation = ["eval", "--run", run, "--set", f"data.max_eval_samples={args.rows}", "--set",
                      f"eval.eval_batch_size={args.batch}", "--set", f"cluster.threads_per_rank={args.threads}"]
        baton(args.baton, *evaluation, threads=args.threads)
        thresholds = {}
        for i, task in enumerate(tasks):
            baton(args.baton, "export", "--run", run, "--expert", task, "--out", place / "adapters" / task,
                  threads=args.threads)
            expert = json.loads(baton(args.baton, "inspect", run / f"experts/{i + 1:02}-{task}.h5", "--json",
                                      threads=args.threads))
            thresholds[task] = expert["accept_threshold"]
        queries = read_lines(run / "eval/predictions.jsonl")
        generation = pathlib.Path(config["model.model_name_or_path"]) / "generation_config.json"
        eos = json.loads(generation.read_text())["eos_token_id"]
        job = {"threads": args.threads, "model": config["model.model_name_or_path"], "dtype": config["model.dtype"],
               "tasks": tasks, "adapters": str(place / "adapters"), "batch": args.batch, "thresholds": thresholds,
               "indicators": [config["method.accept_indicator"], config["method.pass_indicator"]],
               "max_new_tokens": int(config["data.max_new_tokens"]), "stop_ids": eos if isinstance(eos, list) else [eos],
               "queries": [{"task": query["task"], "prompt": query["prompt"]} for query in queries]}
        (place / "job.json").write_text(json.dumps(job))
        peer = subprocess.Popen([sys.executable, __file__, "--peer", str(place / "job.json")], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True,
                                env={**os.environ, **ENVIRONMENT, "OMP_NUM_THREADS": str(args.threads)})
        answer_of_peer = lambda: next(json.loads(line) for line in peer.stdout if line.startswith("{"))
        answer_of_peer()
        ours, theirs, chains = [], [], []
        for number in range(args.rounds):
            for side in ("ours", "theirs") if number % 2 == 0 else ("theirs", "ours"):
                if side == "ours":
                    shutil.rmtree(run / "eval")
                    baton(args.baton, *evaluation, threads=args.threads)
                    timings = json.loads((run / "eval/timings.json").read_text())
                    ours.append(timings["seconds"])
                else:
                    peer.stdin.write("go\n")
                    peer.stdin.flush()
                    found = answer_of_peer()
                    theirs.append(found["seconds"])
                    chains.append(found["chain_seconds"])
            print(f"round {number + 1}: baton eval {ours[-1]:.2f} s, transformers + PEFT {theirs[-1]:.2f} s "
                  f"(its chain alone about {chains[-1]:.2f} s)", flush=True)
        peer.stdin.close()
        peer.wait()
        routes = sum(query["answered_by"][-1] == who for query, (who, _) in zip(queries, found["chain"]))
        same = {"chain": sum(query["answer"] == text for query, (_, text) in zip(queries, found["chain"])),
                "base": sum(query["answers"]["base"] == text for query, (_, text) in zip(queries, found["base"])),
                "oracle": sum(query["answers"][query["task"]] == text
                              for query, (_, text) in zip(queries, found["oracle"]))}
        prefill = sum(rank["prefill_seconds"] for rank in timings["by_rank"])
        decode = sum(rank["decode_seconds"] for rank in timings["by_rank"])
        needed = prefill * reads_share(queries, tasks) + decode * decoded_share(queries)
        ratios = [theirs / ours for ours, theirs in zip(ours, theirs)]
        print(f"{len(queries)} queries, equal: routes {routes}, answers " +
              ", ".join(f"{key} {value}" for key, value in same.items()))
        print(f"transformers + PEFT over baton eval: median {statistics.median(ratios):.2f}, "
              f"{min(ratios):.2f} to {max(ratios):.2f}")
        print(f"whole matrix over last stage, oracle and base rows: {(prefill + decode) / needed:.2f} "
              f"(reading {prefill:.1f} s, decoding {decode:.1f} s)")


if __name__ == "__main__":
    main()
