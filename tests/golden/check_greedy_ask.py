#!/usr/bin/env python3
"""Greedy texts of a real model, made with transformers, out of `baton ask --jsonl`.

    check_greedy_ask.py [gemma3-270m]

The prompts of model/KIND-greedy.json go in as text, so template, tokenizer, batches, cache and decoding are the program's
own. A text may leave the stored one only at a tie: a token whose lead over the next one is below ten times what fp32 sums
of another order move a logit. Each such text is named. Exit 77: the model, or the program, is not there.
"""
import json
import os
import pathlib
import subprocess
import sys

from tokenizers import Tokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPS = pathlib.Path(os.environ.get("BATON_DEPS", ROOT / ".deps"))
MODELS = DEPS / "models"
# The folder, and the template.
KINDS = {
    "smollm2": (pathlib.Path(os.environ.get("BATON_MODEL_DIR", MODELS / "smollm2-135m-instruct")), "auto"),
    "gemma3-270m": (MODELS / "gemma-3-270m", "gemma"),
}
TIE = 2e-4  # a lead below it


def main():
    kind = sys.argv[1] if len(sys.argv) > 1 else "smollm2"
    model, template = KINDS[kind]
    binary = os.environ.get("BATON_BINARY")
    if not binary or not (model / "tokenizer.json").exists():
        print("skipped: no program in BATON_BINARY, or no model in", model)
        return 77
    golden = json.loads((ROOT / f"tests/golden/model/{kind}-greedy.json").read_text())
    rows = golden["rows"]
    assert len(rows) >= 20
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    texts = [row["text"] for row in rows]
    lines = "".join(json.dumps({"prompt": text}) + "\n" for text in texts)
    asked = subprocess.run(
        [binary, "ask", "--model", model, "--json", "--jsonl", "--set", "model.dtype=float32", "--set", f"data.template={template}",
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
    print(f"{num_equal} of {len(rows)} greedy texts equal; {len(ties)} leave at a tie: {', '.join(ties) or 'none'}")
    print(f"the smallest lead of any token is {smallest:.2g} ({name})")
    for text in wrong:
        print("WRONG:", text)
    return 0 if not wrong and num_equal + len(ties) == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
