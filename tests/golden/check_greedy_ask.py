#!/usr/bin/env python3
"""The 50 greedy texts of model/smollm2-greedy.json, made with transformers, out of `baton ask --jsonl`.

The prompts go in as text, so template, tokenizer, batches, cache and decoding are the program's own. A text may leave
the stored one only at a tie: a token whose lead over the next one is below 2e-4, ten times what fp32 sums of another
order move a logit. Each such text is named. Exit 77: the model, or the program, is not there.
"""
import json
import os
import pathlib
import subprocess
import sys

from tokenizers import Tokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPS = pathlib.Path(os.environ.get("BATON_DEPS", ROOT / ".deps"))
MODEL = pathlib.Path(os.environ.get("BATON_MODEL_DIR", DEPS / "models" / "smollm2-135m-instruct"))
TIE = 2e-4


def common_length(rows):
    return next(i for i, ids in enumerate(zip(*rows)) if len(set(ids)) > 1)


def main():
    binary = os.environ.get("BATON_BINARY")
    if not binary or not (MODEL / "tokenizer.json").exists():
        print("skipped: no program in BATON_BINARY, or no model in", MODEL)
        return 77
    golden = json.loads((ROOT / "tests/golden/model/smollm2-greedy.json").read_text())
    rows = golden["rows"]
    assert len(rows) == 50
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    # What all prompts begin and end with is the template's.
    begin = common_length([row["prompt"] for row in rows])
    end = common_length([row["prompt"][::-1] for row in rows])
    texts = [tokenizer.decode(row["prompt"][begin:-end], skip_special_tokens=False) for row in rows]
    head, tail = (tokenizer.decode(ids, skip_special_tokens=False)
                  for ids in (rows[0]["prompt"][:begin], rows[0]["prompt"][-end:]))
    texts = [head.split("<|im_start|>user\n")[1] + text + tail.split("<|im_end|>\n<|im_start|>assistant\n")[0]
             for text in texts]
    lines = "".join(json.dumps({"prompt": text}) + "\n" for text in texts)
    asked = subprocess.run(
        [binary, "ask", "--model", MODEL, "--json", "--jsonl", "--set", "model.dtype=float32",
         "--set", f"data.max_new_tokens={golden['max_new_tokens']}"],
        input=lines, capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stderr
    answers = [json.loads(line) for line in asked.stdout.splitlines()]
    assert len(answers) == len(rows), len(answers)
    num_equal, ties, wrong = 0, [], []
    for row, text, answer in zip(rows, texts, answers):
        assert answer["prompt"] == text, row["name"]
        assert answer["prompt_tokens"] == len(row["prompt"]), (row["name"], answer["prompt_tokens"])
        if (answer["answer"] == tokenizer.decode(row["tokens"]).strip()
                and answer["new_tokens"] == len(row["tokens"])):
            num_equal += 1
            continue
        place = max(i for i in range(len(row["tokens"]))
                    if answer["answer"].startswith(tokenizer.decode(row["tokens"][:i]).strip()))
        (ties if row["gaps"][place] < TIE else wrong).append(
            f"{row['name']}: token {place}, lead {row['gaps'][place]:.2g}")
    smallest, name = min((min(row["gaps"]), row["name"]) for row in rows)
    print(f"{num_equal} of 50 greedy texts equal; {len(ties)} leave at a tie: {', '.join(ties) or 'none'}")
    print(f"the smallest lead of any token is {smallest:.2g} ({name})")
    for text in wrong:
        print("WRONG:", text)
    return 0 if not wrong and num_equal + len(ties) == 50 else 1


if __name__ == "__main__":
    sys.exit(main())
