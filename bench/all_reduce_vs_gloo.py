#!/usr/bin/env python3
"""Summing one expert's flat gradient over two processes: ours over MPI against torch with Gloo, in turn.

    python bench/all_reduce_vs_gloo.py [--ours build/release/bench/baton_bench_all_reduce] [--rounds 15] [--iterations 20]

The peers: `ddp`, what DistributedDataParallel adds to a backward pass (its buckets of the expert's own
parameter shapes; backward with the sums less backward without), and `flat`, torch.distributed.all_reduce of one
flat tensor. Times are medians within a round; ratios are taken round by round. Waiting processes do not spin.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
# Linear layers of a 135M model (30 layers, width 576, key/value width 192, feed-forward 1,536), rank 8.
NUM_LAYERS, RANK = 30, 8
LINEARS = {"q": (576, 576), "v": (576, 192), "k": (576, 192), "o": (576, 576), "gate": (576, 1536), "up": (576, 1536),
           "down": (1536, 576)}
TARGETS = {"q,v": ["q", "v"], "all seven": list(LINEARS)}


def shapes_of(target):
    shapes = []
    for _ in range(NUM_LAYERS):
        for name in TARGETS[target]:
            inputs, outputs = LINEARS[name]
            shapes += [(RANK, inputs), (outputs, RANK)]
    return shapes


def count_of(target):
    """Floats of the flat gradient: the adapter's, and one for the loss."""
    return sum(a * b for a, b in shapes_of(target)) + 1


# ---- one process of the peer


def flat_times(torch, dist, target, iterations):
    seconds = []
    gradient = torch.empty(count_of(target))
    for i in range(iterations):
        gradient.fill_(dist.get_rank() + 1 + i)
        dist.barrier()
        start = time.perf_counter()
        dist.all_reduce(gradient)
        seconds.append(time.perf_counter() - start)
        assert gradient[0] == gradient[-1] == 3 + 2 * i
    return seconds


class Adapter:
    """A model whose backward is as cheap as it can be, with the expert's parameters."""

    def __init__(self, torch, target):
        class Model(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.arrays = torch.nn.ParameterList(torch.zeros(shape) for shape in shapes_of(target))

            def forward(self, scale):
                return sum((array.sum() for array in self.arrays), scale * 0.0) * scale

        self.model = torch.nn.parallel.DistributedDataParallel(Model())
        self.torch = torch

    def backward_seconds(self, scale, with_sums):
        for array in self.model.parameters():
            array.grad = None
        if with_sums:
            loss = self.model(self.torch.tensor(scale))
        else:
            with self.model.no_sync():
                loss = self.model(self.torch.tensor(scale))
        self.torch.distributed.barrier()
        start = time.perf_counter()
        if with_sums:
            loss.backward()
        else:
            with self.model.no_sync():
                loss.backward()
        return time.perf_counter() - start


def ddp_times(torch, dist, adapter, iterations):
    with_sums, without = [], []
    for i in range(iterations):
        scale = float(dist.get_rank() + 1 + i)
        for kind, into in ((False, without), (True, with_sums))[:: 1 if i % 2 else -1]:
            into.append(adapter.backward_seconds(scale, kind))
            if kind:
                mean = next(adapter.model.parameters()).grad[0, 0]
                assert mean == 1.5 + i, (mean, i)
    return with_sums, without


def peer(rank, meeting_file):
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting_file}", rank=rank, world_size=2)
    adapters = {target: Adapter(torch, target) for target in TARGETS}
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        target, iterations = line.strip().rsplit(" ", 1)
        flat = flat_times(torch, dist, target, int(iterations))
        with_sums, without = ddp_times(torch, dist, adapters[target], int(iterations))
        print(json.dumps({"flat": flat, "with_sums": with_sums, "without": without}), flush=True)
    dist.destroy_process_group()


# ---- the comparison


class Side:
    """Processes that each get the same command and of which the first one's answer counts."""

    def __init__(self, commands):
        environment = dict(os.environ, OMP_NUM_THREADS="1", OMPI_ALLOW_RUN_AS_ROOT="1",
                           OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
        self.processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                           env=environment) for command in commands]
        for process in self.processes:
            assert self.read(process)["ready"]

    @staticmethod
    def read(process):
        for line in process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        sys.exit(f"a process ended early, status {process.wait()}")

    def ask(self, command):
        for process in self.processes:
            process.stdin.write(command + "\n")
            process.stdin.flush()
        return [self.read(process) for process in self.processes][0]

    def close(self):
        for process in self.processes:
            process.stdin.close()
        for process in self.processes:
            process.wait()


def summary(values, scale=1.0, digits=3):
    return {"median": round(statistics.median(values) * scale, digits), "min": round(min(values) * scale, digits),
            "max": round(max(values) * scale, digits)}


def one_round(ours, gloo, target, args, ours_first):
    def ask_ours():
        answer = ours.ask(f"{count_of(target)} {args.iterations}")
        assert answer["is_right"]
        return statistics.median(answer["seconds"])

    mine = ask_ours() if ours_first else None
    theirs = gloo.ask(f"{target} {args.iterations}")
    mine = ask_ours() if mine is None else mine
    ddp = statistics.median(theirs["with_sums"]) - statistics.median(theirs["without"])
    return {"ours": mine, "flat": statistics.median(theirs["flat"]), "ddp": ddp}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ours", default=str(HERE.parent / "build/release/bench/baton_bench_all_reduce"))
    parser.add_argument("--mpirun", default="mpirun --bind-to none")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--peer", nargs=2, metavar=("RANK", "FILE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        peer(int(args.peer[0]), args.peer[1])
        return
    with tempfile.TemporaryDirectory() as folder:
        ours = Side([[*args.mpirun.split(), "-n", "2", args.ours]])
        gloo = Side([[sys.executable, __file__, "--peer", str(rank), f"{folder}/meeting"] for rank in range(2)])
        for target in TARGETS:
            one_round(ours, gloo, target, args, True)  # warm up
            rounds = [one_round(ours, gloo, target, args, i % 2 == 0) for i in range(args.rounds)]
            result = {"target": target, "floats": count_of(target), "processes": 2, "rounds": args.rounds,
                      "iterations_per_round": args.iterations}
            for side in ("ours", "ddp", "flat"):
                result[f"{side}_ms"] = summary([r[side] for r in rounds], 1e3)
            for side in ("ddp", "flat"):
                result[f"ours_over_{side}"] = summary([r["ours"] / r[side] for r in rounds if r[side] > 0])
            print(json.dumps(result, indent=2), flush=True)
        gloo.close()
        ours.close()


if __name__ == "__main__":
    main()
