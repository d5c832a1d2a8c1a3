"""What the end-to-end tests share: a tiny model, toy tasks, and running the program alone or under mpirun.

BATON_BINARY names the binary (default: the first of build/{release,cpu,debug}/baton). Everything is written to a
temporary folder that is removed at the end; E2E_KEEP=1 keeps it.
"""

import atexit
import glob
import hashlib
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
WORDS = ("cat dog bird stone bridge park ball song green red old small long near after line word letter "
         "two three one sits ran sings loud").split()


def find_built(variable, name):
    """What the build made: the path that the environment variable says, else of the first build folder that has it."""
    if variable in os.environ:
        return pathlib.Path(os.environ[variable]).resolve()
    for preset in ("release", "cpu", "debug"):
        path = SOURCE / "build" / preset / name
        if path.exists():
            return path
    sys.exit(f"no {name}: build it first, or name it in {variable}")


def find_binary():
    return find_built("BATON_BINARY", "baton")


def run_tests():
    """unittest.main() that says why a test was skipped and ends with 77 when all of them were."""
    result = unittest.main(module="__main__", exit=False).result
    for test, reason in result.skipped:
        print(f"skipped: {test}: {reason}")
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(77 if result.skipped and len(result.skipped) >= result.testsRun else 0)


class Result:
    def __init__(self, process, log):
        self.code, self.out, self.err = process.returncode, process.stdout, process.stderr
        self.log = log

    @property
    def text(self):
        return self.out + self.err

    def json_lines(self):
        return [json.loads(line) for line in self.out.splitlines() if line.startswith("{")]


def run(*arguments, ranks=0, stdin="", timeout=240, env=None):
    """Runs `baton ARGUMENTS`; ranks = 0 without mpirun."""
    command = [str(find_binary()), *map(str, arguments)]
    if ranks:
        command = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", str(ranks),
                   *command]
    environment = dict(os.environ, OMP_WAIT_POLICY="passive", **(env or {}))
    process = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout,
                             env=environment, cwd=workspace())
    return Result(process, " ".join(command))


def run_ok(*arguments, **options):
    result = run(*arguments, **options)
    if result.code != 0:
        raise AssertionError(f"exit code {result.code} from: {result.log}\n{result.text[-4000:]}")
    return result


_workspace = None


def workspace():
    global _workspace
    if _workspace is None:
        _workspace = pathlib.Path(tempfile.mkdtemp(prefix="baton-e2e-"))
        if not os.environ.get("E2E_KEEP"):
            atexit.register(shutil.rmtree, _workspace, ignore_errors=True)
    return _workspace


def tiny_model(name="model", **options):
    folder = workspace() / name
    if not (folder / "config.json").exists():
        from make_tiny_model import write_model
        write_model(folder, **options)
    return folder


# ------------------------------------------------------------------ toy tasks

CUES = {"loud": "loudly", "count": "many", "last": "red", "back": "backwards", "other": "sings"}


def toy_row(task, chance):
    """A prompt whose first words, the same four times, tell the task apart even for a random model."""
    words = chance.sample(WORDS, 3)
    prompt = f"{CUES[task]} " * 4 + " ".join(words)
    return prompt, {
        "loud": " ".join(words).upper(),
        "count": str(len(words[0])),
        "last": words[-1],
        "back": words[0][::-1],
        "other": "no",
    }[task]


def toy_rows(task, count, seed):
    chance = random.Random(f"{task} {seed}")
    return [toy_row(task, chance) for _ in range(count)]


def toy_data(name="data", tasks=("loud", "count", "last", "back", "other"), num_train=20, num_eval=5):
    """A dataset folder that uses all three layouts."""
    folder = workspace() / name
    folder.mkdir(exist_ok=True)
    info = {}
    for task in tasks:
        train, evaluation = toy_rows(task, num_train, 1), toy_rows(task, num_eval, 2)
        if task == "count":  # alpaca
            for split, rows in (("train", train), ("eval", evaluation)):
                items = [{"instruction": x, "input": "", "output": y} for x, y in rows]
                (folder / f"{task}_{split}.json").write_text(json.dumps(items))
            info[task] = {"train_file": f"{task}_train.json", "eval_file": f"{task}_eval.json",
                          "formatting": "alpaca"}
        elif task == "last":  # BIG-bench
            items = [{"input": x, "target": [y]} for x, y in train + evaluation]
            (folder / f"{task}.json").write_text(json.dumps({"name": task, "examples": items}))
            info[task] = {"file_name": f"{task}.json", "formatting": "bigbench", "train_rows": num_train,
                          "eval_rows": num_eval}
        else:  # SSR
            for split, rows in (("train", train), ("eval", evaluation)):
                items = [json.dumps({"id": f"{task}-{split}-{i}", "task_name": task, "input": x, "output": y,
                                     "full_prompt": x}) for i, (x, y) in enumerate(rows)]
                (folder / f"{task}.{split}.json").write_text("\n".join(items) + "\n")
            info[task] = {"train_file": f"{task}.train.json", "eval_file": f"{task}.eval.json",
                          "formatting": "ssr"}
    (folder / "dataset_info.json").write_text(json.dumps(info, indent=2))
    return folder


SETTINGS = {
    "model.dtype": "float32", "data.template": "auto", "data.cutoff_len": "128", "data.max_new_tokens": "6",
    "data.general": "other", "data.general_samples": "8", "method.accept_indicator": "accept",
    "method.pass_indicator": "pass", "method.accept_threshold": "0", "lora.lora_rank": "4", "lora.lora_alpha": "16",
    "lora.lora_target": "q_proj, v_proj, down_proj", "train.train_batch_size": "6",
    "train.micro_batch_size": "2", "train.num_train_epochs": "4", "train.learning_rate": "2e-2",
    "train.weight_decay": "0.01", "train.warmup_ratio": "0.1", "eval.eval_batch_size": "4",
    "cluster.threads_per_rank": "1",
}


def write_config(out, tasks="loud, count, last", name=None, **changes):
    """A config file for `out`; keys of `changes` have "__" for the dot; None leaves a key out."""
    settings = dict(SETTINGS, **{"model.model_name_or_path": str(tiny_model()),
                                 "data.dataset_dir": str(toy_data()), "data.tasks": tasks,
                                 "output.output_dir": str(workspace() / out)})
    for key, value in changes.items():
        settings[key.replace("__", ".")] = value
    sections = {}
    for key, value in settings.items():
        if value is not None:
            section, option = key.split(".")
            sections.setdefault(section, []).append(f"{option} = {value}")
    text = "".join(f"[{section}]\n" + "\n".join(lines) + "\n\n" for section, lines in sections.items())
    path = workspace() / f"{name or out}.cfg"
    path.write_text(text)
    return path


def train(out, ranks=0, arguments=(), **changes):
    """Trains into workspace/out and returns that folder."""
    run_ok("train", "--config", write_config(out, **changes), *arguments, ranks=ranks)
    return workspace() / out


def glob_live(folder, pattern):
    """Paths in a folder that a program is changing; pathlib's glob raises when a folder goes while it looks."""
    return [pathlib.Path(path) for path in glob.glob(str(pathlib.Path(folder) / pattern))]


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def digests(folder, *patterns):
    files = [file for pattern in patterns for file in sorted(pathlib.Path(folder).glob(pattern))]
    return {str(file.relative_to(folder)): digest(file) for file in files}


def read_json(path):
    return json.loads(pathlib.Path(path).read_text())


def read_lines(path):
    return [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]
