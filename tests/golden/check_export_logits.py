#!/usr/bin/env python3
"""Loads an exported adapter with real PEFT and compares its logits with ours.

    python tests/golden/check_export_logits.py --base DIR --adapter DIR --logits FILE [--tolerance 1e-4]

FILE is a safetensors file with, for each row N, `rowN.ids` (int64 [T]) and `rowN.logits` (float32 [T,V] or, when
`rowN.positions` (int64 [P]) is there, [P,V]). Prints one JSON object; exit status 1 when a key is missing or
unexpected or a difference is above the tolerance.
"""

import argparse
import json
import pathlib
import sys

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM


def compare_keys(base_folder, adapter_folder, dtype):
    """What PEFT would store for this adapter_config.json against what the folder holds."""
    config = LoraConfig.from_pretrained(adapter_folder)
    base = AutoModelForCausalLM.from_pretrained(base_folder, dtype=dtype)
    wanted = get_peft_model_state_dict(get_peft_model(base, config))
    found = load_file(pathlib.Path(adapter_folder) / "adapter_model.safetensors")
    return {
        "missing_keys": sorted(set(wanted) - set(found)),
        "unexpected_keys": sorted(set(found) - set(wanted)),
        "wrong_shapes": sorted(k for k in set(found) & set(wanted) if found[k].shape != wanted[k].shape),
        "num_tensors": len(found),
        "adapter_dtypes": sorted({str(value.dtype) for value in found.values()}),
    }


@torch.no_grad()
def compare_logits(model, tensors):
    worst, scale, moved, num_rows, num_values = 0.0, 0.0, 0.0, 0, 0
    while f"row{num_rows}.ids" in tensors:
        ids = tensors[f"row{num_rows}.ids"].long()[None]
        expected = model(input_ids=ids).logits[0].float()
        with model.disable_adapter():
            without = model(input_ids=ids).logits[0].float()
        moved = max(moved, (expected - without).abs().max().item())
        if f"row{num_rows}.positions" in tensors:
            expected = expected[tensors[f"row{num_rows}.positions"].long()]
        ours = tensors[f"row{num_rows}.logits"].float()
        if ours.shape != expected.shape:
            sys.exit(f"row{num_rows}.logits: expected shape {tuple(expected.shape)}, found {tuple(ours.shape)}")
        worst = max(worst, (ours - expected).abs().max().item())
        scale = max(scale, expected.abs().max().item())
        num_values += ours.numel()
        num_rows += 1
    return {"num_rows": num_rows, "num_values": num_values, "max_abs_diff": worst, "max_abs_logit": scale,
            "max_adapter_effect": moved}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--base", required=True)
    parser.add_argument("--adapter", required=True)
    parser.add_argument("--logits", required=True)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    args = parser.parse_args()
    torch.set_num_threads(2)
    dtype = getattr(torch, args.dtype)
    result = compare_keys(args.base, args.adapter, dtype)
    base = AutoModelForCausalLM.from_pretrained(args.base, dtype=dtype)
    model = PeftModel.from_pretrained(base, args.adapter).eval()
    result.update(compare_logits(model, load_file(args.logits)))
    keys_agree = not (result["missing_keys"] or result["unexpected_keys"] or result["wrong_shapes"])
    result["tolerance"] = args.tolerance
    result["ok"] = (keys_agree and result["num_rows"] > 0 and result["max_adapter_effect"] > 0
                    and result["max_abs_diff"] <= args.tolerance)
    print(json.dumps(result))
    sys.exit(0 if result["ok"] else 1)


if __name__ == "__main__":
    main()
