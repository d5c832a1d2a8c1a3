"""Makes the golden files of the tokenizer tests with `tokenizers` and `transformers`.

    python tests/golden/make_tokenizer_golden.py [--model DIR] [--data DIR]

Small tokenizers of each kind are trained here (tokenizer/<kind>/tokenizer.json, kept as they are when they exist;
--train makes them anew) and their ids are stored. With the real model folder and the benchmark rows the files
for these are made too. `encode` of the program is `encode_special_tokens = True`, `add_special_tokens=False`.
"""

import argparse
import hashlib
import json
import random
import struct
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = Path(__file__).resolve().parent
SOURCE = HERE.parent.parent
OUT = HERE / "tokenizer"

LLAMA3_PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
                  r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN_PATTERN = LLAMA3_PATTERN.replace("{1,3}", "")
TEKKEN_PATTERN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
                  r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}"
                  r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CHATML_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


# ---- texts ---------------------------------------------------------------------------------------------------

WORDS = """the a of to and in is it that was for on are with as his they at be this from have or by one had not but what
all were when we there can an your which their said if do will each about how up out them then she many some so these
would other into has more her two like him see time could no make than first been its who now people my made over did
down only way find use may water long little very after words called just where most know get through back much before
also around another came come work three word must because does part even place well such here take why things help put
years different away again off went old number great tell men say small every found still between name should home big
give air line set own under read last never us left end along while might next sound below saw something thought both
few those always looked show large often together asked house world going want school important until form food keep
children feet land side without boy once animals life enough took sometimes four head above kind began almost live page
got earth need far hand high year mother light parts country father let night following picture being study second eyes
soon times story boys since white days ever paper hard near sentence better best across during today others however sure
means knew tried told young miles sun ways thing whole hear example heard several change answer room sea against top
turned learn point city play toward five using himself usually question classify review sentiment positive negative
summary generate title passage translate paraphrase""".split()
FOREIGN = ["Привет, как дела? Сегодня хорошая погода.", "日本語の文章をここに書きます。", "안녕하세요 세계", "مرحبا بالعالم، كيف الحال؟",
           "שלום עולם", "Ελληνικά γράμματα", "Größe, Straße, Übung, naïve café, coöperate", "हिन्दी में एक वाक्य", "ภาษาไทยไม่มีช่องว่าง",
           "👩‍👩‍👧‍👦 🙂👍🏽 ❤️ 🇩🇪", "x² + y³ ≈ ½ Ⅷ ①", "e\u0301 n\u0303 o\u0308"]


def corpus():
    rng = random.Random(7)
    lines = []
    for index in range(1500):
        words = [rng.choice(WORDS) for _ in range(rng.randrange(4, 14))]
        words[0] = words[0].capitalize()
        text = " ".join(words) + rng.choice([".", "?", "!", ",", ";\n", "...", " \n\n", "\t"])
        if index % 3 == 0:
            text += f" It's {rng.randrange(100000)}, isn't it? We'll see; they've {rng.randrange(10)}."
        if index % 5 == 0:
            text += " " + rng.choice(FOREIGN)
        lines.append(text)
    return lines


def torture():
    texts = ["", " ", "  ", "a", "\n", "\r\n", "\r", "\t", "\0", "a\0b", "\x00\x01\x02\x1f\x7f\x80\x9f", "\ufeffBOM", "hello\ufeff",
             "Hello world", "Hello  world   and    more", "   leading", "trailing   ", " \n mixed \r\n new\rlines\n\n\n",
             "tabs\tand\t\tmore \t x", "it's IT'S It's 'S 's 'll 'LL 've 'm 'd 're 't 'ſ ’s it’s", "'' ' 'a 'sa 'lla",
             "1 12 123 1234 12345 1234567890123", "a1b22c333", "1" * 300, "3.14 1,000,000 2²3³ ½ Ⅷ ① १२३ ٣٤٥ 一二三 𝟘𝟙𝟚 𐄇", " " * 500, "\n" * 200,
             " \t" * 80, "a" * 700, "ab" * 300, "é" * 200, "\u00a0\u2003\u3000 x\u2028y\u2029z\u0085w\u180eq\u200bq\u1680r\u202fs\u205ft",
             "\u0301", "e\u0301", "a\u0323\u0307", "q\u0307\u0323", "\u1100\u1161\u11a8", "각", "Å Å A\u030a", "ﬁ ﬀ Ⅳ", "Z\u0300\u0301\u0302\u0303" * 20,
             "👩‍👩‍👧‍👦", "🙂🙂🏽🙂🏿", "🇩🇪🇫🇷🇯", "1️⃣ #️⃣ ❤️ ❤", "🏴\U000e0067\U000e0062\U000e007f", "مرحبا \u200fبالعالم\u200e 123 abc", "\u202eabc\u202c def", "שלום, עולם!",
             "\ud7ff\ue000\uf8ff\ufffd\ufffe\uffff", "\U00010000\U0001fffe\U0001ffff\U00020000\U0002fa1f\U00030000\U000e0001\U000f0000\U0010fffd\U0010ffff",
             "\U00011f04\U00011f50 \U00013460\U00011de0 \U0001e5f1\u0378\u0379\U00012345", "\U00011de0\U00011de11 2\U00016ff4", "日本語テキスト、句読点。", "ไม่มีช่องว่าง", "नमस्ते दुनिया", "ÿþýüûúùø", "¡¢£¤¥¦§¨©ª«¬­®¯",
             "<|im_end|>", "<|im_start|>user\nhi<|im_end|>\n", "x<|im_end|>y", "<|im_end|", "|im_end|>", "<<|im_end|>>", "<|im_<|im_end|>end|>",
             "<|endoftext|><|endoftext|>", " <|im_end|> ", "<repo_name><file_sep>", "<0x0A> <0x41>", "<|begin_of_text|>hi<|eot_id|>", "<mask> <mask>  x <mask>", "a <left>  b",
             "a  <left>b", "a<right>   b", "a <right>  <left> b", "caf\u00e9 cafe\u0301 <caf\u00e9> <cafe\u0301>", "<plain><plain>x<plain", "<pla<plain>in>", "<|special|> x <spe<|special|>",
             "<|special<plain>|>", "<both> <both>   <both>", "\u2581under\u2581score", "Ġ Ċ ĉ č Ń", "▁Ġ▁", "def f(x):\n    return x  # comment\n\n\n\tif y:\r\n\t\tpass\r\n",
             '{"a": [1, 2.5e-10, null], "b\\u00e9": "\\n"}', "http://example.org/a?b=c&d=%20#e", "!!!???...---___***", "a.b,c;d:e-f_g", "?! ?!  ?!\n?!", "...\n\n...\r\n", "€uro ™ © ® ° ± µ ¶ ·",
             "MiXeD CaSe WoRdS", "snake_case camelCase PascalCase", "\u0345\u0399 ǅ ǆ ß ẞ İ ı K", "x\u200dy\u200cz\u2060w\u00ad", "A" + "\u0300" * 100 + "b",
             "\u7460Q\u0720QQ aQ#\u00f5Q", "I\u07fd\u0309 I\u0309\u07fd\u0899\u0f7d", "\U00011935\U00011930 \U00011938\u0301\U00011935\U00011930"]
    rng = random.Random(11)
    for index in range(120):
        texts.append("".join(random_character(rng) for _ in range(rng.randrange(1, 40))))
    return texts


def random_character(rng):
    kind = rng.randrange(12)
    if kind < 3:
        return chr(rng.randrange(0x20, 0x7F))
    if kind == 3:
        return rng.choice("   \n\r\t'")
    if kind == 4:
        return rng.choice("0123456789")
    if kind == 5:
        return chr(rng.randrange(0x80, 0x800))
    if kind == 6:
        return chr(rng.choice([rng.randrange(0x800, 0xD800), rng.randrange(0xE000, 0x10000)]))
    if kind == 7:
        return chr(rng.randrange(0x10000, 0x20000))
    if kind == 8:
        return chr(rng.randrange(0x20000, 0x110000))
    if kind == 9:
        return chr(rng.randrange(0x300, 0x370))
    if kind == 10:
        return rng.choice(["'s", "'ll", "'RE", " the", "ing", "<plain>", "<|im_end|>", "<left>", "<right>", "\r\n"])
    return rng.choice(["\u00a0", "\u2003", "\u3000", "\u200d", "\ufe0f", "\U0001f642", "\U0001f3fd", "\u0085", "\u2028"])


def long_texts():
    """Lines too long to store: parts of [text, how often]."""
    return [[["a", 1000000]], [[" ", 1000000]], [["7", 1000000]], [["\n", 300000]], [["é", 300000]], [["!", 300000]], [["ab", 300000]],
            [[" ", 300000], ["x", 1]], [["the ", 100000]], [["\u0301", 100000]], [["x<|im_end|>", 20000]], [["🙂", 100000]]]


# ---- ids -----------------------------------------------------------------------------------------------------

class Ids:
    def __init__(self, path):
        self.tokenizer = Tokenizer.from_file(str(path))

    def __call__(self, text, parses_special=False):
        self.tokenizer.encode_special_tokens = not parses_special
        return self.tokenizer.encode(text, add_special_tokens=False).ids


def add_ids(digest, ids):
    digest.update(struct.pack("<i", len(ids)) + struct.pack(f"<{len(ids)}i", *ids))


def plane_digest(encode, plane):
    """Every code point of a plane, beside a letter, a digit, a space and itself; a text for each 256."""
    digest = hashlib.sha256()
    for block in range(plane << 8, (plane + 1) << 8):
        points = [chr(point) for point in range(block << 8, (block + 1) << 8) if not 0xD800 <= point < 0xE000]
        add_ids(digest, encode("".join(f"a{c}1{c} {c}{c}" for c in points)))
    return digest.hexdigest()


def make_ids(folder, path):
    encode = Ids(path)
    rng = random.Random(5)
    cases = []
    for text in torture():
        ids = encode(text)
        special = encode(text, True)
        case = {"text": text, "ids": ids}
        if special != ids:
            case["special"] = special
        case["decoded"] = encode.tokenizer.decode(special, skip_special_tokens=True)
        case["decoded_all"] = encode.tokenizer.decode(special, skip_special_tokens=False)
        cases.append(case)
    decodes = []
    size = encode.tokenizer.get_vocab_size()
    for _ in range(150):
        ids = [rng.randrange(size + 3) if rng.random() < 0.7 else rng.randrange(min(size, 300)) for _ in range(rng.randrange(1, 25))]
        decodes.append({"ids": ids, "skip": encode.tokenizer.decode(ids, skip_special_tokens=True),
                        "all": encode.tokenizer.decode(ids, skip_special_tokens=False)})
    long_cases = []
    for parts in long_texts():
        ids = encode("".join(text * count for text, count in parts))
        digest = hashlib.sha256()
        add_ids(digest, ids)
        long_cases.append({"parts": parts, "num_ids": len(ids), "sha256": digest.hexdigest()})
    planes = [plane_digest(encode, plane) for plane in range(17)]
    write(folder / "ids.json", {"cases": cases, "decodes": decodes, "long": long_cases, "planes": planes})


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=True, separators=(",", ":")).replace('},{"', '},\n{"') + "\n")
    print("wrote", path.relative_to(SOURCE), path.stat().st_size, "bytes")


# ---- the small tokenizers ------------------------------------------------------------------------------------

def with_bos(tokenizer, token):
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{token} $A", pair=f"{token} $A {token} $B", special_tokens=[(token, tokenizer.token_to_id(token))])
    return tokenizer


def train(pre_tokenizer, vocab_size, special, alphabet=None, **model):
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocab_size, special_tokens=special, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if alphabet is None else alphabet)
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer


def train_gpt2():
    tokenizer = train(pre_tokenizers.ByteLevel(add_prefix_space=False), 900, ["<|endoftext|>"])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    return tokenizer


def train_gpt2_prefix():
    tokenizer = train(pre_tokenizers.ByteLevel(add_prefix_space=True), 800, ["<|endoftext|>"])
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC()])
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True), AddedToken("<|special|>"), AddedToken("<both>", lstrip=True, rstrip=True)])
    tokenizer.add_tokens([AddedToken("<left>", lstrip=True, normalized=False), AddedToken("<right>", rstrip=True), AddedToken("<plain>"),
                          AddedToken("<cafe\u0301>", normalized=True), AddedToken("two words", normalized=False), AddedToken("<plain>x", normalized=False)])
    return tokenizer


def train_llama3():
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    pre = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(LLAMA3_PATTERN), "isolated"),
                                   pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer = train(pre, 1000, [], ignore_merges=True)
    tokenizer.add_special_tokens(special)
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
        single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
        special_tokens=[("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))])])
    return tokenizer


def train_smollm2():
    pre = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    return train(pre, 900, CHATML_TOKENS + ["<repo_name>", "<file_sep>"])


def train_gaps():
    """Not every byte has a token: unknown tokens, byte fallback, a Sequence of decoders."""
    alphabet = [c for c in pre_tokenizers.ByteLevel.alphabet() if c not in "ÀÁõö÷øùúûüýþÿĀāĂĄ\"#$Qq"]
    pre = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = train(pre, 600, ["<unk>"] + CHATML_TOKENS, alphabet=alphabet, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse(), decoders.Replace("\u2581", " "), decoders.ByteLevel()])
    return tokenizer


MARK = "\u2581"
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def train_pieces(normalizer, pre_tokenizer, decoder):
    """SentencePiece's kind: characters, bytes for those that the vocabulary lacks, a mark for spaces."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=MARK, prepend_scheme="always", split=True)
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(vocab_size=1100, special_tokens=special + BYTES, limit_alphabet=90, show_progress=False)
    tokenizer.train_from_iterator(corpus(), trainer)
    value = json.loads(tokenizer.to_str())
    value["added_tokens"] = [token for token in value["added_tokens"] if token["content"] in special]
    tokenizer = Tokenizer.from_str(json.dumps(value))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoder
    return with_bos(tokenizer, "<s>")


def pieces_decoder(strips):
    steps = [decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse()]
    return decoders.Sequence(steps + ([decoders.Strip(" ", 1, 0)] if strips else []))


def train_llama2():
    """As the files of Llama 2 and the first Mistral have it: the normaliser puts a mark before every text."""
    marks = normalizers.Sequence([normalizers.Prepend(MARK), normalizers.Replace(" ", MARK)])
    return train_pieces(marks, None, pieces_decoder(True))


def train_mistral():
    """As transformers writes it today: the mark comes before the first text only."""
    return train_pieces(None, pre_tokenizers.Metaspace(replacement=MARK, prepend_scheme="first", split=False), pieces_decoder(True))


def train_metaspace():
    pre = pre_tokenizers.Metaspace(replacement=MARK, prepend_scheme="always", split=True)
    return train_pieces(None, pre, decoders.Metaspace(replacement=MARK, prepend_scheme="always", split=True))


def train_gemma():
    tokenizer = train_pieces(normalizers.Replace(" ", MARK), pre_tokenizers.Split(" ", "merged_with_previous"), pieces_decoder(False))
    tokenizer.add_special_tokens(["<bos>", "<start_of_turn>", "<end_of_turn>"])
    tokenizer.add_tokens([AddedToken("\n\n", normalized=False), AddedToken("<unused0>", normalized=False), AddedToken(MARK * 3, normalized=False)])
    return tokenizer


def train_qwen():
    pre = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(QWEN_PATTERN), "isolated"),
                                   pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer = train(pre, 900, [])
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    return tokenizer


def train_tekken():
    """The pattern of Mistral's later vocabularies, which tells kinds of letters apart."""
    pre = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(TEKKEN_PATTERN), "isolated"),
                                   pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer = train(pre, 900, [], ignore_merges=True)
    tokenizer.add_special_tokens(["<s>", "</s>", "[INST]", "[/INST]"])
    return tokenizer


def save_small(name, tokenizer):
    value = json.loads(tokenizer.to_str())
    if name == "gpt2":  # the older form of the file
        value["model"]["merges"] = [" ".join(pair) for pair in value["model"]["merges"]]
    if name == "gaps":
        drop_symbols(value["model"], "Qq#\u00f5\u0100\u0142")
        value["model"]["vocab"].update({token: 5000 + index for index, token in enumerate(["<0x51>", "<0xC3>", "<0xB5>", "<0x0A>", "<0x41>"])})
        renumber(value)
    write(OUT / name / "tokenizer.json", value)


def drop_symbols(model, symbols):
    has = lambda token: any(c in symbols for c in token) and not token.startswith("<")
    model["vocab"] = {token: index for token, index in model["vocab"].items() if not has(token)}
    model["merges"] = [pair for pair in model["merges"] if not has("".join(pair))]


def renumber(value):
    tokens = sorted(value["model"]["vocab"], key=value["model"]["vocab"].get)
    value["model"]["vocab"] = {token: index for index, token in enumerate(tokens)}
    for token in value["added_tokens"]:
        token["id"] = value["model"]["vocab"][token["content"]]


KINDS = {"gpt2": train_gpt2, "gpt2_prefix": train_gpt2_prefix, "llama3": train_llama3, "smollm2": train_smollm2, "gaps": train_gaps,
         "llama2": train_llama2, "mistral": train_mistral, "metaspace": train_metaspace, "gemma": train_gemma, "qwen": train_qwen, "tekken": train_tekken}


# ---- the real model ------------------------------------------------------------------------------------------

def make_benchmark(encode, data, name="real"):
    files = {}
    for path in sorted(data.glob("*.json")):
        digest = hashlib.sha256()
        count = 0
        for line in path.read_text().split("\n"):
            if not line.strip():
                continue
            row = json.loads(line)
            for field in ("full_prompt", "input", "output"):
                values = row.get(field)
                for text in values if isinstance(values, list) else [values]:
                    if isinstance(text, str):
                        add_ids(digest, encode(text))
                        count += 1
        files[path.name] = {"num_texts": count, "sha256": digest.hexdigest(), "file_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    write(OUT / name / "benchmark.json", {"files": files})


CONVERSATIONS = [
    [("user", "Hello, who are you?")],
    [("system", "You answer briefly."), ("user", "What is 12 + 30?")],
    [("user", "Hi"), ("assistant", "Hello! How can I help?"), ("user", "Tell me a story.\n\nA short one.")],
    [("system", "Be kind."), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"), ("user", "e")],
    [("user", "")],
    [("system", ""), ("user", "x")],
    [("user", "What does <|im_end|> mean? And <|im_start|>system\nno<|im_end|>")],
    [("user", "Ünïcödé, 日本語, 👩‍👩‍👧‍👦, مرحبا, e\u0301")],
    [("user", "trailing spaces   ")],
    [("user", "  leading and trailing newline\n")],
    [("user", "quotes ' \" and {{ braces }} {% if %}")],
    [("user", "one"), ("assistant", "two")],
]


def make_chat(folder, encode, tokenizer, name):
    cases = []
    for turns in CONVERSATIONS:
        messages = [{"role": role, "content": text} for role, text in turns]
        rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        cases.append({"messages": [[role, text] for role, text in turns], "rendered": rendered, "ids": encode(rendered, True)})
    write(folder / name, cases)


def small_chat_tokenizer(template):
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(OUT / "smollm2" / "tokenizer.json"))
    tokenizer.chat_template = template
    return tokenizer


# Each chat template with the small tokenizers that it is tried with, their BOS and end.
CHATS = {"llama2": ("llama2", "mistral"), "llama2_system": ("llama2", "mistral"), "llama3": ("llama3",), "llama3_1": ("llama3",),
         "mistral": ("llama2", "mistral"), "mistral_first": ("llama2", "mistral"), "mistral_v3": ("llama2", "mistral"),
         "mistral_tekken": ("tekken", "llama2", "mistral"), "alpaca": ("llama2", "mistral"), "qwen": ("qwen",), "gemma": ("gemma",)}
BORDERS = {"llama2": ("<s>", "</s>"), "mistral": ("<s>", "</s>"), "tekken": ("<s>", "</s>"), "llama3": ("<|begin_of_text|>", "<|eot_id|>"),
           "qwen": ("<|endoftext|>", "<|im_end|>"), "gemma": ("<bos>", "<end_of_turn>")}


def make_chats():
    import jinja2
    from transformers import PreTrainedTokenizerFast

    for name, kinds in CHATS.items():
        cases = []
        for turns in CONVERSATIONS:
            messages = [{"role": role, "content": text} for role, text in turns]
            case = {"messages": [[role, text] for role, text in turns], "ids": {}}
            for kind in kinds:
                path = OUT / kind / "tokenizer.json"
                bos, eos = BORDERS[kind]
                tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(path), bos_token=bos, eos_token=eos)
                tokenizer.chat_template = (OUT / "chats" / f"{name}.jinja").read_text()
                try:
                    case["rendered"] = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
                except jinja2.TemplateError:
                    continue
                encode = Ids(path)
                if name == "alpaca":  # no chat template: BOS is what the tokenizer puts before a text
                    encode.tokenizer.encode_special_tokens = False
                    case["ids"][kind] = encode.tokenizer.encode(case["rendered"].removeprefix(bos)).ids
                else:
                    case["ids"][kind] = encode(case["rendered"], True)
            if "rendered" in case:
                cases.append(case)
        write(OUT / "chats" / f"{name}.json", cases)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, default=SOURCE / ".deps/models/smollm2-135m-instruct")
    parser.add_argument("--data", type=Path, default=SOURCE.parent / "shared/data/superni")
    parser.add_argument("--train", action="store_true", help="train the small tokenizers anew")
    parser.add_argument("--only", choices=["chats"], help="make only these")
    args = parser.parse_args()
    if args.only == "chats":
        return make_chats()

    for name, make in KINDS.items():
        path = OUT / name / "tokenizer.json"
        if args.train or not path.exists():
            save_small(name, make())
        make_ids(OUT / name, path)
    small = Ids(OUT / "smollm2" / "tokenizer.json")
    for path in sorted((OUT / "templates").glob("*.jinja")):
        if not path.name.startswith("unknown"):
            make_chat(OUT / "templates", small, small_chat_tokenizer(path.read_text()), path.stem + ".json")
    make_chats()

    if (args.model / "tokenizer.json").exists():
        from transformers import AutoTokenizer

        encode = Ids(args.model / "tokenizer.json")
        make_ids(OUT / "real", args.model / "tokenizer.json")
        make_chat(OUT / "real", encode, AutoTokenizer.from_pretrained(args.model), "chat.json")
        if args.data.exists():
            make_benchmark(encode, args.data)


if __name__ == "__main__":
    main()
