#!/usr/bin/env python3
"""A person's own small tasks at the defaults: sets of 20, 40 and 100 rows a task, far and near and twins, three seeds.

    bench/small_tasks.py --baton build/release/baton --out /tmp/small-tasks
    bench/small_tasks.py --baton build/release/baton --out /tmp/small-tasks --variant no_general --sets far20,near20 --seeds 1
    bench/small_tasks.py --baton build/release/baton --out /tmp/small-tasks --variant ablation --sets near100,twins100

Each run is `baton train` and `baton eval` of a config that names model, data, tasks, output and the seed, and nothing
else; a variant takes one part of the recipe away or sets one key. Beside the scores: which share of the eval rows every
expert accepts of its own task, of those known to it (the earlier ones), and of those it never saw (the later ones; apart
for the expert trained first). What is measured already is not measured again. The rows come from the tasks of
launch/common.sh (BIG-bench), written in alpaca form with instructions of our own; a seed draws its own rows.
"""
import argparse
import json
import os
import pathlib
import random
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
EVAL_ROWS = 16

# Task -> (file of the tasks folder, instruction).
TASKS = {
    "plural": ("plural.json", "Write the plural of this noun."),
    "past": ("past.json", "Put this verb into the past tense."),
    "german_past": ("german_past.json", "Put this verb into the past tense."),
    "question": ("question.json", "Turn this sentence into a question."),
    "negation": ("negation.json", "Say that the opposite is true."),
    "pronoun": ("pronoun.json", "Replace the repeated name by a pronoun."),
    "intent": ("intent.json", "What does the user want from the assistant?"),
    "restaurant": ("restaurant.json", "Describe the restaurant in one sentence."),
    "sports": ("sports.json", "Is this sentence about sports plausible?"),
}

# Sentence pairs under nearly one instruction: (file of the sentences and what may be made of them, what it is called).
TWINS = {
    "pair_question": ("question.json", "the question to"),
    "pair_negation": ("negation.json", "the opposite of"),
    "pair_pronoun": ("pronoun.json", "a shorter form of"),
}

# Near: the same words or sentences go in, or the same instruction stands above them.
SETS = {
    "far20": (20, ["plural", "restaurant"]),
    "near20": (20, ["question", "negation"]),
    "far40": (40, ["intent", "pronoun"]),
    "near40": (40, ["plural", "past"]),
    "far100": (100, ["sports", "question"]),
    "near100": (100, ["past", "german_past"]),
    "twins100": (100, ["pair_question", "pair_negation", "pair_pronoun"]),
}

# What each part of the recipe brings: the defaults without it; then one key each.
VARIANTS = {
    "default": [],
    "weight_0.5": ["method.indicator_loss_weight=0.5"],
    "weight_2": ["method.indicator_loss_weight=2"],
    "weight_4": ["method.indicator_loss_weight=4"],
    "mismatch": ["method.mismatch_ratio=0.5"],
    "mismatch_only": ["method.mismatch_ratio=0.5", "data.general=none"],
    "balanced_batches": ["method.balanced_batches=true"],
    "tau_1": ["method.negative_ratio=0.01", "method.negative_floor=0"],
    "tau_5": ["method.negative_ratio=0.05", "method.negative_floor=0"],
    "tau_10": ["method.negative_ratio=0.1", "method.negative_floor=0"],
    "tau_25": ["method.negative_ratio=0.25", "method.negative_floor=0"],
    "kmeans": ["method.buffer_selection=kmeans", "method.buffer_floor=0", "method.negative_floor=0"],
    "no_prior": ["method.accept_threshold=0", "method.indicator_balance=false"],
    "prior": ["method.accept_threshold=0", "method.indicator_balance=false", "method.prior_correction=true"],
    "no_floors": ["method.negative_floor=0", "method.buffer_floor=0"],
    "no_general": ["data.general=none"],
    "no_balance": ["method.indicator_balance=false"],
    "threshold_0": ["method.accept_threshold=0"],
    "nothing": ["method.negative_floor=0", "method.buffer_floor=0", "data.general=none",
                "method.indicator_balance=false", "method.accept_threshold=0"],
}
ABLATION = ["default", "weight_0.5", "weight_2", "weight_4", "no_prior", "prior", "no_general", "mismatch", "mismatch_only",
            "balanced_batches", "tau_1", "tau_5", "tau_10", "tau_25", "kmeans"]


def answers_of(example):
    if "target" in example:
        target = example["target"]
        return target if isinstance(target, list) else [target]
    best = max(example["target_scores"].values())
    return [choice for choice, score in example["target_scores"].items() if score == best]


def write_rows(name, rows, num_train, folder):
    for split, part in (("train", rows[:num_train]), ("eval", rows[num_train:])):
        (folder / f"{name}.{split}.json").write_text(json.dumps(part, ensure_ascii=False, indent=0), encoding="utf-8")


def write_twin(name, num_train, seed, source, folder):
    """Half of the second sentences belong to the first one, half to another."""
    file, called = TWINS[name]
    examples = json.loads((source / file).read_text(encoding="utf-8"))["examples"]
    chance = random.Random(f"{name} {seed}")
    firsts = {example["input"]: answers_of(example)[0] for example in examples}
    chosen = chance.sample(sorted(firsts), num_train + EVAL_ROWS)
    rows = []
    for place, first in enumerate(chosen):
        belongs = chance.random() < 0.5
        second = firsts[first] if belongs else firsts[chosen[place - 1]]
        rows.append({"instruction": f"Is the second sentence {called} the first one? Answer yes or no.",
                     "input": f"First: {first}\nSecond: {second}", "output": "yes" if belongs else "no"})
    write_rows(name, rows, num_train, folder)


def write_task(name, num_train, seed, source, folder):
    if name in TWINS:
        write_twin(name, num_train, seed, source, folder)
        return
    file, instruction = TASKS[name]
    examples = json.loads((source / file).read_text(encoding="utf-8"))["examples"]
    seen, rows = set(), []
    for example in random.Random(f"{name} {seed}").sample(examples, len(examples)):
        if example["input"] in seen:
            continue
        seen.add(example["input"])
        text = example["input"].removeprefix("Utterance: ")
        row = {"instruction": instruction or text, "input": text if instruction else "",
               "output": answers_of(example)[0]}
        rows.append(row)
        if len(rows) == num_train + EVAL_ROWS:
            break
    write_rows(name, rows, num_train, folder)


def make_set(name, seed, source, folder):
    num_train, tasks = SETS[name]
    folder.mkdir(parents=True, exist_ok=True)
    for task in tasks:
        write_task(task, num_train, seed, source, folder)
    info = {task: {"train_file": f"{task}.train.json", "eval_file": f"{task}.eval.json"} for task in tasks}
    (folder / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")
    return tasks


def accepted_shares(baton, run, tasks):
    """Shares of eval rows accepted: own, of earlier tasks, of later ones, of later ones by the first expert."""
    thresholds = {}
    for place, task in enumerate(tasks):
        shown = subprocess.run([str(baton), "inspect", "--json", str(run / f"experts/{place + 1:02d}-{task}.h5")],
                               check=True, capture_output=True, text=True)
        thresholds[task] = json.loads(shown.stdout)["accept_threshold"]
    lists = {"own": [], "known": [], "unseen": [], "first_unseen": []}
    for line in (run / "eval/predictions.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for place, task in enumerate(tasks):
            accepts = row["margins"][task] > thresholds[task]
            asked = tasks.index(row["task"])
            lists["own" if asked == place else "known" if asked < place else "unseen"].append(accepts)
            if place == 0 and asked > 0:
                lists["first_unseen"].append(accepts)
    return {kind: round(statistics.mean(values), 4) for kind, values in lists.items()}


def run_one(arguments, name, seed, variant):
    folder = arguments.out / f"{name}-{seed}"
    tasks = make_set(name, seed, arguments.tasks, folder)
    run = arguments.out / "runs" / f"{name}-{seed}-{variant}"
    config = folder / f"{variant}.cfg"
    config.write_text(
        f"[model]\nmodel_name_or_path = {arguments.model}\n[data]\ndataset_dir = {folder}\ntasks = {', '.join(tasks)}\n"
        f"[train]\nseed = {seed}\n[output]\noutput_dir = {run}\n", encoding="utf-8")
    settings = [argument for setting in VARIANTS[variant] for argument in ("--set", setting)]
    machine = ["--set", f"cluster.threads_per_rank={arguments.threads}", "--set", "cluster.timeout_seconds=0"]
    begin = time.monotonic()
    with open(arguments.out / f"{name}-{seed}-{variant}.log", "a", encoding="utf-8") as log:
        for command in ([arguments.baton, "train", "--config", config, *settings],
                        [arguments.baton, "eval", "--run", run, "--set", "data.max_new_tokens=24"]):
            done = subprocess.run([str(part) for part in (*command, *machine)], stdout=log, stderr=log,
                                  stdin=subprocess.DEVNULL)
            if done.returncode != 0:
                sys.exit(f"{name}, seed {seed}, {variant}: {command[1]} ended with {done.returncode}; see {log.name}")
    results = json.loads((run / "eval/results.json").read_text(encoding="utf-8"))
    mean = statistics.mean
    return {"set": name, "seed": seed, "variant": variant, "tasks": tasks, "routing": results["routing_accuracy"],
            "chain": results["AR"], "oracle": mean(results["oracle"]), "base": mean(results["base"]),
            "BWT": results["BWT"], **accepted_shares(arguments.baton, run, tasks), "seconds": round(time.monotonic() - begin, 1)}


def print_table(lines):
    print("| set | variant | seeds | base | chain | oracle | own | known | unseen | unseen, first expert | routing (each seed) |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    groups = {}
    for line in lines:
        groups.setdefault((line["set"], line["variant"]), []).append(line)
    for (name, variant), runs in groups.items():
        mean = {key: statistics.mean(run[key] for run in runs) for key in ("base", "chain", "oracle")}
        routing = ", ".join(f"{run['routing']:.3f}" for run in runs)
        shares = [[run[kind] for run in runs if kind in run] for kind in ("own", "known", "unseen", "first_unseen")]
        accepted = " | ".join(f"{statistics.mean(share):.3f}" if share else "-" for share in shares)
        print(f"| {name} | {variant} | {len(runs)} | {mean['base']:.1f} | {mean['chain']:.1f} | {mean['oracle']:.1f} "
              f"| {accepted} | {routing} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--baton", type=pathlib.Path, default=ROOT / "build/release/baton")
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / ".deps/models/smollm2-135m-instruct")
    parser.add_argument("--tasks", type=pathlib.Path, default=ROOT / ".deps/tasks", help="the folder of launch/common.sh")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--variant", default="default", help="some of: ablation (" + ", ".join(ABLATION) + "), " + ", ".join(VARIANTS))
    parser.add_argument("--threads", type=int, default=max(1, len(os.sched_getaffinity(0))))
    arguments = parser.parse_args()
    arguments.out = arguments.out.resolve()
    variants = [one for name in arguments.variant.split(",") for one in (ABLATION if name == "ablation" else [name])]
    arguments.out.mkdir(parents=True, exist_ok=True)
    store = arguments.out / "measured.jsonl"
    lines = [json.loads(line) for line in store.read_text().splitlines()] if store.exists() else []
    for seed in map(int, arguments.seeds.split(",")):
        for name in arguments.sets.split(","):
            for variant in variants:
                if any((line["set"], line["seed"], line["variant"]) == (name, seed, variant) for line in lines):
                    continue
                lines.append(run_one(arguments, name, seed, variant))
                with open(store, "a", encoding="utf-8") as file:
                    file.write(json.dumps(lines[-1]) + "\n")
                print(json.dumps(lines[-1]), flush=True)
    print_table(lines)


if __name__ == "__main__":
    main()
