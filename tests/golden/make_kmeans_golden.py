#!/usr/bin/env python3
"""Writes tests/golden/kmeans/cases.json: what scikit-learn's Lloyd makes of rows and first centres.

    python tests/golden/make_kmeans_golden.py     (needs scikit-learn, which the other oracles do not)
"""
import json
import pathlib

import numpy
import sklearn
from sklearn.cluster import KMeans

HERE = pathlib.Path(__file__).resolve().parent


def main():
    cases = []
    for seed, (num_rows, width, num_centres) in enumerate([(40, 2, 3), (60, 5, 6), (120, 8, 20), (50, 3, 5)]):
        chance = numpy.random.default_rng(seed)
        heaps = chance.normal(size=(num_centres, width)) * (1 if seed % 2 else 4)
        rows = numpy.round(heaps[chance.integers(num_centres, size=num_rows)] + chance.normal(size=(num_rows, width)), 3)
        first = rows[chance.choice(num_rows, num_centres, replace=False)]
        found = KMeans(num_centres, init=first, n_init=1, algorithm="lloyd", tol=0, max_iter=100).fit(rows)
        assert len(set(found.labels_)) == num_centres, "a cluster lost its rows: another rule is ours"
        cases.append({"rows": rows.tolist(), "first": first.tolist(), "labels": found.labels_.tolist(),
                      "centres": found.cluster_centers_.tolist()})
    (HERE / "kmeans").mkdir(exist_ok=True)
    versions = {"scikit-learn": sklearn.__version__, "numpy": numpy.__version__}
    (HERE / "kmeans" / "cases.json").write_text(json.dumps({"versions": versions, "cases": cases}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
