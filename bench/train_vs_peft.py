#!/usr/bin/env python3
"""Training speed of one rank against PEFT: same rows, same start, same losses, blocks in turn.

    python bench/train_vs_peft.py --model DIR --rows rows.json [--dtype float32,bfloat16] [--pairs 7] [--steps 2]

Both programs stay alive and wait; only one works at a time. The order within a pair changes from pair to pair.
Speed is real tokens (padding not counted) over seconds of the steps. --ours none runs the peer alone.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


class Side:
    """One program under test; it takes commands on stdin and answers in JSON lines."""

    def __init__(self, name, command, threads):
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads), TOKENIZERS_PARALLELISM="false",
                           TRANSFORMERS_VERBOSITY="error", HF_HUB_DISABLE_PROGRESS_BARS="1")
        self.name = name
        self.steps, self.peak = [], 0
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=environment)
        self.peak = self.read_until("ready")["peak_rss_bytes"]

    def read_until(self, key):
        for line in self.process.stdout:
            if not line.startswith("{"):
                continue
            answer = json.loads(line)
            if "step" in answer:
                self.steps.append(answer)
            if key in answer:
                return answer
        sys.exit(f"{self.name} ended early, status {self.process.wait()}")

    def ask(self, command, key):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.read_until(key)

    def block(self, num_steps):
        """Tokens per second of the next steps."""
        begin = len(self.steps)
        self.peak = self.ask(f"step {num_steps}", "done")["peak_rss_bytes"]
        done = self.steps[begin:]
        return sum(s["num_tokens"] for s in done) / sum(s["seconds"] for s in done)

    def close(self):
        self.process.stdin.write("quit\n")
        self.process.stdin.close()
        self.process.wait()


def spread(values, digits=3):
    return {"median": round(statistics.median(values), digits), "min": round(min(values), digits),
            "max": round(max(values), digits)}


def compare_losses(ours, theirs):
    pairs = list(zip(ours.steps, theirs.steps))
    relative = lambda key: max(abs(a[key] - b[key]) / abs(b[key]) for a, b in pairs)
    same = all(a["num_tokens"] == b["num_tokens"] and a["num_target_tokens"] == b["num_target_tokens"]
               for a, b in pairs)
    return {"num_steps": len(pairs), "same_token_counts": same, "max_relative_loss": relative("loss"),
            "max_relative_grad_norm": relative("grad_norm"), "first_loss": pairs[0][1]["loss"],
            "last_loss_ours": pairs[-1][0]["loss"], "last_loss_peft": pairs[-1][1]["loss"]}


def share_of_floor(side, floors):
    """Floor over time, step by step where floors were measured: 1 means nothing but the matrix products."""
    return spread([floors[s["step"]] / s["seconds"] for s in side.steps if s["step"] in floors])


def measure(args, dtype):
    with tempfile.TemporaryDirectory() as folder:
        initial = f"{folder}/initial.safetensors"
        shared = ["--rows", args.rows, "--base", args.model, "--initial", initial, "--dtype", dtype,
                  "--threads", str(args.threads)]
        peer = Side("peft", [args.python, str(HERE / "peft_train.py"), *shared, "--write-initial",
                             "--attention", args.attention], args.threads)
        ours = None if args.ours == "none" else Side("ours", [args.ours, *shared], args.threads)
        sides = [side for side in (peer, ours) if side]
        for side in sides:
            side.block(args.warmup)
        speeds = {side.name: [] for side in sides}
        floors = {}
        for pair in range(args.pairs):
            for side in sides if pair % 2 == 0 else sides[::-1]:
                speeds[side.name].append(side.block(args.steps))
            last = peer.steps[-1]
            floors[last["step"]] = peer.ask(f"floor {last['num_tokens']} {last['num_target_tokens']}",
                                            "floor_seconds")["floor_seconds"]
        result = {"dtype": dtype, "threads": args.threads, "pairs": args.pairs, "steps_per_block": args.steps,
                  "peft_tokens_per_second": spread(speeds["peft"], 1),
                  "peft_share_of_floor": share_of_floor(peer, floors), "peft_peak_rss_mb": peer.peak >> 20}
        if ours:
            ratios = [a / b for a, b in zip(speeds["ours"], speeds["peft"])]
            result.update(ours_tokens_per_second=spread(speeds["ours"], 1), speed_ratio=spread(ratios),
                          ours_share_of_floor=share_of_floor(ours, floors),
                          ours_peak_rss_mb=ours.peak >> 20, losses=compare_losses(ours, peer))
        for side in sides:
            side.close()
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--rows", required=True)
    parser.add_argument("--dtype", default="float32,bfloat16")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--attention", default="sdpa", choices=["sdpa", "eager"], help="the peer's attention")
    parser.add_argument("--ours", default=str(HERE.parent / "build/release/baton_bench_train"))
    parser.add_argument("--python", default=sys.executable)
    args = parser.parse_args()
    for dtype in args.dtype.split(","):
        print(json.dumps(measure(args, dtype), indent=2), flush=True)


if __name__ == "__main__":
    main()
