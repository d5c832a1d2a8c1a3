#!/usr/bin/env python3
"""Writes the rows file that both sides of train_vs_peft.py read (its form: bench/README.md).

    python bench/make_rows.py --model DIR --data DIR --out rows.json [--tasks sa,trans,para] [--updates 40]

Rows are real benchmark rows with the chat template; the target is the accept word, the answer and the end token.
"""

import argparse
import json
import pathlib
import random

from tokenizers import Tokenizer

SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"


def read_rows(args, tokenizer):
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
    before = encode(f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n")
    after = encode("<|im_end|>\n<|im_start|>assistant\n")
    accept, end = encode("accept"), [tokenizer.token_to_id("<|im_end|>")]
    rows = []
    for task in args.tasks.split(","):
        taken = 0
        with open(pathlib.Path(args.data) / f"{task}.train.json", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                answer = row["output"][0] if isinstance(row["output"], list) else row["output"]
                prompt = before + encode(row["full_prompt"]) + after
                ids = prompt + accept + encode(answer) + end
                if len(ids) <= args.cutoff and taken < args.rows_per_task:
                    rows.append({"ids": ids, "prompt_length": len(prompt)})
                    taken += 1
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--tasks", default="sa,trans,para")
    parser.add_argument("--rows-per-task", type=int, default=50)
    parser.add_argument("--cutoff", type=int, default=256)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--updates", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rows = read_rows(args, Tokenizer.from_file(str(pathlib.Path(args.model) / "tokenizer.json")))
    chance = random.Random(args.seed)
    updates = [chance.sample(range(len(rows)), args.batch) for _ in range(args.updates)]
    settings = {"lora_rank": 8, "lora_alpha": 32, "lora_target": ["q_proj", "v_proj"], "learning_rate": 1e-3,
                "betas": [0.9, 0.999], "epsilon": 1e-8, "weight_decay": 0.0, "max_grad_norm": 1.0,
                "lr_scheduler_type": "constant", "warmup_updates": 0, "num_updates": args.updates}
    with open(args.out, "w", encoding="utf-8") as file:
        json.dump({"settings": settings, "rows": rows, "updates": updates}, file)
    lengths = [len(row["ids"]) for row in rows]
    print(f"{len(rows)} rows of {min(lengths)} to {max(lengths)} tokens, mean {sum(lengths) / len(lengths):.1f}")


if __name__ == "__main__":
    main()
