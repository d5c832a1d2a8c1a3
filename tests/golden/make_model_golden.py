#!/usr/bin/env python3
"""Makes the reference files of tests/golden/model with transformers.

    python tests/golden/make_model_golden.py tiny
    python tests/golden/make_model_golden.py families
    python tests/golden/make_model_golden.py logits --model DIR --data DIR
    python tests/golden/make_model_golden.py greedy --model DIR --data DIR [--kind gemma3-270m]

tiny    small random Llama folders that switch every part of the config on and off, with ids and logits.
families  the same for the other families.
logits  logits of a real model on benchmark prompts, thinned out to stay small.
greedy  greedy continuations of a real model: ids and the gap between the two highest logits.

All of it is computed in float32. Each file stores the versions that made it.
"""

import argparse
import json
import pathlib

import torch
import transformers
from safetensors.torch import save_file
from transformers import (AutoModelForCausalLM, AutoTokenizer, Gemma2Config, Gemma3TextConfig, LlamaConfig,
                          LlamaForCausalLM, MistralConfig, Qwen2Config, Qwen3Config)

HERE = pathlib.Path(__file__).resolve().parent / "model"
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
TASKS = ["qa", "sa", "trans", "para", "pe", "pos", "dsg", "expl", "qg", "sum"]


def versions():
    return {"torch": torch.__version__, "transformers": transformers.__version__}


# ---------------------------------------------------------------- tiny random models

COMMON = dict(bos_token_id=1, eos_token_id=2, pad_token_id=2, initializer_range=0.25)
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=16, rope_theta=500000.0)
TINY = {
    "gqa-tied": dict(vocab_size=96, hidden_size=32, num_attention_heads=4, num_key_value_heads=2,
                     intermediate_size=64, num_hidden_layers=2, tie_word_embeddings=True,
                     rms_norm_eps=1e-5, max_position_embeddings=128,
                     rope_parameters=dict(rope_type="default", rope_theta=10000.0)),
    "mha-untied": dict(vocab_size=101, hidden_size=24, num_attention_heads=3, num_key_value_heads=3,
                       intermediate_size=56, num_hidden_layers=3, tie_word_embeddings=False,
                       rms_norm_eps=1e-6, max_position_embeddings=64,
                       rope_parameters=dict(rope_type="default", rope_theta=500000.0)),
    "head-dim": dict(vocab_size=67, hidden_size=20, num_attention_heads=5, num_key_value_heads=1,
                     head_dim=14, intermediate_size=37, num_hidden_layers=2,
                     tie_word_embeddings=True, rms_norm_eps=1e-5, max_position_embeddings=64,
                     rope_parameters=dict(rope_type="default", rope_theta=1000.0)),
    "bias": dict(vocab_size=71, hidden_size=24, num_attention_heads=4, num_key_value_heads=2,
                 intermediate_size=40, num_hidden_layers=2, tie_word_embeddings=False,
                 attention_bias=True, mlp_bias=True, rms_norm_eps=1e-5, max_position_embeddings=64,
                 rope_parameters=dict(rope_type="default", rope_theta=10000.0)),
    "rope-llama3": dict(vocab_size=64, hidden_size=32, num_attention_heads=2, num_key_value_heads=1,
                        intermediate_size=48, num_hidden_layers=2, tie_word_embeddings=True,
                        rms_norm_eps=1e-5, max_position_embeddings=128, rope_parameters=LLAMA3),
    "rope-linear": dict(vocab_size=64, hidden_size=24, num_attention_heads=3, num_key_value_heads=1,
                        intermediate_size=48, num_hidden_layers=2, tie_word_embeddings=False,
                        rms_norm_eps=1e-5, max_position_embeddings=128,
                        rope_parameters=dict(rope_type="linear", factor=2.5, rope_theta=10000.0)),
    "sharded": dict(vocab_size=80, hidden_size=32, num_attention_heads=4, num_key_value_heads=4,
                    intermediate_size=64, num_hidden_layers=3, tie_word_embeddings=False,
                    rms_norm_eps=1e-5, max_position_embeddings=64,
                    rope_parameters=dict(rope_type="default", rope_theta=10000.0)),
}
ROW_LENGTHS = {"rope-llama3": (7, 40, 90), "rope-linear": (1, 5, 60)}


def make_tiny_model(name):
    torch.manual_seed(sorted(TINY).index(name) + 1)
    model = LlamaForCausalLM(LlamaConfig(**COMMON, **TINY[name])).float().eval()
    with torch.no_grad():
        for key, value in model.named_parameters():
            if "norm" in key:
                value.copy_(1 + 0.2 * torch.randn_like(value))
            if key.endswith("bias"):
                value.copy_(0.3 * torch.randn_like(value))
    return model


def older_config(config):
    """The same config as transformers 4 spelt it, the spelling most published folders have."""
    config = dict(config)
    rope = dict(config.pop("rope_parameters"))
    config["rope_theta"] = rope.pop("rope_theta")
    if rope["rope_type"] == "linear":
        rope["type"] = rope.pop("rope_type")
    config["rope_scaling"] = None if rope.get("rope_type") == "default" else rope
    config["torch_dtype"] = config.pop("dtype", "float32")
    for key in ("attention_bias", "mlp_bias"):
        if not config[key]:
            del config[key]
    if config["head_dim"] * config["num_attention_heads"] == config["hidden_size"]:
        del config["head_dim"]
    config["transformers_version"] = "4.46.0"
    return config


def make_tiny():
    for name in TINY:
        folder = HERE / f"tiny-{name}"
        folder.mkdir(parents=True, exist_ok=True)
        model = make_tiny_model(name)
        model.save_pretrained(folder, max_shard_size="24KB" if name == "sharded" else "1GB")
        config = json.loads((folder / "config.json").read_text())
        save_golden(folder, model, older_config(config), ROW_LENGTHS.get(name, (1, 9, 23)))


def save_golden(folder, model, older, lengths):
    """Logits of random rows, and a check that both spellings of the config are the same model."""
    (folder / "config_older.json").write_text(json.dumps(older, indent=2) + "\n")
    (folder / "generation_config.json").unlink(missing_ok=True)
    generator = torch.Generator().manual_seed(7)
    tensors = {}
    for i, length in enumerate(lengths):
        ids = torch.randint(0, model.config.vocab_size, (length,), generator=generator)
        with torch.no_grad():
            tensors[f"row{i}.logits"] = model(input_ids=ids[None]).logits[0].float().contiguous()
        tensors[f"row{i}.ids"] = ids
    reread = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation=ATTENTION).eval()
    with torch.no_grad():
        again = reread(input_ids=tensors["row1.ids"][None]).logits[0]
    assert torch.equal(again, tensors["row1.logits"]), folder
    older_kind = type(model.config).from_json_file(folder / "config_older.json")
    older_model = AutoModelForCausalLM.from_config(older_kind, attn_implementation=ATTENTION).float().eval()
    older_model.load_state_dict(reread.state_dict())
    with torch.no_grad():
        again = older_model(input_ids=tensors["row2.ids"][None]).logits[0]
    assert torch.equal(again, tensors["row2.logits"]), folder
    save_file(tensors, folder / "golden.safetensors", metadata=versions())
    for file in folder.iterdir():
        file.chmod(0o644)
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{folder.name}: {size} bytes, logits sd {tensors['row1.logits'].std():.2f}")


# ---------------------------------------------------------------- tiny models of other families

SMALL = dict(vocab_size=61, hidden_size=24, num_attention_heads=4, num_key_value_heads=2, intermediate_size=40,
             num_hidden_layers=2, rms_norm_eps=1e-5, max_position_embeddings=64)
PLAIN_ROPE = dict(rope_type="default", rope_theta=10000.0)
SLIDING, FULL = "sliding_attention", "full_attention"
FAMILIES = {
    "mistral": (MistralConfig, dict(tie_word_embeddings=False, sliding_window=6, rope_parameters=PLAIN_ROPE)),
    "mistral-unbounded": (MistralConfig, dict(tie_word_embeddings=True, sliding_window=None, head_dim=10,
                                              rope_parameters=PLAIN_ROPE)),
    "qwen2": (Qwen2Config, dict(tie_word_embeddings=True, use_sliding_window=False, sliding_window=5,
                                rope_parameters=dict(rope_type="default", rope_theta=1000000.0))),
    "qwen2-window": (Qwen2Config, dict(num_hidden_layers=3, tie_word_embeddings=False, use_sliding_window=True,
                                       sliding_window=5, max_window_layers=1, rope_parameters=PLAIN_ROPE)),
    "qwen3": (Qwen3Config, dict(tie_word_embeddings=True, head_dim=10, rope_parameters=PLAIN_ROPE)),
    "qwen3-window": (Qwen3Config, dict(tie_word_embeddings=False, head_dim=6, attention_bias=True,
                                       use_sliding_window=True, sliding_window=4, max_window_layers=1,
                                       rope_parameters=PLAIN_ROPE)),
    "gemma2": (Gemma2Config, dict(tie_word_embeddings=True, head_dim=8, sliding_window=5, query_pre_attn_scalar=6,
                                  attn_logit_softcapping=2.0, final_logit_softcapping=3.0,
                                  rope_parameters=PLAIN_ROPE)),
    "gemma2-uncapped": (Gemma2Config, dict(tie_word_embeddings=False, head_dim=6, sliding_window=40,
                                           query_pre_attn_scalar=24, attn_logit_softcapping=None,
                                           final_logit_softcapping=None, attention_bias=True,
                                           rope_parameters=PLAIN_ROPE)),
    "gemma3": (Gemma3TextConfig, dict(num_hidden_layers=4, tie_word_embeddings=True, head_dim=8, sliding_window=5,
                                      query_pre_attn_scalar=8, layer_types=[SLIDING, SLIDING, FULL, SLIDING],
                                      rope_parameters={FULL: dict(rope_type="default", rope_theta=1000000.0),
                                                       SLIDING: PLAIN_ROPE})),
    "gemma3-scaled": (Gemma3TextConfig, dict(tie_word_embeddings=False, head_dim=10, sliding_window=7,
                                             query_pre_attn_scalar=24, layer_types=[SLIDING, FULL],
                                             final_logit_softcapping=4.0,
                                             rope_parameters={
                                                 FULL: dict(rope_type="linear", factor=8.0, rope_theta=1000000.0),
                                                 SLIDING: dict(rope_type="default", rope_theta=5000.0)})),
}
PATTERN = {"gemma3": 3, "gemma3-scaled": 2}
ATTENTION = "eager"  # the fused kernel of torch knows no cap


def older_family_config(name, config):
    """As transformers 4 spelt it: RoPE in flat keys, layers with a window by a rule."""
    config = dict(config)
    rope = dict(config.pop("rope_parameters"))
    if SLIDING in rope:
        config["rope_local_base_freq"] = rope[SLIDING]["rope_theta"]
        rope = dict(rope[FULL])
        config["sliding_window_pattern"] = PATTERN[name]
        config.pop("_sliding_window_pattern", None)
    config["rope_theta"] = rope.pop("rope_theta")
    config["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    config.pop("layer_types", None)
    config["torch_dtype"] = config.pop("dtype", "float32")
    config["transformers_version"] = "4.51.0"
    return config


def make_families():
    for index, (name, (kind, settings)) in enumerate(sorted(FAMILIES.items())):
        torch.manual_seed(100 + index)
        config = kind(**{**COMMON, **SMALL, **settings})
        model = AutoModelForCausalLM.from_config(config, attn_implementation=ATTENTION).float().eval()
        with torch.no_grad():
            for key, value in model.named_parameters():
                if "norm" in key:
                    value.copy_((0 if "gemma" in name else 1) + 0.2 * torch.randn_like(value))
                if key.endswith("bias"):
                    value.copy_(0.3 * torch.randn_like(value))
        folder = HERE / f"tiny-{name}"
        folder.mkdir(parents=True, exist_ok=True)
        model.save_pretrained(folder)
        written = json.loads((folder / "config.json").read_text())
        save_golden(folder, model, older_family_config(name, written), (1, 9, 23))


# ---------------------------------------------------------------- a real model

def read_rows(data, task):
    with open(pathlib.Path(data) / f"{task}.eval.json", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [(f"{task}/{row['id']}", row["full_prompt"]) for row in rows]


# What stands around a lone user text, which tokens end an answer, how many greedy texts are stored.
KINDS = {
    "smollm2": dict(before=f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n",
                    after="<|im_end|>\n<|im_start|>assistant\n", ends=[2], count=50),
    "gemma3-270m": dict(before="<bos><start_of_turn>user\n", after="<end_of_turn>\n<start_of_turn>model\n",
                        ends=[1, 106], count=20),
}


def chat_ids(tokenizer, text, kind="smollm2"):
    """Template parts are encoded apart from the user's text and the ids concatenated."""
    before, after = KINDS[kind]["before"], KINDS[kind]["after"]
    return sum((tokenizer.encode(part, add_special_tokens=False) for part in (before, text, after)), [])


def load_real(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    return model.eval(), AutoTokenizer.from_pretrained(folder)


def make_logits(model, tokenizer, data):
    vocab_size = model.config.vocab_size
    columns = torch.linspace(0, vocab_size - 1, 64).long()
    tensors = {"columns": columns}
    full = []
    for i, task in enumerate(TASKS[:8]):
        name, text = min(read_rows(data, task)[:40], key=lambda row: abs(len(row[1]) - 400))
        ids = chat_ids(tokenizer, text)
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([ids])).logits[0]
        top = logits.topk(5, dim=-1)
        tensors[f"row{i}.ids"] = torch.tensor(ids)
        tensors[f"row{i}.top_ids"] = top.indices.contiguous()
        tensors[f"row{i}.top_logits"] = top.values.contiguous()
        tensors[f"row{i}.column_logits"] = logits[:, columns].contiguous()
        if i < 6:
            position = [0, 31, len(ids) - 1, len(ids) // 2, len(ids) - 2, len(ids) - 1][i]
            full.append((i, position))
            tensors[f"full{i}.logits"] = logits[position].contiguous()
        print(name, len(ids), "tokens")
    tensors["full.row_and_position"] = torch.tensor(full)
    save_file(tensors, HERE / "smollm2-logits.safetensors", metadata=versions())


@torch.no_grad()
def greedy(model, prompts, new_tokens, ends):
    """Left-padded batch, own loop so that the gaps are those of the tokens taken."""
    longest = max(map(len, prompts))
    ids = torch.tensor([[ends[0]] * (longest - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    out, gaps, done, cache = [[] for _ in prompts], [[] for _ in prompts], [False] * len(prompts), None
    for _ in range(new_tokens):
        step = model(input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache,
                     use_cache=True, logits_to_keep=1)
        cache = step.past_key_values
        top = step.logits[:, -1].float().topk(2, dim=-1)
        for row in range(len(prompts)):
            if not done[row]:
                out[row].append(int(top.indices[row, 0]))
                gaps[row].append(float(top.values[row, 0] - top.values[row, 1]))
                done[row] = out[row][-1] in ends
        if all(done):
            break
        ids = top.indices[:, :1]
        mask = torch.cat([mask, torch.ones_like(ids)], 1)
        positions = positions[:, -1:] + 1
    return out, gaps


def make_greedy(model, tokenizer, data, kind):
    ends, count = KINDS[kind]["ends"], KINDS[kind]["count"]
    picked = []
    for task in TASKS:
        for name, text in read_rows(data, task):
            ids = chat_ids(tokenizer, text, kind)
            if len(ids) <= 120 and text == text.strip():  # gemma's template would cut white space
                picked.append((task, name, text, ids))
    chosen = []
    for turn in range(200):  # every task in turn, so that tasks with few short rows are there too
        for task in TASKS:
            rows = [row for row in picked if row[0] == task]
            if turn < len(rows) and len(chosen) < count:
                chosen.append(rows[turn])
    assert len(chosen) == count, len(chosen)
    chosen.sort(key=lambda row: len(row[3]))
    result = []
    for begin in range(0, len(chosen), 10):
        part = chosen[begin:begin + 10]
        out, gaps = greedy(model, [row[3] for row in part], 64, ends)
        for (_, name, text, ids), tokens, gap in zip(part, out, gaps):
            result.append({"name": name, "text": text, "prompt": ids, "tokens": tokens, "gaps": [round(g, 6) for g in gap]})
        print(len(result), flush=True)
    text = ",\n".join(json.dumps(row) for row in result)
    head = json.dumps({"versions": versions(), "ends": ends, "max_new_tokens": 64})[1:-1]
    (HERE / f"{kind}-greedy.json").write_text("{" + head + ',\n"rows": [\n' + text + "\n]}\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["tiny", "families", "logits", "greedy"])
    parser.add_argument("--model")
    parser.add_argument("--data")
    parser.add_argument("--kind", choices=list(KINDS), default="smollm2")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.what in ("tiny", "families"):
        make_tiny() if args.what == "tiny" else make_families()
        return
    model, tokenizer = load_real(args.model)
    if args.what == "logits":
        make_logits(model, tokenizer, args.data)
    else:
        make_greedy(model, tokenizer, args.data, args.kind)


if __name__ == "__main__":
    main()
