#!/usr/bin/env python3
"""Two groups that train two experts at once on two cores, against one rank with one thread that trains them one after
the other. The calls alternate; seconds are of the whole `baton train`, loading included; both make the same experts.

    bench/two_groups.py --baton build/cpu/baton --model .deps/models/smollm2-135m-instruct --data ../shared/data/superni
"""

import argparse
import hashlib
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

CONFIG = """[model]
model_name_or_path = {model}
dtype = {dtype}
[data]
dataset_dir = {data}
tasks = {tasks}
template = auto
cutoff_len = 256
max_train_samples = {rows}
general = none
[method]
accept_indicator = accept
pass_indicator = pass
negative_ratio = 0.01
negative_floor = 0
accept_threshold = 0
[train]
train_batch_size = 8
micro_batch_size = 4
num_train_epochs = 1
[cluster]
threads_per_rank = 1
[output]
output_dir = {out}
"""


def train(options, folder, ranks):
    out = folder / f"run-{ranks}"
    shutil.rmtree(out, ignore_errors=True)
    config = folder / f"run-{ranks}.cfg"
    config.write_text(CONFIG.format(out=out, **vars(options)))
    command = [str(options.baton), "train", "--config", str(config)]
    if ranks > 1:
        command = ["mpirun", "--bind-to", "none", "-n", str(ranks), *command]
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    begin = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment)
    seconds = time.perf_counter() - begin
    return seconds, [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(out.glob("experts/*.h5"))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--baton", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, required=True)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--tasks", default="sa, para")
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    options.model, options.data = options.model.resolve(), options.data.resolve()
    ratios = []
    with tempfile.TemporaryDirectory() as name:
        for pair in range(options.pairs):
            alone, expected = train(options, pathlib.Path(name), 1)
            together, found = train(options, pathlib.Path(name), 2)
            if found != expected:
                raise SystemExit("the experts differ")
            ratios.append(alone / together)
            print(f"pair {pair + 1}: one rank {alone:.1f} s, two groups {together:.1f} s, {ratios[-1]:.2f}x", flush=True)
    print(f"median {statistics.median(ratios):.2f}x ({min(ratios):.2f} to {max(ratios):.2f}), same bytes of experts")


if __name__ == "__main__":
    main()
