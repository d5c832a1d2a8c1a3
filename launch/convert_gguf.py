#!/usr/bin/env python3
"""Turns a Llama model in one GGUF file into a Hugging Face folder with bfloat16 weights.

    convert_gguf.py MODEL.gguf OUT_DIR

Needs only gguf and numpy. Quantised tensors are expanded in float32 and rounded to bfloat16 (nearest, ties to
even). The folder appears under its name only when it is complete.
"""
import json
import os
import pathlib
import shutil
import sys

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize

SPECIAL_TOKEN = 3  # the value of tokenizer.ggml.token_type for control tokens

TENSOR_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


class GgufError(Exception):
    """What is wrong with the file, in words for the person who gave it."""


class Facts:
    """The key/value part of a GGUF file."""

    def __init__(self, reader):
        self.fields = reader.fields

    def get(self, key, default=None):
        field = self.fields.get(key)
        if field is None:
            return default
        value = field.contents()
        return value.item() if isinstance(value, np.generic) else value

    def need(self, key):
        value = self.get(key)
        if value is None:
            raise GgufError(f"the GGUF file has no field {key}")
        return value


def huggingface_name(name):
    """blk.3.attn_q.weight -> model.layers.3.self_attn.q_proj.weight"""
    if name == "token_embd.weight":
        return "model.embed_tokens.weight"
    if name == "output_norm.weight":
        return "model.norm.weight"
    if name == "output.weight":
        return "lm_head.weight"
    block, layer, part, kind = (name.split(".") + [""] * 4)[:4]
    if block != "blk" or part not in TENSOR_NAMES or kind not in ("weight", "bias"):
        raise GgufError(f"tensor {name} is none that a Llama model has")
    return f"model.layers.{layer}.{TENSOR_NAMES[part]}.{kind}"


def undo_permutation(weight, num_heads):
    """GGUF stores the rows of q and k so that rotary pairs are neighbours; Hugging Face keeps the halves apart."""
    pairs = weight.reshape(num_heads, weight.shape[0] // num_heads // 2, 2, *weight.shape[1:])
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(weight.shape))


def to_bfloat16(values):
    """float32 -> the upper 16 bits, rounded to nearest with ties to even."""
    values = np.ascontiguousarray(values, dtype=np.float32)
    if not np.isfinite(values).all():
        raise GgufError("a tensor holds values that are not finite")
    bits = values.view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype("<u2")


def read_tensors(reader, config):
    tensors = {}
    for tensor in reader.tensors:
        weight = dequantize(tensor.data, tensor.tensor_type)
        weight = weight.reshape(tuple(int(n) for n in reversed(tensor.shape)))
        if ".attn_q." in tensor.name:
            weight = undo_permutation(weight, config["num_attention_heads"])
        elif ".attn_k." in tensor.name:
            weight = undo_permutation(weight, config["num_key_value_heads"])
        tensors[huggingface_name(tensor.name)] = to_bfloat16(weight)
    return tensors


def write_safetensors(path, tensors):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name in sorted(tensors):
        size = tensors[name].nbytes
        header[name] = {"dtype": "BF16", "shape": list(tensors[name].shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for name in sorted(tensors):
            file.write(tensors[name].tobytes())


def make_config(facts, tied):
    if facts.need("general.architecture") != "llama":
        raise GgufError(f"the architecture is {facts.need('general.architecture')}; only llama can be converted")
    if facts.get("llama.rope.scaling.type") not in (None, "none"):
        raise GgufError("the file scales its rotary positions; only plain ones can be converted")
    width = facts.need("llama.embedding_length")
    num_heads = facts.need("llama.attention.head_count")
    theta = facts.get("llama.rope.freq_base", 10000.0)
    head_dim = facts.get("llama.rope.dimension_count", width // num_heads)
    return {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": facts.need("tokenizer.ggml.bos_token_id"),
        "eos_token_id": facts.need("tokenizer.ggml.eos_token_id"),
        "pad_token_id": facts.get("tokenizer.ggml.padding_token_id"),
        "dtype": "bfloat16",
        "torch_dtype": "bfloat16",
        "head_dim": head_dim,
        "hidden_act": "silu",
        "hidden_size": width,
        "initializer_range": 0.02,
        "intermediate_size": facts.need("llama.feed_forward_length"),
        "max_position_embeddings": facts.need("llama.context_length"),
        "mlp_bias": False,
        "model_type": "llama",
        "num_attention_heads": num_heads,
        "num_hidden_layers": facts.need("llama.block_count"),
        "num_key_value_heads": facts.get("llama.attention.head_count_kv", num_heads),
        "pretraining_tp": 1,
        "rms_norm_eps": facts.need("llama.attention.layer_norm_rms_epsilon"),
        "rope_parameters": {"rope_theta": theta, "rope_type": "default"},
        "rope_theta": theta,
        "tie_word_embeddings": tied,
        "use_cache": True,
        "vocab_size": len(facts.need("tokenizer.ggml.tokens")),
    }


def make_tokenizer(facts):
    """tokenizer.json of a byte-level BPE vocabulary, with control tokens as added special tokens."""
    if facts.need("tokenizer.ggml.model") != "gpt2":
        raise GgufError(f"the tokenizer is of kind {facts.need('tokenizer.ggml.model')}; only gpt2 can be converted")
    tokens, types = facts.need("tokenizer.ggml.tokens"), facts.need("tokenizer.ggml.token_type")
    byte_level = {"type": "ByteLevel", "trim_offsets": True, "use_regex": True}
    unknown = facts.get("tokenizer.ggml.unknown_token_id")
    added = [
        {"id": index, "content": tokens[index], "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for index, kind in enumerate(types) if kind == SPECIAL_TOKEN
    ]
    sequence_a, sequence_b = {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": {"type": "Sequence", "normalizers": []},
        "pre_tokenizer": {**byte_level, "add_prefix_space": False, "trim_offsets": False},
        "post_processor": {"type": "TemplateProcessing", "single": [sequence_a], "pair": [sequence_a, sequence_b],
                           "special_tokens": {}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
            {**byte_level, "add_prefix_space": True},
        ]},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None if unknown is None else tokens[unknown],
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in facts.need("tokenizer.ggml.merges")],
        },
    }


def special_tokens(facts):
    """The chat turn of these models ends with eos; no beginning-of-text token is put before a prompt."""
    tokens = facts.need("tokenizer.ggml.tokens")
    names = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
    ids = {name: facts.get(f"tokenizer.ggml.{key}_token_id") for name, key in names.items()}
    return {name: tokens[index] for name, index in ids.items() if index is not None}


def make_tokenizer_config(facts):
    return {
        "add_bos_token": bool(facts.get("tokenizer.ggml.add_bos_token", False)),
        "add_prefix_space": False,
        **special_tokens(facts),
        "clean_up_tokenization_spaces": False,
        "model_max_length": facts.need("llama.context_length"),
        "tokenizer_class": "PreTrainedTokenizerFast",
    }


def convert(gguf_path, out_dir):
    reader = GGUFReader(gguf_path)
    facts = Facts(reader)
    tied = all(tensor.name != "output.weight" for tensor in reader.tensors)
    config = make_config(facts, tied)
    template = facts.get("tokenizer.chat_template")
    files = {
        "config.json": config,
        "generation_config.json": {key: config[key] for key in ("bos_token_id", "eos_token_id", "pad_token_id")},
        "tokenizer.json": make_tokenizer(facts),
        "tokenizer_config.json": make_tokenizer_config(facts),
        "special_tokens_map.json": special_tokens(facts),
    }
    unfinished = out_dir.with_name(out_dir.name + f".unfinished-{os.getpid()}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for name, content in files.items():
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        (unfinished / name).write_text(text, encoding="utf-8")
    if template is not None:
        (unfinished / "chat_template.jinja").write_text(template, encoding="utf-8")
    write_safetensors(unfinished / "model.safetensors", read_tensors(reader, config))
    if out_dir.is_symlink():
        out_dir.unlink()
    shutil.rmtree(out_dir, ignore_errors=True)
    unfinished.rename(out_dir)


def main():
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    source, out_dir = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    try:
        convert(source, out_dir)
    except (GgufError, OSError, ValueError) as error:
        print(f"convert_gguf: {source}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
