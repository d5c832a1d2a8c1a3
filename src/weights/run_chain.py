#!/usr/bin/env python3
"""Asks an exported chain with transformers and PEFT, without Baton.

    python run_chain.py [--model BASE] "a prompt"                    the answer; who gave it, on stderr
    python run_chain.py [--model BASE] < prompts.jsonl > answers.jsonl   {"prompt": ...} a line

Experts are asked newest first. Each says, at the first position of its answer, whether the prompt is its own: by
logit(accept) - logit(pass) in float32. The first one above its threshold answers, behind the token `accept`; where all
pass, the base model does.
"""
import argparse
import json
import math
import pathlib
import sys

import torch
from peft import PeftModel
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

FORMAT = 1
WHITE_SPACE = " \t\n\v\f\r"  # what is cut off an answer's ends


def without_leading_mark(part):
    """A step of tokenizer.json for text that goes on after other text: no mark or space is put before it."""
    if not isinstance(part, dict):
        return part
    kind = part.get("type")
    if kind == "Prepend":
        return {"type": "Sequence", "normalizers": []}
    if kind == "Metaspace":
        return {**part, "prepend_scheme": "never"}
    if kind == "ByteLevel":
        return {**part, "add_prefix_space": False}
    return {key: [without_leading_mark(step) for step in value] if isinstance(value, list) else value
            for key, value in part.items()}


class Chain:
    def __init__(self, folder, model=None, device="cpu"):
        try:
            self.facts = json.loads((folder / "chain.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            sys.exit(f"no chain.json in {folder}: the export did not end; export the chain again")
        if self.facts["format"] != FORMAT:
            sys.exit(f"chain.json has format {self.facts['format']}, this program reads {FORMAT}: export again")
        base = self.facts["base_model"]
        model = pathlib.Path(model or base["folder"])
        if not (model / "config.json").exists():
            sys.exit(f"the base model {base['name']} is not at {model}: give its folder with --model")
        self.load_tokenizer(model)
        self.model = AutoModelForCausalLM.from_pretrained(model, dtype=getattr(torch, base["dtype"], "auto"))
        config = self.model.config
        self.room, self.cap = config.max_position_embeddings, getattr(config, "final_logit_softcapping", None)
        head = self.model.get_output_embeddings()
        head.register_forward_pre_hook(lambda module, inputs: setattr(self, "state", inputs[0]))
        for i, expert in enumerate(self.facts["experts"]):
            if i == 0:
                self.model = PeftModel.from_pretrained(self.model, folder / expert["folder"], adapter_name="expert0")
            else:
                self.model.load_adapter(folder / expert["folder"], adapter_name=f"expert{i}")
        self.model.to(device).eval()
        self.accept, self.reject = (self.facts["indicators"][name]["token_id"] for name in ("accept", "pass"))
        self.indicator_rows = head.weight[[self.accept, self.reject]].float()

    def load_tokenizer(self, model):
        spec = json.loads((model / "tokenizer.json").read_text(encoding="utf-8"))
        if not self.facts["prompt"]["is_beginning"]:
            for step in ("normalizer", "pre_tokenizer"):
                spec[step] = without_leading_mark(spec.get(step))
        spec.update(truncation=None, padding=None)
        self.tokenizer = Tokenizer.from_str(json.dumps(spec))
        self.tokenizer.encode_special_tokens = True  # "<|im_end|>" in a prompt is text
        sample = self.facts["prompt"]["sample"]
        if self.prompt_ids(sample["text"], cutoff=0) != sample["ids"]:
            sys.exit(f"{model / 'tokenizer.json'} does not cut text as the chain's own tokenizer does: "
                     "another base model, or a kind of tokenizer that this program does not know")

    def prompt_ids(self, text, cutoff):
        frame = self.facts["prompt"]
        text = frame["before_text"] + (text.strip() if frame["trims_text"] else text)
        ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        before, after = frame["before_ids"], frame["after_ids"]
        if cutoff > 0:  # only the text is cut, at its end
            ids = ids[:max(0, cutoff - len(before) - len(after))]
        return before + ids + after

    def step(self, ids, cache):
        """Logits behind `ids`, in float32, and where to go on."""
        out = self.model(input_ids=torch.tensor([ids], device=self.model.device), past_key_values=cache, use_cache=True,
                         logits_to_keep=1)
        return out.logits[0, -1].float(), out.past_key_values

    def choose(self, logits):
        return int(logits.argmax())

    def read(self, number, ids):
        """The prompt, read by an expert: its margin, and where to go on."""
        self.model.set_adapter(f"expert{number}")
        _, cache = self.step(ids, None)
        logits = self.indicator_rows @ self.state[0, -1].float()  # in float32 whatever type the model has
        if self.cap:
            logits = self.cap * torch.tanh(logits / self.cap)
        margin = (logits[0] - logits[1]).item()
        if not math.isfinite(margin):
            sys.exit(f"the margin of expert {self.facts['order'][number]} is not a number")
        return margin, cache

    def answer(self, logits, cache, banned):
        tokens, num_new = [], 0
        while True:
            logits[banned] = -math.inf
            token = self.choose(logits)
            num_new += 1
            if token not in self.facts["stop_ids"]:
                tokens.append(token)
            if token in self.facts["stop_ids"] or num_new == self.facts["max_new_tokens"]:
                return self.tokenizer.decode(tokens, skip_special_tokens=True).strip(WHITE_SPACE), num_new
            logits, cache = self.step([token], cache)

    def route(self, ids):
        """Who answers (None: the base), where it goes on, and the margins of those asked."""
        best, asked = None, []
        for number in reversed(range(len(self.facts["experts"]))):
            expert = self.facts["experts"][number]
            margin, cache = self.read(number, ids)
            asked.append({"expert": expert["name"], "margin": margin})
            surplus = margin - expert["threshold"]
            if margin > expert["threshold"] and (best is None or surplus > best[2]):
                best = (number, cache, surplus)
                if self.facts["rule"] == "first":
                    break
        return (None, None, asked) if best is None else (best[0], best[1], asked)

    @torch.inference_mode()
    def ask(self, prompt):
        if not isinstance(prompt, str) or not prompt.strip(WHITE_SPACE) or "\0" in prompt:
            raise ValueError("a prompt is a text that is not empty and has no NUL")
        ids = self.prompt_ids(prompt, self.facts["cutoff_len"])
        if len(ids) + 1 + self.facts["max_new_tokens"] > self.room:
            raise ValueError(f"the prompt has {len(ids)} tokens: with the answer more than the model's {self.room}")
        number, cache, asked = self.route(ids)
        if number is None:
            with self.model.disable_adapter():
                text, num_new = self.answer(*self.step(ids, None), [])
        else:
            self.model.set_adapter(f"expert{number}")
            text, num_new = self.answer(*self.step([self.accept], cache), [self.accept, self.reject])
        name = None if number is None else self.facts["order"][number]
        return {"prompt": prompt, "answer": text, "route": "base" if name is None else "expert", "expert": name,
                "asked": asked, "prompt_tokens": len(ids), "new_tokens": num_new}


def answer_lines(chain):
    """A line that cannot be asked gets an error in the place of its answer."""
    code = 0
    for number, line in enumerate(sys.stdin, 1):
        if not line.strip():
            continue
        try:
            found = chain.ask(json.loads(line)["prompt"])
        except (ValueError, KeyError, TypeError) as error:
            code, found = 3, {"line": number, "error": str(error) or type(error).__name__}
        print(json.dumps(found, ensure_ascii=False), flush=True)
    return code


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("prompt", nargs="?", help="without it: JSON lines on stdin")
    parser.add_argument("--model", help="the base model's folder; default: the one in chain.json")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu",
                        help="where torch computes; default: %(default)s")
    args = parser.parse_args()
    for stream in (sys.stdin, sys.stdout):
        stream.reconfigure(encoding="utf-8")
    chain = Chain(pathlib.Path(__file__).resolve().parent, args.model, args.device)
    if args.prompt is None:
        return answer_lines(chain)
    try:
        found = chain.ask(args.prompt)
    except ValueError as error:
        sys.exit(str(error))
    print(found["answer"], flush=True)
    margins = ", ".join(f"{asked['expert']} {asked['margin']:+.2f}" for asked in found["asked"])
    print(f"answered by {found['expert'] or 'the base model'} (margins, newest first: {margins})", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
