#!/usr/bin/env python3
"""Makes the reference files of tests/golden/training with transformers and real PEFT, in float32.

    python tests/golden/make_training_golden.py tiny
    python tests/golden/make_training_golden.py families
    python tests/golden/make_training_golden.py smollm2 --model DIR --data DIR

Each case is two or three files:
  NAME.json                  settings, token rows, which rows form which update, and per update the learning
                             rate used, loss, gradient norm before clipping and number of target tokens
  NAME.initial.safetensors   the adapter at the start, under PEFT's key names
  NAME.final.safetensors     the adapter after the last update (tiny cases only; norms stand in the JSON)

The loss of an update is the sum of the cross entropy over its target tokens divided by their number.
"""

import argparse
import json
import pathlib

import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, get_scheduler

from make_model_golden import chat_ids

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE / "training"
SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ATTENTION = {"tiny": "sdpa", "family": "eager"}  # the fused kernel of torch knows no cap
SETTINGS = {
    "lora_alpha": 32, "lora_dropout": 0.0, "betas": [0.9, 0.999], "epsilon": 1e-8, "max_grad_norm": 1.0,
    "num_updates": 20,
}
CASES = {
    "smollm2-qv": dict(lora_rank=8, lora_target=["q_proj", "v_proj"], learning_rate=1e-3,
                       lr_scheduler_type="cosine", warmup_updates=2, weight_decay=0.0),
    "tiny-seven": dict(base="tiny-gqa-tied", lora_rank=4, lora_target=SEVEN, learning_rate=5e-3,
                       lr_scheduler_type="cosine", warmup_updates=2, weight_decay=0.01),
    "tiny-bias-qv": dict(base="tiny-bias", lora_rank=3, lora_target=["q_proj", "v_proj"], learning_rate=1e-2,
                         lr_scheduler_type="linear", warmup_updates=0, weight_decay=0.1),
    "tiny-llama3-constant": dict(base="tiny-rope-llama3", lora_rank=2, lora_target=["k_proj", "down_proj"],
                                 learning_rate=2e-3, lr_scheduler_type="constant_with_warmup",
                                 warmup_updates=5, weight_decay=0.0),
}
FAMILIES = ["mistral", "qwen2-window", "qwen3-window", "gemma2", "gemma3-scaled"]
for family in FAMILIES:
    CASES[f"family-{family}"] = dict(base=f"tiny-{family}", lora_rank=2, lora_target=SEVEN, learning_rate=5e-3,
                                     lr_scheduler_type="linear", warmup_updates=0, weight_decay=0.0)


def versions():
    return {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}


def collate(rows, pad):
    longest = max(len(row["ids"]) for row in rows)
    ids = torch.full((len(rows), longest), pad)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, -100)
    for i, row in enumerate(rows):
        length, begin = len(row["ids"]), row["prompt_length"]
        ids[i, :length] = torch.tensor(row["ids"])
        mask[i, :length] = 1
        labels[i, begin:length] = ids[i, begin:length]
    return ids, mask, labels


def named_adapter(model):
    return {key: value.detach().clone().contiguous() for key, value in get_peft_model_state_dict(model).items()}


def draw_adapter(model, seed, both):
    """PEFT's own start (B = 0), or with `both` a random B as well, so that the first step tests all of it."""
    generator = torch.Generator().manual_seed(seed)
    state = named_adapter(model)
    for key, value in state.items():
        if "lora_A" in key:
            bound = value.shape[1] ** -0.5
            value.copy_((torch.rand(value.shape, generator=generator) * 2 - 1) * bound)
        elif both:
            value.copy_(torch.randn(value.shape, generator=generator) * 0.05)
    set_peft_model_state_dict(model, state)


def train(model, settings, rows, updates):
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=settings["learning_rate"], betas=settings["betas"],
                                  eps=settings["epsilon"], weight_decay=settings["weight_decay"])
    schedule = get_scheduler(settings["lr_scheduler_type"], optimizer,
                             num_warmup_steps=settings["warmup_updates"],
                             num_training_steps=settings["num_updates"])
    record = {"learning_rates": [], "losses": [], "grad_norms": [], "num_target_tokens": []}
    model.train()
    for update in updates:
        ids, mask, labels = collate([rows[i] for i in update], 2)
        logits = model(input_ids=ids, attention_mask=mask).logits
        keep = labels[:, 1:] != -100
        total = torch.nn.functional.cross_entropy(logits[:, :-1][keep], labels[:, 1:][keep], reduction="sum")
        loss = total / keep.sum()
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(parameters, settings["max_grad_norm"])
        record["learning_rates"].append(optimizer.param_groups[0]["lr"])
        record["losses"].append(loss.item())
        record["grad_norms"].append(norm.item())
        record["num_target_tokens"].append(int(keep.sum()))
        optimizer.step()
        schedule.step()
    model.eval()
    return record


def run_case(name, base, rows, updates):
    settings = {**SETTINGS, **CASES[name]}
    config = LoraConfig(r=settings["lora_rank"], lora_alpha=settings["lora_alpha"], lora_dropout=0.0,
                        target_modules=settings["lora_target"], task_type="CAUSAL_LM")
    model = get_peft_model(base, config)
    tiny = "base" in settings
    draw_adapter(model, 11, both=tiny)
    save_file(named_adapter(model), OUT / f"{name}.initial.safetensors", metadata=versions())
    record = train(model, settings, rows, updates)
    final = named_adapter(model)
    record["final_norms"] = {key: value.double().norm().item() for key, value in final.items()}
    if tiny:
        save_file(final, OUT / f"{name}.final.safetensors", metadata=versions())
    document = {"versions": versions(), "settings": settings, **record, "rows": rows, "updates": updates}
    text = json.dumps(document)
    for key in ("settings", "learning_rates", "losses", "grad_norms", "num_target_tokens", "final_norms",
                "rows", "updates"):
        text = text.replace(f' "{key}": ', f'\n"{key}": ', 1)
    (OUT / f"{name}.json").write_text(text.replace('}, {"ids"', '},\n{"ids"') + "\n")
    print(name, "loss", record["losses"][0], "->", record["losses"][-1], "norms", record["grad_norms"][:3])
    for file in OUT.iterdir():
        file.chmod(0o644)


def tiny_rows(vocab_size, generator):
    """Rows with something to learn: the target repeats the end of the prompt."""
    rows = []
    for _ in range(24):
        prompt = torch.randint(3, vocab_size, (int(torch.randint(4, 20, (1,), generator=generator)),),
                               generator=generator).tolist()
        count = int(torch.randint(1, 4, (1,), generator=generator))
        rows.append({"ids": prompt + prompt[-count:] + [2], "prompt_length": len(prompt)})
    return rows


def make_tiny(kind):
    for name in CASES:
        if not name.startswith(kind):
            continue
        base = AutoModelForCausalLM.from_pretrained(HERE / "model" / CASES[name]["base"], dtype=torch.float32,
                                                    attn_implementation=ATTENTION[kind])
        rows = tiny_rows(base.config.vocab_size, torch.Generator().manual_seed(3))
        updates = [[(step * 5 + i) % len(rows) for i in range(5)] for step in range(SETTINGS["num_updates"])]
        run_case(name, base, rows, updates)


def real_rows(tokenizer, data, count):
    rows = []
    for task in ("sa", "pos", "dsg", "expl", "trans"):
        taken = 0
        with open(pathlib.Path(data) / f"{task}.train.json", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                if taken == count // 5:
                    break
                output = row["output"][0] if isinstance(row["output"], list) else row["output"]
                prompt = chat_ids(tokenizer, row["input"])
                target = tokenizer.encode("accept", add_special_tokens=False)
                target = target + tokenizer.encode(output, add_special_tokens=False) + [2]
                if 60 <= len(prompt) + len(target) <= 100:
                    rows.append({"ids": prompt + target, "prompt_length": len(prompt)})
                    taken += 1
    return rows


def make_smollm2(model_folder, data):
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    rows = real_rows(tokenizer, data, 80)
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(5)).tolist()
    updates = [[order[(step * 4 + i) % len(rows)] for i in range(4)] for step in range(SETTINGS["num_updates"])]
    base = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    print(len(rows), "rows, mean", sum(len(row["ids"]) for row in rows) / len(rows), "tokens")
    run_case("smollm2-qv", base, rows, updates)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["tiny", "families", "smollm2"])
    parser.add_argument("--model")
    parser.add_argument("--data")
    args = parser.parse_args()
    torch.set_num_threads(1)
    OUT.mkdir(exist_ok=True)
    if args.what == "smollm2":
        make_smollm2(args.model, args.data)
    else:
        make_tiny({"tiny": "tiny", "families": "family"}[args.what])


if __name__ == "__main__":
    main()
