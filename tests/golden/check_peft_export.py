"""Loads exported adapters into PEFT over a tiny random Llama and checks that every key fits.

    python check_peft_export.py ADAPTER_FOLDER...

Exits 0 when each folder loads with no missing, unexpected or unused key, every factor arrives bit for bit, and the
adapter changes the logits as W x + alpha / r * B (A x) says. Needs torch, transformers, peft and safetensors.
"""

import json
import sys
import warnings
from pathlib import Path

import torch
from peft import PeftModel, get_peft_model_state_dict
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

warnings.simplefilter("error", UserWarning)  # PEFT only warns about missing adapter keys


def check(folder: Path) -> None:
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=40, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64)
    base = LlamaForCausalLM(config).eval()
    ids = torch.tensor([[1, 2, 7, 8, 3, 4, 9]])
    with torch.no_grad():
        before = base(ids).logits.clone()
    stored = load_file(folder / "adapter_model.safetensors")
    adapter = json.loads((folder / "adapter_config.json").read_text())

    model = PeftModel.from_pretrained(base, folder).eval()
    loaded = get_peft_model_state_dict(model)
    assert sorted(loaded) == sorted(stored), sorted(set(loaded) ^ set(stored))
    for name, tensor in stored.items():
        assert torch.equal(loaded[name], tensor), name

    with torch.no_grad():
        after = model(ids).logits
    difference = (after - before).abs().max(dim=-1).values[0]
    assert difference[-1] > 1e-4, "the adapter changes nothing"
    if adapter["alora_invocation_tokens"]:
        assert difference[:4].max() == 0, "the adapter is active before its invocation tokens"
        return

    # The same sum merged into the weights by hand, as an independent reading of the factors.
    merged = LlamaForCausalLM(config).eval()
    torch.manual_seed(0)
    merged.load_state_dict(LlamaForCausalLM(config).state_dict())
    weights = merged.state_dict()
    for name in stored:
        if name.endswith("lora_A.weight"):
            target = name.removeprefix("base_model.model.").replace("lora_A.weight", "weight")
            b = stored[name.replace("lora_A", "lora_B")]
            weights[target] += adapter["lora_alpha"] / adapter["r"] * (b @ stored[name])
    with torch.no_grad():
        expected = merged(ids).logits
    assert (after - expected).abs().max() < 1e-5, (after - expected).abs().max()


def main() -> None:
    folders = [Path(argument) for argument in sys.argv[1:]]
    assert folders, __doc__
    for folder in folders:
        check(folder)
    print(f"{len(folders)} adapters loaded by PEFT: all keys fit")


if __name__ == "__main__":
    main()
