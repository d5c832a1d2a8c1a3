#!/usr/bin/env python3
"""The base model's folder, made with gguf and numpy alone, equals what transformers reads from the GGUF file.

Tensors bit by bit, the config's facts, token ids on awkward texts, and the chat template. Exit 77: not installed.
"""
import json
import os
import pathlib
import sys
import tempfile

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPS = pathlib.Path(os.environ.get("BATON_DEPS", ROOT / ".deps"))
FOLDER = DEPS / "models" / "smollm2-135m-instruct"
GGUF = DEPS / "models" / "source.gguf"

TEXTS = [
    "", " ", "  two  spaces ", "Hello, world!", "It's the cat's; we'll see, they've gone.", "1234567890 3.14159 1e-9",
    "a\tb\nc\r\n\n\n   d", "naïve café Ünïcödé ǅ", "日本語のテキスト、中文，한국어", "עברית العربية हिन्दी ไทย",
    "👩‍👩‍👧‍👦 🇩🇪 👍🏽 e\u0301 \u200b\ufeff\u00a0\u2028", "\x00\x01\x7f\x85", "\U000e0041\U0010ffff\U0001f600",
    "<|im_start|>user\nhi<|im_end|>\n", "<|endoftext|>", "<|im_end", "▁ looks like a space", "<0x0A>",
    "def f(x):\n    return x ** 2  # comment\n", "aaaaaaaaaaaaaaaaaaaaaaaa" * 40, "accept pass accept", "ſﬁ ﷺ",
]
CONFIG_FACTS = [
    "model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "hidden_act", "rms_norm_eps", "rope_parameters", "tie_word_embeddings",
    "vocab_size", "max_position_embeddings", "attention_bias", "mlp_bias", "bos_token_id", "eos_token_id",
    "pad_token_id",
]
CONVERSATIONS = [
    [{"role": "user", "content": "Hi"}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"},
     {"role": "assistant", "content": "4"}, {"role": "user", "content": "and 3+3?"}],
]

problems = []


def expect(condition, text):
    if not condition:
        problems.append(text)


def check_tensors(reference):
    """reference: the float32 state dict that transformers made of the quantised file."""
    import torch
    from safetensors import safe_open
    with safe_open(FOLDER / "model.safetensors", "pt") as ours:
        names = set(ours.keys())
        expected = set(reference) - {"lm_head.weight"}  # tied: not stored twice
        expect(names == expected, f"tensor names differ: {sorted(names ^ expected)[:5]}")
        for name in sorted(names & expected):
            mine, theirs = ours.get_tensor(name), reference[name].to(torch.bfloat16)
            same = mine.dtype == theirs.dtype and mine.shape == theirs.shape and torch.equal(
                mine.view(torch.int16), theirs.view(torch.int16))
            expect(same, f"tensor {name} differs")
    return len(names)


def check_config(reference):
    from transformers import AutoConfig
    mine = AutoConfig.from_pretrained(FOLDER)
    for fact in CONFIG_FACTS:
        theirs = getattr(reference, fact)
        expect(getattr(mine, fact) == theirs, f"config {fact}: {getattr(mine, fact)!r}, transformers {theirs!r}")
    stop = json.loads((FOLDER / "generation_config.json").read_text(encoding="utf-8"))["eos_token_id"]
    # The chat turn ends with <|im_end|>; what transformers makes of the file names another token.
    expect(stop == 2, f"generation_config.json stops at {stop}")


def check_tokenizer(reference):
    from transformers import AutoTokenizer
    mine = AutoTokenizer.from_pretrained(FOLDER)
    for text in TEXTS:
        for special in (False, True):
            a = mine(text, add_special_tokens=special)["input_ids"]
            b = reference(text, add_special_tokens=special)["input_ids"]
            expect(a == b, f"ids of {text!r} differ: {a} and {b}")
            expect(mine.backend_tokenizer.decode(a, skip_special_tokens=False)
                   == reference.backend_tokenizer.decode(b, skip_special_tokens=False), f"text of {text!r} differs")
    expect(mine.get_vocab() == reference.get_vocab(), "the vocabularies differ")
    added = [{index: (str(token), token.special, token.normalized, token.lstrip, token.rstrip, token.single_word)
              for index, token in tokenizer.added_tokens_decoder.items()} for tokenizer in (mine, reference)]
    expect(added[0] == added[1], f"added tokens differ: {added}")
    expect((mine.bos_token, mine.eos_token, mine.pad_token, mine.unk_token)
           == ("<|im_start|>", "<|im_end|>", "<|im_end|>", "<|endoftext|>"), f"special tokens: {mine.special_tokens_map}")
    for conversation in CONVERSATIONS:
        for prompt in (False, True):
            texts = [tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=prompt)
                     for tokenizer in (mine, reference)]
            expect(texts[0] == texts[1], f"the chat template renders {texts[0]!r}, transformers {texts[1]!r}")


def main():
    if not GGUF.exists() or not FOLDER.exists():
        print(f"skipped: {GGUF} or {FOLDER} is missing")
        return 77
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(GGUF, os.path.join(folder, "model.gguf"))
        model = AutoModelForCausalLM.from_pretrained(folder, gguf_file="model.gguf", dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file="model.gguf")
    num_tensors = check_tensors(model.state_dict())
    check_config(model.config)
    check_tokenizer(tokenizer)
    for problem in problems:
        print(problem)
    print(f"{num_tensors} tensors, {len(CONFIG_FACTS)} facts, {len(TEXTS)} texts: {len(problems)} problems")
    return 1 if problems or num_tensors == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
