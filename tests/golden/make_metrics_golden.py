#!/usr/bin/env python3
"""Writes metrics/rouge_l.jsonl: pairs of texts with the ROUGE-L of the Python package rouge-score 0.1.2.

usage: make_metrics_golden.py [--pairs N] [--seed S] [--out FILE]

One JSON array a line: [prediction, reference, F-measure x 100]. Python prints doubles so that they read back
equal, so the test compares with ==. The stored file has a few thousand pairs; run with --pairs 100000 and point
BATON_ROUGE_GOLDEN at the file for a wide comparison.
"""

import argparse
import importlib.metadata
import json
import pathlib
import random

from rouge_score import rouge_scorer

WORDS = ("the a cat Cat CAT sat on mat. mat, dog's e-mail 3.14 2024 x1 U.S. naive na\u00efve caf\u00e9 yes Yes. no "
         "don't l'eau \u212aelvin 3\u212a \u0130stanbul a\u0130b \u017fun \uff21\uff22\uff23 \uff11\uff12 \u00df stra\u00dfe \u03a3\u03a3 "
         "\u4e2d\u6587 \u0663 \u00b2 \u2460 \u212b _under_score a_b \U0001f600 a\u0301 \ufb01n \u01c5 \U0001d400 \u1e9e").split()
SEPARATORS = [" ", " ", " ", "  ", "\n", "\t", "\u00a0", "\u3000", "-", "", "\u200b", "\u0085", "\x1c"]
FIXED = [("", ""), ("", "a"), ("a", ""), ("...", "..."), ("a", "a"), ("A", "a"), ("a b c d", "a c b d"),
         ("\u0130", "i"), ("\u212a", "k"), ("\u017f", "s"), ("\uff41", "a"), ("x" * 500, "x" * 500),
         ("a " * 300, "a b " * 150), ("police killed the gunman", "the gunman police killed")]


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


def mutate(text, rng):
    words = text.split(" ")
    for _ in range(rng.randrange(6)):
        position = rng.randrange(len(words))
        words[position:position + rng.randrange(2)] = rng.sample(WORDS, rng.randrange(3))
        if not words:
            words = [""]
    if rng.random() < 0.2:
        rng.shuffle(words)
    return " ".join(words)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    here = pathlib.Path(__file__).resolve().parent
    parser.add_argument("--out", type=pathlib.Path, default=here / "metrics" / "rouge_l.jsonl")
    arguments = parser.parse_args()
    version = importlib.metadata.version("rouge-score")
    if version != "0.1.2":
        raise SystemExit(f"expected rouge-score 0.1.2, found {version}")
    rng = random.Random(arguments.seed)
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
    pairs = list(FIXED)
    while len(pairs) < arguments.pairs:
        reference = random_text(rng)
        prediction = mutate(reference, rng) if rng.random() < 0.6 else random_text(rng)
        pairs.append((prediction, reference))
    with open(arguments.out, "w", encoding="utf-8", newline="\n") as out:
        for prediction, reference in pairs:
            score = scorer.score(reference, prediction)["rougeL"].fmeasure * 100
            out.write(json.dumps([prediction, reference, score], ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
