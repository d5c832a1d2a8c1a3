#!/usr/bin/env python3
"""A person's own small tasks at the defaults: six sets of 20, 40 and 100 rows a task, far and near, three seeds.

    bench/small_tasks.py --baton build/release/baton --out /tmp/small-tasks
    bench/small_tasks.py --baton build/release/baton --out /tmp/small-tasks --variant no_general --sets far20,near20 --seeds 1

Each run is `baton train` and `baton eval` of a config that names model, data, tasks, output and the seed, and nothing
else; a variant takes one part of the recipe away. What is measured already is not measured again. The rows come from the tasks of
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

# Near: the same words or sentences go in, or the same instruction stands above them.
SETS = {
    "far20": (20, ["plural", "restaurant"]),
    "near20": (20, ["question", "negation"]),
    "far40": (40, ["intent", "pronoun"]),
    "near40": (40, ["plural", "past"]),
    "far100": (100, ["sports", "question"]),
    "near100": (100, ["past", "german_past"]),
}

# What each part of the recipe brings: the defaults without it.
VARIANTS = {
    "default": [],
    "no_floors": ["method.negative_floor=0", "method.buffer_floor=0"],
    "no_general": ["data.general=none"],
    "no_balance": ["method.indicator_balance=false"],
    "threshold_0": ["method.accept_threshold=0"],
    "nothing": ["method.negative_floor=0", "method.buffer_floor=0", "data.general=none",
                "method.indicator_balance=false", "method.accept_threshold=0"],
}


def answers_of(example):
    if "target" in example:
        target = example["target"]
        return target if isinstance(target, list) else [target]
    best = max(example["target_scores"].values())
    return [choice for choice, score in example["target_scores"].items() if score == best]


def write_task(name, num_train, seed, source, folder):
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
    for split, part in (("train", rows[:num_train]), ("eval", rows[num_train:])):
        (folder / f"{name}.{split}.json").write_text(json.dumps(part, ensure_ascii=False, indent=0), encoding="utf-8")


def make_set(name, seed, source, folder):
    num_train, tasks = SETS[name]
    folder.mkdir(parents=True, exist_ok=True)
    for task in tasks:
        write_task(task, num_train, seed, source, folder)
    info = {task: {"train_file": f"{task}.train.json", "eval_file": f"{task}.eval.json"} for task in tasks}
    (folder / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")
    return tasks


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
            "BWT": results["BWT"], "seconds": round(time.monotonic() - begin, 1)}


def print_table(lines):
    print("| set | variant | seeds | base | chain | oracle | routing (each seed) |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    groups = {}
    for line in lines:
        groups.setdefault((line["set"], line["variant"]), []).append(line)
    for (name, variant), runs in groups.items():
        mean = {key: statistics.mean(run[key] for run in runs) for key in ("base", "chain", "oracle")}
        routing = ", ".join(f"{run['routing']:.3f}" for run in runs)
        print(f"| {name} | {variant} | {len(runs)} | {mean['base']:.1f} | {mean['chain']:.1f} | {mean['oracle']:.1f} "
              f"| {routing} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--baton", type=pathlib.Path, default=ROOT / "build/release/baton")
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / ".deps/models/smollm2-135m-instruct")
    parser.add_argument("--tasks", type=pathlib.Path, default=ROOT / ".deps/tasks", help="the folder of launch/common.sh")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--seeds", default="1,2,3")
    parser.add_argument("--variant", default="default", help=", ".join(VARIANTS))
    parser.add_argument("--threads", type=int, default=max(1, len(os.sched_getaffinity(0))))
    arguments = parser.parse_args()
    arguments.out = arguments.out.resolve()
    arguments.out.mkdir(parents=True, exist_ok=True)
    store = arguments.out / "measured.jsonl"
    lines = [json.loads(line) for line in store.read_text().splitlines()] if store.exists() else []
    for seed in map(int, arguments.seeds.split(",")):
        for name in arguments.sets.split(","):
            for variant in arguments.variant.split(","):
                if any((line["set"], line["seed"], line["variant"]) == (name, seed, variant) for line in lines):
                    continue
                lines.append(run_one(arguments, name, seed, variant))
                with open(store, "a", encoding="utf-8") as file:
                    file.write(json.dumps(lines[-1]) + "\n")
                print(json.dumps(lines[-1]), flush=True)
    print_table(lines)


if __name__ == "__main__":
    main()
