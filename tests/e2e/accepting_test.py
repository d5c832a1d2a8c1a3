"""The keys of accepting: mismatches as negatives, balanced batches, prior correction; rows that tasks share."""

import json
import math
import unittest

import h5py

from support import digests, read_json, run_ok, run_tests, toy_data, train, workspace

KEPT = ("experts/*.h5", "buffers/*.h5")
SHORT = {"train__num_train_epochs": "1", "tasks": "loud, count"}


def facts(folder, name="01-loud"):
    with h5py.File(folder / f"experts/{name}.h5") as file:
        return dict(file.attrs)


def warnings(folder):
    return " ".join(read_json(folder / "run.json").get("warnings", []))


class Accepting(unittest.TestCase):
    def test_what_the_first_expert_passes_on(self):
        """General rows, mismatches, both or none."""
        for general in ("other", "none"):
            for ratio in ("0", "0.5"):
                with self.subTest(general=general, ratio=ratio):
                    folder = train(f"a-{general}-{ratio}", data__general=general, method__mismatch_ratio=ratio, **SHORT)
                    expected = (8 if general == "other" else 0) + (10 if ratio == "0.5" else 0)
                    self.assertEqual(facts(folder)["num_negative"], expected)
                    self.assertEqual("accept everything" in warnings(folder), expected == 0)

    def test_the_same_bits_for_any_ranks(self):
        settings = dict(SHORT, method__mismatch_ratio="0.5", method__balanced_batches="true")
        alone = train("a-alone", **settings)
        for ranks in (2, 3):
            self.assertEqual(digests(train(f"a-ranks-{ranks}", ranks=ranks, **settings), *KEPT), digests(alone, *KEPT))
        other = train("a-unbalanced", **dict(settings, method__balanced_batches="false"))
        self.assertNotEqual(digests(other, "experts/*.h5"), digests(alone, "experts/*.h5"))

    def test_mismatches_and_a_threshold_from_rows(self):
        folder = train("a-auto", method__mismatch_ratio="0.5", method__accept_threshold="auto", **SHORT)
        run_ok("eval", "--run", folder)
        self.assertTrue(math.isfinite(facts(folder)["accept_threshold"]))

    def test_prior_correction(self):
        folder = train("a-prior", method__prior_correction="true", method__indicator_balance="false", **SHORT)
        found = facts(folder)
        self.assertAlmostEqual(found["accept_threshold"],
                               math.log(found["num_positive"] / found["num_negative"]), places=12)
        idle = train("a-prior-idle", method__prior_correction="true", **SHORT)
        self.assertIn("method.prior_correction changes nothing", warnings(idle))
        self.assertAlmostEqual(facts(idle)["accept_threshold"], 0, places=12)

    def test_rows_that_tasks_share_are_named(self):
        data = toy_data("data-twins", tasks=("loud", "back", "other"))
        path = data / "back.train.json"
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        shared = [json.loads(line) for line in (data / "loud.train.json").read_text().splitlines()][:20]
        for row, twin in zip(rows, shared):  # all of them: the rows of a task begin alike
            row["full_prompt"] = twin["full_prompt"].replace(" ", "  ") + "!"
        path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
        folder = train("a-twins", data__dataset_dir=str(data), **dict(SHORT, tasks="loud, back"))
        self.assertIn("20 of 20 train rows of back are nearly rows of loud", warnings(folder))
        self.assertIn("back.train.json", warnings(folder))
        again = run_ok("train", "--config", workspace() / "a-twins.cfg")
        self.assertNotIn("nearly rows", again.err)  # said once
        self.assertEqual(warnings(folder).count("nearly rows"), 1)


if __name__ == "__main__":
    run_tests()
