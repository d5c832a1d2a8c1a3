#!/usr/bin/env python3
"""Asking and evaluating with two builds of the program in turn: seconds, and the ratio of each pair.

    python bench/ask_and_eval.py --run runs/quickstart --prompt-file PROMPTS.jsonl OLD/baton NEW/baton [--rounds 5]

Each round runs `eval` and `ask --jsonl` with the one build and then with the other, the order changing from round to
round, on copies of the run folder. Wall seconds are what a person waits,
processor seconds are what a machine with other work on it still measures well. A ratio above 1: the second is faster.
"""
import argparse
import json
import pathlib
import resource
import shutil
import statistics
import subprocess
import tempfile
import time


def timed(command, text=""):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    done = subprocess.run([str(word) for word in command], input=text, capture_output=True, text=True, check=False)
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise SystemExit(f"{command} ended with {done.returncode}\n{done.stderr[-2000:]}")
    return {"wall": wall, "processor": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime}


def spread(ratios):
    return f"median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binaries", nargs=2, type=pathlib.Path)
    parser.add_argument("--run", type=pathlib.Path, required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--queries", type=int, default=32, help="evaluation rows a task")
    parser.add_argument("--prompts", type=int, default=48, help="lines of --jsonl")
    parser.add_argument("--batch", type=int, default=16, help="eval.eval_batch_size")
    parser.add_argument("--prompt-file", type=pathlib.Path, required=True, help="JSON lines with a prompt each")
    args = parser.parse_args()
    lines = "".join(args.prompt_file.read_text().splitlines(keepends=True)[:args.prompts])
    with tempfile.TemporaryDirectory() as place:
        runs = [shutil.copytree(args.run, pathlib.Path(place) / name) for name in ("one", "two")]
        found = {}
        for number in range(args.rounds):
            for which in (0, 1) if number % 2 == 0 else (1, 0):
                run, binary = runs[which], args.binaries[which].resolve()
                jobs = {"eval": ([binary, "eval", "--run", run, "--set", f"data.max_eval_samples={args.queries}",
                                  "--set", f"eval.eval_batch_size={args.batch}"], ""),
                        "ask --jsonl": ([binary, "ask", "--run", run, "--json", "--jsonl"], lines),
                        "ask": ([binary, "ask", "--run", run, "--json", json.loads(lines.splitlines()[0])["prompt"]],
                                "")}
                for job, (command, text) in jobs.items():
                    seconds = timed(command, text)
                    found.setdefault(job, ([], []))[which].append(seconds)
                    print(f"round {number + 1}, {binary}, {job}: " +
                          ", ".join(f"{kind} {value:.2f} s" for kind, value in seconds.items()), flush=True)
    for job, (first, second) in found.items():
        for kind in ("wall", "processor"):
            print(f"{job}, {kind} seconds, first / second: "
                  + spread([a[kind] / b[kind] for a, b in zip(first, second)]))


if __name__ == "__main__":
    main()
