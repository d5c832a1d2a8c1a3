#!/usr/bin/env python3
"""The peer: trains a LoRA adapter with real PEFT, step by step as it is told over stdin (bench/README.md).

    python bench/peft_train.py --rows rows.json --base DIR --initial initial.safetensors --dtype float32 --threads 2

With --write-initial the file is made first, from PEFT's own start, so that both sides begin alike.
"""

import argparse
import json
import sys
import time

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

IGNORED = -100


def peak_rss_bytes():
    with open("/proc/self/status", encoding="ascii") as status:
        line = next(line for line in status if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def say(**fields):
    print(json.dumps(fields), flush=True)


def collate(rows):
    longest = max(len(row["ids"]) for row in rows)
    ids = torch.zeros((len(rows), longest), dtype=torch.long)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, IGNORED)
    for i, row in enumerate(rows):
        length, begin = len(row["ids"]), row["prompt_length"]
        ids[i, :length] = torch.tensor(row["ids"])
        mask[i, :length] = 1
        labels[i, begin:length] = ids[i, begin:length]
    return ids, mask, labels


class Peer:
    def __init__(self, args):
        with open(args.rows, encoding="utf-8") as file:
            document = json.load(file)
        self.rows, self.updates, self.settings = document["rows"], document["updates"], document["settings"]
        self.dtype = getattr(torch, args.dtype)
        base = AutoModelForCausalLM.from_pretrained(args.base, dtype=self.dtype,
                                                    attn_implementation=args.attention)
        config = LoraConfig(r=self.settings["lora_rank"], lora_alpha=self.settings["lora_alpha"],
                            target_modules=self.settings["lora_target"], task_type="CAUSAL_LM")
        torch.manual_seed(1)
        self.model = get_peft_model(base, config)
        if args.write_initial:
            state = get_peft_model_state_dict(self.model)
            save_file({key: value.float().contiguous() for key, value in state.items()}, args.initial)
        set_peft_model_state_dict(self.model, load_file(args.initial))
        self.model.train()
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=self.settings["learning_rate"],
                                           betas=self.settings["betas"], eps=self.settings["epsilon"],
                                           weight_decay=self.settings["weight_decay"])
        self.next_step = 0

    def step(self):
        begin = time.perf_counter()
        rows = [self.rows[i] for i in self.updates[self.next_step % len(self.updates)]]
        ids, mask, labels = collate(rows)
        num_target_tokens = int((labels != IGNORED).sum())
        loss = self.model(input_ids=ids, attention_mask=mask, labels=labels,
                          num_items_in_batch=torch.tensor(num_target_tokens)).loss
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.settings["max_grad_norm"])
        self.optimizer.step()
        loss, norm = loss.item(), norm.item()
        seconds = time.perf_counter() - begin
        say(step=self.next_step, loss=loss, grad_norm=norm, seconds=seconds,
            num_tokens=int(mask.sum()), num_target_tokens=num_target_tokens)
        self.next_step += 1

    @torch.no_grad()
    def floor_seconds(self, num_tokens, num_target_tokens):
        """Matrix products no implementation can leave out: every frozen linear forward and, for the gradient of
        its input, backward; the head on target tokens only. Adapters, attention and all else count nothing."""
        config = self.model.config
        width, head = config.hidden_size, config.head_dim
        q, kv, ff = config.num_attention_heads * head, config.num_key_value_heads * head, config.intermediate_size
        layer = [(width, q), (width, kv), (width, kv), (q, width), (width, ff), (width, ff), (ff, width)]
        products = [(num_tokens, shape, config.num_hidden_layers) for shape in layer]
        products.append((num_target_tokens, (width, config.vocab_size), 1))
        total = 0.0
        for rows, (inputs, outputs), times in products:
            # Distinct copies, so that weights come from memory as they do in a step.
            weights = [torch.randn(outputs, inputs).to(self.dtype) for _ in range(min(times, 8))]
            x, g = torch.randn(rows, inputs).to(self.dtype), torch.randn(rows, outputs).to(self.dtype)
            passes = []
            for _ in range(2):
                begin = time.perf_counter()
                for weight in weights:
                    torch.mm(x, weight.t())
                    torch.mm(g, weight)
                passes.append(time.perf_counter() - begin)
            total += min(passes) * times / len(weights)
        return total


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", required=True)
    parser.add_argument("--base", required=True)
    parser.add_argument("--initial", required=True)
    parser.add_argument("--write-initial", action="store_true")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--attention", default="sdpa", choices=["sdpa", "eager"])
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    peer = Peer(args)
    say(ready=True, peak_rss_bytes=peak_rss_bytes())
    for line in sys.stdin:
        words = line.split()
        if words[0] == "step":
            for _ in range(int(words[1])):
                peer.step()
            say(done=int(words[1]), peak_rss_bytes=peak_rss_bytes())
        elif words[0] == "floor":
            say(floor_seconds=peer.floor_seconds(int(words[1]), int(words[2])))
        elif words[0] == "quit":
            break


if __name__ == "__main__":
    main()
