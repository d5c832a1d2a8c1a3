"""Rehearsal buffers: chosen by clusters of the base's features, and large enough for what thresholds hold out."""

import json
import unittest

import h5py

from support import digests, read_json, run, run_ok, run_tests, toy_data, train, workspace

KEPT = ("experts/*.h5", "buffers/*.h5")


def rows_of(path):
    with h5py.File(path) as file:
        blob, at = file["rows"][()].tobytes(), file["row_offsets"][()]
        return [json.loads(blob[a:b]) for a, b in zip(at, at[1:])], dict(file.attrs)


class Clusters(unittest.TestCase):
    SETTINGS = {"method__buffer_selection": "kmeans", "method__buffer_ratio": "0.5", "method__buffer_floor": "0",
                "train__num_train_epochs": "1"}

    def test_the_same_rows_for_any_ranks(self):
        for method in ("see", "replay"):
            with self.subTest(method):
                alone = train(f"k-{method}", method__method=method, **self.SETTINGS)
                kept = digests(alone, *KEPT)
                self.assertEqual(len(kept), 6)
                for ranks in (2, 3):
                    other = train(f"k-{method}-{ranks}", ranks=ranks, method__method=method, **self.SETTINGS)
                    self.assertEqual(digests(other, *KEPT), kept, ranks)
        rows, facts = rows_of(workspace() / "k-see/buffers/01-loud.h5")
        self.assertEqual((len(rows), facts["selection"].decode()), (10, "kmeans"))
        self.assertEqual(len({row["id"] for row in rows}), 10)
        drawn = train("k-random", **dict(self.SETTINGS, method__buffer_selection="random"))
        self.assertNotEqual([row["id"] for row in rows_of(drawn / "buffers/01-loud.h5")[0]],
                            [row["id"] for row in rows])

    def test_chosen_once(self):
        folder = train("k-once", **self.SETTINGS)
        kept = digests(folder, *KEPT)
        again = run_ok("train", "--config", workspace() / "k-once.cfg")
        self.assertIn("nothing to do", again.err)
        self.assertNotIn("rows are read to choose", again.err)
        longer = train("k-once", tasks="loud, count, last, back", **self.SETTINGS)
        self.assertEqual({name: found for name, found in digests(longer, *KEPT).items() if name in kept}, kept)
        other = run("train", "--config", workspace() / "k-once.cfg", "--set", "method.buffer_selection=random")
        self.assertEqual(other.code, 2)
        self.assertIn("buffer", other.err)


class HeldOut(unittest.TestCase):
    def test_rows_held_out_cost_no_negatives(self):
        folder = train("held-out", data__dataset_dir=str(toy_data("data-100", num_train=100)), tasks="loud, count",
                       data__general="none", method__accept_threshold="auto", method__buffer_floor="0",
                       method__negative_floor="0", train__num_train_epochs="0.2")
        self.assertEqual(len(rows_of(folder / "buffers/01-loud.h5")[0]), 28)
        with h5py.File(folder / "experts/02-count.h5") as file:
            self.assertEqual(file.attrs["num_negative"], 25)
        self.assertFalse([line for line in read_json(folder / "run.json")["warnings"] if "negatives where" in line])


if __name__ == "__main__":
    run_tests()
