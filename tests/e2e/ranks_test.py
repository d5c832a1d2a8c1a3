"""The same bits for every number of ranks and every way to group them."""

import os
import pathlib
import unittest

from support import SOURCE, digests, run_ok, run_tests, train, workspace

KEPT = ("experts/*.h5", "buffers/*.h5")
SCORED = ("eval/results.json", "eval/predictions.jsonl", "eval/matrix.csv")
REAL_MODEL = pathlib.Path(os.environ.get("BATON_MODEL_DIR", pathlib.Path(os.environ.get("BATON_DEPS", SOURCE / ".deps"))
                                         / "models" / "smollm2-135m-instruct"))


class SameBits(unittest.TestCase):
    """What one process alone makes with `options` is what any world makes with them."""

    options = {}

    @classmethod
    def setUpClass(cls):
        cls.alone = train(f"{cls.__name__}-alone", **cls.options)
        run_ok("eval", "--run", cls.alone)
        cls.expected = digests(cls.alone, *KEPT)
        cls.scores = digests(cls.alone, *SCORED)

    def check(self, ranks, **cluster):
        name = "-".join([type(self).__name__, str(ranks), *(f"{key}{value}" for key, value in cluster.items())])
        changes = {f"cluster__{key}": value for key, value in cluster.items()}
        folder = train(name, ranks=ranks, **self.options, **changes)
        self.assertEqual(digests(folder, *KEPT), self.expected)
        run_ok("eval", "--run", folder, ranks=ranks)
        self.assertEqual(digests(folder, *SCORED), self.scores)


class Ranks(SameBits):
    def test_files_are_there(self):
        self.assertEqual(len(self.expected), 6)
        self.assertEqual(len(self.scores), 3)
        self.assertEqual(len(set(self.expected.values())), 6)

    def test_one_rank_under_mpirun(self):
        self.check(1)

    def test_two_ranks_one_group(self):
        self.check(2, groups=1)

    def test_two_ranks_two_groups(self):
        self.check(2, groups=2)

    def test_three_ranks_one_group(self):
        self.check(3, groups=1)

    def test_three_ranks_two_groups(self):
        self.check(3, groups=2)

    def test_four_ranks_one_group_larger_than_the_slots(self):
        self.check(4, groups=1)

    def test_four_ranks_three_groups(self):
        self.check(4, groups=3)

    def test_evaluation_by_another_number_of_ranks(self):
        for ranks in (2, 3, 4):
            run_ok("eval", "--run", self.alone, ranks=ranks)
            self.assertEqual(digests(self.alone, *SCORED), self.scores, ranks)

    def test_dropout_keeps_the_promise(self):
        one = train("dropout-1", lora__lora_dropout="0.3")
        three = train("dropout-3", ranks=3, lora__lora_dropout="0.3", cluster__groups=1)
        self.assertEqual(digests(one, *KEPT), digests(three, *KEPT))
        self.assertNotEqual(digests(one, "experts/*.h5"), digests(self.alone, "experts/*.h5"))

    def test_another_seed_gives_another_expert(self):
        other = train("seed-7", train__seed=7)
        for name, value in digests(other, "experts/*.h5").items():
            self.assertNotEqual(value, self.expected[name])

    def test_moved_folder(self):
        moved = workspace() / "moved"
        train("before-move").rename(moved)
        run_ok("eval", "--run", moved, ranks=2)
        self.assertEqual(digests(moved, *SCORED), self.scores)


class RanksInBFloat16(SameBits):
    options = {"model__dtype": "bfloat16"}

    def test_three_ranks_two_groups(self):
        self.check(3, groups=2)


class RanksOfTwoThreads(SameBits):
    options = {"cluster__threads_per_rank": "2"}

    def test_four_ranks_one_group(self):
        self.check(4, groups=1)


class RanksOfTwoThreadsInBFloat16(SameBits):
    options = {"cluster__threads_per_rank": "2", "model__dtype": "bfloat16"}

    def test_one_rank_under_mpirun(self):
        self.check(1)

    def test_two_ranks_two_groups(self):
        self.check(2, groups=2)

    def test_three_ranks_one_group(self):
        self.check(3, groups=1)

    def test_four_ranks_three_groups(self):
        self.check(4, groups=3)


class RealModel(SameBits):
    """SmolLM2: its matrices are large enough that two threads share them."""

    options = {"model__model_name_or_path": str(REAL_MODEL), "model__dtype": "bfloat16", "tasks": "loud, last",
               "cluster__threads_per_rank": "2", "data__max_train_samples": "6", "data__max_eval_samples": "2",
               "method__negative_ratio": "0.5", "train__num_train_epochs": "1", "train__learning_rate": "1e-3",
               "method__accept_indicator": "Yes", "method__pass_indicator": "No"}

    @classmethod
    def setUpClass(cls):
        if not (REAL_MODEL / "config.json").exists():
            raise unittest.SkipTest(f"no model in {REAL_MODEL}")
        super().setUpClass()

    def test_two_ranks_one_group(self):
        self.check(2, groups=1)


@unittest.skipUnless(os.environ.get("BATON_NIGHTLY"), "two minutes more, only with --nightly")
class RealModelInFloat32(RealModel):
    options = {**RealModel.options, "model__dtype": "float32"}

    def test_two_ranks_two_groups(self):
        self.check(2, groups=2)


del SameBits

if __name__ == "__main__":
    run_tests()
