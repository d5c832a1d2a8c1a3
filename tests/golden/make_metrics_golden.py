#!/usr/bin/env python3
"""Writes metrics/*.jsonl: pairs of texts with what the Python packages score them.

usage: make_metrics_golden.py [--only NAME] [--odd N] [--seed S] [--data FOLDER] [--tasks FOLDER] [--out FOLDER]

    rouge_l.jsonl       rouge-score 0.1.2, pairs made by chance alone
    real.jsonl          2,000 pairs out of real rows: an answer against another of its task, or against itself with
                        words changed; scored by rouge-score, by jieba 0.42.1 + rouge-chinese 1.0.3, and as equal or not
    odd.jsonl           500 pairs made of awkward characters, scored likewise
    choices.jsonl       2,500 answers with labels or options, by a plain Python reading of the rules

A line of real.jsonl and odd.jsonl is [answer, reference, rouge_l, ssr_rouge_l, exact_match]; null where SSR's scorer
would meet Chinese text, which ours refuses. A line of choices.jsonl is [answer, references, options, score, outside].
Python prints doubles so that they read back equal, so the tests compare with ==. FOLDER of --data: the SSR split of
SuperNI; of --tasks: the quickstart's BIG-bench tasks. Needs launch/requirements-scorers.txt.
"""

import argparse
import importlib.metadata
import json
import logging
import pathlib
import random
import string
import unicodedata

import jieba
from rouge_chinese import Rouge
from rouge_score import rouge_scorer

jieba.setLogLevel(logging.ERROR)
VERSIONS = {"rouge-score": "0.1.2", "jieba": "0.42.1", "rouge-chinese": "1.0.3"}
HERE = pathlib.Path(__file__).resolve().parent

WORDS = ("the a cat Cat CAT sat on mat. mat, dog's e-mail 3.14 2024 x1 U.S. naive na\u00efve caf\u00e9 yes Yes. no "
         "don't l'eau \u212aelvin 3\u212a \u0130stanbul a\u0130b \u017fun \uff21\uff22\uff23 \uff11\uff12 \u00df stra\u00dfe \u03a3\u03a3 "
         "\u4e2d\u6587 \u0663 \u00b2 \u2460 \u212b _under_score a_b \U0001f600 a\u0301 \ufb01n \u01c5 \U0001d400 \u1e9e").split()
SEPARATORS = [" ", " ", " ", "  ", "\n", "\t", "\u00a0", "\u3000", "-", "", "\u200b", "\u0085", "\x1c"]
FIXED = [("", ""), ("", "a"), ("a", ""), ("...", "..."), ("a", "a"), ("A", "a"), ("a b c d", "a c b d"),
         ("\u0130", "i"), ("\u212a", "k"), ("\u017f", "s"), ("\uff41", "a"), ("x" * 500, "x" * 500),
         ("a " * 300, "a b " * 150), ("police killed the gunman", "the gunman police killed")]

# What jieba and rouge-chinese treat in ways of their own.
ODD_WORDS = ("AT&T at&t c++ C++ C# c# c+ AT& xC++y c++c++ 3.14 3.14.15 3.14% 50% .5 5. a.5b a.b 1.2.3.4% %% +1 #tag a&b "
             "e-mail -- --- ______ a_b-c ...... ....... ............ \u2026\u2026 \u2026 ? ?? ?! ! \uff1f \u3002 \uff01 "
             "\u201d \u2019 \u201c what?\u201d end?\u2019 \u0663\u0664 1.\u0663 \u3041\u3042 \uac00\ub098 \u9fd6 \u4dff \u0416\u0434 "
             "caf\u00e9 na\u00efve \U0001f600 a\u0301 \u00df \u0130 \ufb01n the a cat").split() + ["\u4e2d\u6587", "T\u6064"]
ODD_SPACES = [" ", " ", " ", "  ", "", "", "\n", "\n\n", "\n \n", "\r\n", "\r\n\r\n", "\r", "\t", "\u00a0", "\u3000", "\u2028", "\x1c",
              "\x0b", "\u200b", "? ", "?\n\n", "......"]


def random_code_point(rng):
    while True:
        limit = rng.choice([0x80, 0x250, 0x3000, 0x110000])
        code = rng.randrange(limit)
        if not 0xD800 <= code <= 0xDFFF:
            return chr(code)


def random_text(rng):
    if rng.random() < 0.15:
        return "".join(random_code_point(rng) for _ in range(rng.randrange(40)))
    pool = rng.sample(WORDS, rng.randrange(2, len(WORDS)))
    return "".join(rng.choice(pool) + rng.choice(SEPARATORS) for _ in range(rng.randrange(40)))


def mutate(text, rng, words_of=WORDS):
    words = text.split(" ")
    for _ in range(rng.randrange(6)):
        position = rng.randrange(len(words))
        words[position:position + rng.randrange(2)] = rng.sample(words_of, rng.randrange(3))
        if not words:
            words = [""]
    if rng.random() < 0.2:
        rng.shuffle(words)
    return " ".join(words)


def odd_text(rng):
    pool = rng.sample(ODD_WORDS, rng.randrange(2, len(ODD_WORDS) if rng.random() < 0.3 else 12))
    text = "".join(rng.choice(pool) + rng.choice(ODD_SPACES) for _ in range(rng.randrange(16)))
    return rng.choice(ODD_SPACES) + text if rng.random() < 0.2 else text


def odd_pairs(count, rng):
    pairs = list(FIXED) + [(text, other) for text in ("\n\na", "a\n\nb", "?\n", " \n ", "a?b", "a......b", "a......")
                           for other in ("a", "a b", "\n\na", "a ? b")]
    while len(pairs) < count:
        reference = odd_text(rng)
        answer = mutate(reference, rng, ODD_WORDS) if rng.random() < 0.7 else odd_text(rng)
        pairs.append((answer, reference))
    return pairs[:count]


def real_answers(data, tasks):
    """Task -> its answers."""
    answers = {}
    for path in sorted(data.glob("*.eval.json")):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
        answers[path.name.split(".")[0]] = [row["output"] for row in rows]
    for path in sorted(tasks.glob("*.json")):
        if path.name != "dataset_info.json":
            examples = json.loads(path.read_text(encoding="utf-8"))["examples"]
            texts = [row.get("target") or max(row["target_scores"], key=row["target_scores"].get) for row in examples]
            answers[path.stem] = [text if isinstance(text, str) else text[0] for text in texts]
    return answers


def real_pairs(count, rng, data, tasks):
    answers = real_answers(data, tasks)
    assert len(answers) >= 15, sorted(answers)
    pairs = []
    while len(pairs) < count:
        texts = answers[rng.choice(sorted(answers))]
        reference = rng.choice(texts)
        if rng.random() < 0.3:
            answer = rng.choice(texts)
        elif len(reference.split()) == 1:
            answer = rng.choice([reference, reference.upper(), f" {reference}.", f"{reference} {reference}"])
        else:
            answer = mutate(reference, rng, rng.choice(texts).split() + ["the", "a", "of"])
        pairs.append((answer, reference))
    return pairs


def is_chinese(text):
    return any("\u4e00" <= character <= "\u9fd5" for character in text)


def ssr_rouge_l(answer, reference):
    """As SSR's code scores one pair; None where ours refuses."""
    if is_chinese(answer) or is_chinese(reference):
        return None
    answer, reference = (" ".join(jieba.cut(text)) for text in (answer, reference))
    if not answer.split() or not reference.split():
        return 0.0
    return round(Rouge().get_scores(answer, reference)[0]["rouge-l"]["f"] * 100, 4)


def normal_form(text):
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())
    bare = " ".join("".join(c for c in folded if c not in string.punctuation).split())
    return bare or " ".join(folded.split())


def score_pairs(pairs):
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
    for answer, reference in pairs:
        yield [answer, reference, scorer.score(reference, answer)["rougeL"].fmeasure * 100,
               ssr_rouge_l(answer, reference), 100.0 if normal_form(answer) == normal_form(reference) else 0.0]


def choice_rows(count, rng):
    """What a model writes where it should choose, with the label sets of real tasks and odd ones."""
    sets = [["positive", "negative"], ["True", "False"], ["A", "B", "C", "D"], ["entailment", "contradiction", "neutral"],
            ["yes", "no"], ["World", "Sports", "Business", "Sci/Tech"], ["(a)", "(b)"], ["?", "!"], ["\u00c9t\u00e9", "hiver"],
            ["very positive", "positive", "neutral", "negative", "very negative"], ["1", "2", "3"], ["same", "different"]]
    frames = ["{}", " {} ", "{}.", "({})", "\"{}\"", "{}\n", "The answer is {}", "{} because", "{}{}", "not {}", ""]
    for _ in range(count):
        options = rng.choice(sets)
        right = rng.choice(options)
        said = right if rng.random() < 0.5 else rng.choice(options)
        said = rng.choice([said, said, said.upper(), said.lower()])
        answer = rng.choice(frames[:6] if rng.random() < 0.7 else frames).format(said, said)
        known = {normal_form(option) for option in options}
        inside = normal_form(answer) in known
        yield [answer, [right], options, 100.0 if inside and normal_form(answer) == normal_form(right) else 0.0, not inside]


def write(path, rows):
    with open(path, "w", encoding="utf-8", newline="\n") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=["rouge_l", "real", "odd", "choices"])
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--odd", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=pathlib.Path, default=HERE.parents[1] / ".." / "shared/data/superni")
    parser.add_argument("--tasks", type=pathlib.Path, default=HERE.parents[1] / ".deps/tasks")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "metrics")
    arguments = parser.parse_args()
    for name, version in VERSIONS.items():
        if importlib.metadata.version(name) != version:
            raise SystemExit(f"expected {name} {version}, found {importlib.metadata.version(name)}")
    wanted = [arguments.only] if arguments.only else ["rouge_l", "real", "odd", "choices"]
    if "rouge_l" in wanted:
        rng = random.Random(arguments.seed)
        scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
        pairs = list(FIXED)
        while len(pairs) < arguments.pairs:
            reference = random_text(rng)
            prediction = mutate(reference, rng) if rng.random() < 0.6 else random_text(rng)
            pairs.append((prediction, reference))
        write(arguments.out / "rouge_l.jsonl",
              ([a, b, scorer.score(b, a)["rougeL"].fmeasure * 100] for a, b in pairs))
    if "real" in wanted:
        rng = random.Random(arguments.seed)
        write(arguments.out / "real.jsonl", score_pairs(real_pairs(arguments.pairs, rng, arguments.data, arguments.tasks)))
    if "odd" in wanted:
        write(arguments.out / "odd.jsonl", score_pairs(odd_pairs(arguments.odd, random.Random(arguments.seed))))
    if "choices" in wanted:
        write(arguments.out / "choices.jsonl", choice_rows(2500, random.Random(arguments.seed)))


if __name__ == "__main__":
    main()
