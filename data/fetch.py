#!/usr/bin/env python3
"""Fetches the public task sets that Baton reads, into a folder for data.dataset_dir.

usage: data/fetch.py SET FOLDER [--from PATH]

    ssr     the SSR split of SuperNI, ten tasks; SHA-256 of every file checked (data/ssr_sha256.txt)
    ni      SSR's ten tasks as Natural Instructions publishes them, split by Baton itself
    olora   O-LoRA's CL_Benchmark, fifteen classification tasks
    trace   TRACE, eight tasks; its archive has no address that a program can follow: fetch and unpack it by hand (its
            repository, BeyonderXX/TRACE, links it) and name the unpacked folder with --from
    mmlu    MMLU's archive of CSV files, 57 subjects

Every set is checked: names, fields, numbers of rows. dataset_info.json is written last, so a folder that has one is
complete; a second call then does nothing. --from takes a folder, a git repository or an archive that is there already
instead of the public address. Needs git and the internet; nothing but Python's own library.
"""

import argparse
import csv
import hashlib
import json
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
SSR = "https://github.com/DeepLearnXMU/SSR"
NATURAL_INSTRUCTIONS = "https://github.com/allenai/natural-instructions"
OLORA = "https://github.com/cmnfriend/O-LoRA"
MMLU = "https://people.eecs.berkeley.edu/~hendrycks/data.tar"

# Task -> file of Natural Instructions.
SSR_TASKS = {
    "qa": "task024_cosmosqa_answer_generation", "qg": "task074_squad1.1_question_generation",
    "sa": "task1312_amazonreview_polarity_classification", "sum": "task511_reddit_tifu_long_text_summarization",
    "trans": "task1219_ted_translation_en_es", "dsg": "task574_air_dialogue_sentence_generation",
    "expl": "task192_hotpotqa_sentence_generation", "para": "task177_para-nmt_paraphrasing",
    "pe": "task064_all_elements_except_first_i", "pos": "task346_hybridqa_classification",
}
OLORA_TASKS = {
    "yelp": "SC", "amazon": "SC", "IMDB": "SC", "SST-2": "SC", "MNLI": "NLI", "CB": "NLI", "RTE": "NLI", "QQP": "QQP",
    "COPA": "COPA", "dbpedia": "TC", "agnews": "TC", "yahoo": "TC", "MultiRC": "MultiRC", "BoolQA": "BoolQA",
    "WiC": "WiC",
}
TRACE_TASKS = {"C-STANCE": 1, "FOMC": 1, "MeetingBank": 0, "Py150": 0, "ScienceQA": 0, "NumGLUE-cm": 1, "NumGLUE-ds": 1,
               "20Minuten": 0}  # 1: short answers, scored by exact match (ours)


def fail(text):
    sys.exit(f"error: {text}")


def clone(address, paths, out):
    """A shallow, partial clone with the folders `paths` alone."""
    git = ["git", "-C", str(out)]
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", "--filter=blob:none", "--no-checkout", str(address), str(out)],
                   check=True)
    subprocess.run([*git, "sparse-checkout", "set", "--no-cone", *paths], check=True)
    subprocess.run([*git, "checkout", "--quiet"], check=True)


def source(asked, address, paths, temporary):
    """The folder that --from names, or a clone."""
    if asked and not (asked / ".git").exists() and asked.suffix != ".git":
        return asked
    out = pathlib.Path(temporary) / "clone"
    clone(asked or address, paths, out)
    return out


def read_rows(path):
    text = path.read_text(encoding="utf-8")
    rows = json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines() if line.strip()]
    if not rows:
        fail(f"{path}: no rows")
    return rows


def check_rows(path, fields):
    rows = read_rows(path)
    for number, row in enumerate(rows, 1):
        missing = [field for field in fields if not isinstance(row.get(field), (str, list, int))]
        if missing:
            fail(f"{path} row {number}: no {', '.join(missing)}")
    return len(rows)


def write_info(folder, info):
    (folder / "dataset_info.json").write_text(json.dumps(info, indent=2) + "\n", encoding="utf-8")


def fetch_ssr(folder, asked, temporary):
    split = source(asked, SSR, ["data/ni-cus0.12/split"], temporary)
    split = split / "data/ni-cus0.12/split" if (split / "data").exists() else split
    digests = {}
    for line in (HERE / "ssr_sha256.txt").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            digest, name = line.split()
            digests[name] = digest
    for name, digest in digests.items():
        if not (split / name).exists():
            fail(f"{split} has no {name}")
        if hashlib.sha256((split / name).read_bytes()).hexdigest() != digest:
            fail(f"{name} is not the file that data/ssr_sha256.txt names (SHA-256)")
        shutil.copyfile(split / name, folder / name)
    for task in ("qg", "sum"):  # absent where this was last looked: the samples then stand in, and Baton says so
        name = f"{task}.train.json"
        if (split / name).exists():
            if check_rows(split / name, ["id", "full_prompt", "output"]) != 2000:
                fail(f"{name}: not 2,000 rows")
            shutil.copyfile(split / name, folder / name)
    write_info(folder, {task: {"formatting": "ssr"} for task in SSR_TASKS})


def fetch_ni(folder, asked, temporary):
    root = source(asked, NATURAL_INSTRUCTIONS, [f"tasks/{name}.json" for name in SSR_TASKS.values()], temporary)
    info = {}
    for task, name in SSR_TASKS.items():
        path = root / "tasks" / f"{name}.json"
        if not path.exists():
            fail(f"{root} has no tasks/{name}.json")
        content = json.loads(path.read_text(encoding="utf-8"))
        if not content.get("Definition") or len(content.get("Instances", [])) < 2500:
            fail(f"{path}: no Definition, or fewer than 2,500 Instances")
        shutil.copyfile(path, folder / f"{name}.json")
        # SSR's own filter counts Llama 2's tokens (input 800, answer 128); in words, ours.
        info[task] = {"file_name": f"{name}.json", "formatting": "natural_instructions", "train_rows": 2000,
                      "eval_rows": 500, "max_prompt_words": 350, "max_answer_words": 90}
    write_info(folder, info)


def fetch_olora(folder, asked, temporary):
    root = source(asked, OLORA, ["CL_Benchmark", "configs/instruction_config.json"], temporary)
    benchmark = root / "CL_Benchmark" if (root / "CL_Benchmark").exists() else root
    wording = {}
    if (root / "configs/instruction_config.json").exists():
        wording = json.loads((root / "configs/instruction_config.json").read_text(encoding="utf-8"))
    info = {}
    for task, kind in OLORA_TASKS.items():
        path = benchmark / kind / task
        labels = json.loads((path / "labels.json").read_text(encoding="utf-8"))
        for name in ("train.json", "test.json"):
            check_rows(path / name, ["sentence", "label"])
            unknown = {row["label"] for row in read_rows(path / name)} - set(labels)
            if unknown:
                fail(f"{path / name}: {len(unknown)} labels that labels.json lacks")
        shutil.copytree(path, folder / kind / task, dirs_exist_ok=True)
        info[task] = {"formatting": "olora", "metric": "accuracy"}
        if wording.get(kind):
            info[task]["instruction"] = wording[kind][0]["instruction"].strip()
    write_info(folder, info)


def fetch_trace(folder, asked, _):
    if not asked:
        fail("name the unpacked archive with --from (data/fetch.py --help says why)")
    info = {}
    for task, is_short in TRACE_TASKS.items():
        for name in ("train.json", "eval.json", "test.json"):
            if not (asked / task / name).exists():
                fail(f"{asked} has no {task}/{name}")
            check_rows(asked / task / name, ["prompt", "answer"])
        if (asked / task).resolve() != (folder / task).resolve():
            shutil.copytree(asked / task, folder / task, dirs_exist_ok=True)
        info[task] = {"formatting": "trace", **({"metric": "exact_match"} if is_short else {})}
    write_info(folder, info)


def fetch_mmlu(folder, asked, temporary):
    root = asked
    if not root or root.is_file():
        archive = root or pathlib.Path(temporary) / "data.tar"
        if not root:
            with urllib.request.urlopen(MMLU) as answer, open(archive, "wb") as out:
                shutil.copyfileobj(answer, out)
        with tarfile.open(archive) as tar:
            tar.extractall(temporary, filter="data")
        root = pathlib.Path(temporary) / "data"
    info = {}
    for path in sorted((root / "test").glob("*_test.csv")):
        subject = path.name.removesuffix("_test.csv")
        for split in ("dev", "test"):
            name = f"{split}/{subject}_{split}.csv"
            with open(root / name, encoding="utf-8", newline="") as file:
                for number, row in enumerate(csv.reader(file), 1):
                    if len(row) != 6 or row[5].strip() not in ("A", "B", "C", "D"):
                        fail(f"{root / name} row {number}: not question, four choices, letter")
            (folder / split).mkdir(exist_ok=True)
            shutil.copyfile(root / name, folder / name)
        info[subject] = {"formatting": "mmlu", "metric": "multiple_choice"}
    if len(info) != 57 and not asked:
        fail(f"{len(info)} subjects, not 57")
    write_info(folder, info)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sets = {"ssr": fetch_ssr, "ni": fetch_ni, "olora": fetch_olora, "trace": fetch_trace, "mmlu": fetch_mmlu}
    parser.add_argument("set", choices=sets)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--from", dest="asked", type=pathlib.Path)
    arguments = parser.parse_args()
    if (arguments.folder / "dataset_info.json").exists():
        print(f"{arguments.folder} is there already")
        return
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        try:
            sets[arguments.set](arguments.folder, arguments.asked, temporary)
        except (OSError, ValueError, subprocess.CalledProcessError, tarfile.TarError) as error:
            fail(f"{arguments.set}: {error}")
    print(f"{arguments.set}: {arguments.folder} is complete; name it as data.dataset_dir")


if __name__ == "__main__":
    main()
