#!/usr/bin/env python3
"""How soon a run of many tasks trains, and what each rank holds by then. Writes a tiny model and a data set of its own,
starts `baton train`, waits for the first line of a training log, reads the memory of each rank, and stops the run.

    bench/many_tasks.py --baton build/release/baton [--tasks 200] [--rows 2000] [--ranks 1 2]
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple, Optional

SOURCE = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(SOURCE / "tests" / "e2e"))

CONFIG = """[model]
model_name_or_path = {folder}/model
dtype = float32
[data]
dataset_dir = {folder}/data
tasks = {tasks}
cutoff_len = 256
[method]
accept_threshold = 0
[lora]
lora_rank = 4
[train]
num_train_epochs = 1
logging_steps = 1
[cluster]
threads_per_rank = 1
timeout_seconds = 0
[output]
output_dir = {folder}/run
"""


def write_data(folder, num_tasks, num_rows, words_a_row):
    """SSR pairs of random words, about six letters each; every task has its own first words."""
    folder.mkdir()
    chance = random.Random(num_tasks)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(3, 9))) for _ in range(5000)]
    for task in range(num_tasks):
        opening = " ".join(chance.choices(words, k=5))
        for split, count in (("train", num_rows), ("eval", 20)):
            with open(folder / f"t{task:03d}.{split}.json", "w") as file:
                for row in range(count):
                    text = " ".join(chance.choices(words, k=words_a_row))
                    file.write(json.dumps({"id": f"{split}-{row}", "full_prompt": f"{opening}: {text}",
                                           "output": text.split(" ")[0]}) + "\n")


def ranks_below(process_id, program):
    """This process and those below it that run `program`."""
    children = {}
    names = {}
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue
        name, rest = stat[stat.index("(") + 1:].rsplit(")", 1)
        names[int(entry.name)] = name
        children.setdefault(int(rest.split()[1]), []).append(int(entry.name))
    found, todo = [], [process_id]
    while todo:
        one = todo.pop()
        todo += children.get(one, [])
        if names.get(one) == program.name[:15]:  # as much as the kernel keeps
            found.append(one)
    return sorted(found)


def facts_of(process_id):
    status = pathlib.Path(f"/proc/{process_id}/status").read_text()
    kibibytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    fields = pathlib.Path(f"/proc/{process_id}/stat").read_text().rsplit(")", 1)[1].split()
    ticks = os.sysconf("SC_CLK_TCK")
    return kibibytes / 1024, (int(fields[11]) + int(fields[12])) / ticks


class Start(NamedTuple):
    """The first update of a run: when, and what each rank held and had computed by then."""
    seconds: Optional[float]  # None: none within the limit
    memory: list  # MiB at the peak, by rank
    processor_seconds: list

    def __str__(self):
        when = "no update within the limit" if self.seconds is None else f"first update after {self.seconds:.1f} s"
        ranks = (f"{memory:.0f} MiB at the peak and {seconds:.1f} s of processor time"
                 for memory, seconds in zip(self.memory, self.processor_seconds))
        return f"{when}; a rank: {', '.join(ranks)}"


def measure(baton, folder, num_tasks, ranks, limit):
    """Trains into FOLDER/run, with FOLDER/model and FOLDER/data, until the first update is logged."""
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    tasks = ", ".join(f"t{task:03d}" for task in range(num_tasks))
    (folder / "run.cfg").write_text(CONFIG.format(folder=folder, tasks=tasks))
    command = [str(baton.resolve()), "train", "--config", str(folder / "run.cfg")]
    if ranks > 1:
        command = ["mpirun", "--bind-to", "none", "--oversubscribe", "-n", str(ranks), *command]
    environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
    begin = time.perf_counter()
    with open(folder / "log.txt", "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            seconds = None
            while seconds is None and time.perf_counter() - begin < limit:
                if process.poll() is not None:
                    sys.exit(f"the run ended with {process.returncode}:\n{(folder / 'log.txt').read_text()[-3000:]}")
                if any(path.stat().st_size > 0 for path in (run / "logs").glob("*.jsonl")):
                    seconds = time.perf_counter() - begin
                time.sleep(0.02)
            facts = [facts_of(one) for one in ranks_below(process.pid, baton)]
            return Start(seconds, [memory for memory, _ in facts], [seconds for _, seconds in facts])
        finally:
            while process.poll() is None:  # twice: the second signal leaves at once
                for one in ranks_below(process.pid, baton):
                    try:
                        os.kill(one, signal.SIGTERM)
                    except ProcessLookupError:
                        pass
                time.sleep(0.5)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--baton", type=pathlib.Path, required=True)
    parser.add_argument("--tasks", type=int, default=200)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--words", type=int, default=50, help="words a row")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--limit", type=float, default=600, help="seconds to wait for the first update")
    parser.add_argument("--folder", type=pathlib.Path, help="keep model and data here, for a second program")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.folder or pathlib.Path(temporary)).resolve()
        folder.mkdir(exist_ok=True)
        if not (folder / "data").exists():
            from make_tiny_model import write_model
            write_model(folder / "model")
            write_data(folder / "data", options.tasks, options.rows, options.words)
        for ranks in options.ranks:
            start = measure(options.baton, folder, options.tasks, ranks, options.limit)
            print(f"{options.tasks} tasks of {options.rows} rows, {ranks} ranks: {start}", flush=True)


if __name__ == "__main__":
    main()
