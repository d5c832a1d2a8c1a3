#!/usr/bin/env python3
"""Writes a small random Llama folder with a byte-level BPE tokenizer and the chatml template.

    python tests/e2e/make_tiny_model.py OUT [--seed N] [--width 32]

About 500 tokens; `accept` and `pass` are single tokens, as are the chat markers.
"""

import argparse
import json
import pathlib

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\n" + SYSTEM + "<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TEXT = [
    SYSTEM, "system\nuser\nassistant\n", "the cat sat on the mat and the dog ran after a red ball in the park",
    "Say this word loudly and write it in capital letters please",
    "How many words are in this line? One two three",
    "Spell it backwards letter by letter", "a small green bird sings a long song near the old stone bridge",
]


def make_tokenizer(vocab_size):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=SPECIAL, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(TEXT * 3 + ["accept", "pass"] * 200, trainer)
    return tokenizer


def write_model(out, seed=0, width=32, tokenizer_file=None):
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    if tokenizer_file:  # of another kind; its chat template is for who asks to name
        tokenizer = Tokenizer.from_file(str(tokenizer_file))
    else:
        tokenizer = make_tokenizer(500)
        for word in ("accept", "pass"):
            assert len(tokenizer.encode(word).ids) == 1, word
    tokenizer.save(str(out / "tokenizer.json"))
    (out / "chat_template.jinja").write_text(CHATML)
    (out / "tokenizer_config.json").write_text(json.dumps({
        "bos_token": "<|im_start|>", "eos_token": "<|im_end|>", "unk_token": "<|endoftext|>",
        "add_prefix_space": False, "tokenizer_class": "GPT2TokenizerFast"}, indent=2))
    torch.manual_seed(seed)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=width, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=2 * width, num_hidden_layers=2, tie_word_embeddings=True, initializer_range=0.2,
        max_position_embeddings=2048, bos_token_id=1, eos_token_id=2, pad_token_id=2,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0})).float()
    model.save_pretrained(out)
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--width", type=int, default=32)
    args = parser.parse_args()
    write_model(args.out, args.seed, args.width)


if __name__ == "__main__":
    main()
