"""accept_threshold = auto: bits, stops, the watchdog, and what is said of a threshold."""

import os
import pathlib
import shutil
import subprocess
import unittest

import h5py

from support import (digests, find_binary, read_json, read_lines, run, run_ok, run_tests, toy_data, train, workspace,
                     write_config)

KEPT = ("experts/*.h5", "buffers/*.h5")
SMALL = {"train__num_train_epochs": "1", "method__accept_threshold": "auto", "method__calibration_batch_size": "2",
         "train__save_seconds": "0"}
# Half of the 20 own rows are enough to hold out, a tenth is not: then two more experts are trained.
KINDS = {"held-out": {**SMALL, "method__calibration_ratio": "0.5"},
         "cross-fit": {**SMALL, "method__calibration_ratio": "0.1"}}


def num_slots(folder, micro_batch=2):
    return sum(-(-line["rows"] // micro_batch) for log in folder.glob("logs/*.jsonl") for line in read_lines(log)
               if "loss" in line)


class Bits(unittest.TestCase):
    def test_do_not_depend_on_ranks_nor_on_the_evaluation(self):
        for kind, settings in KINDS.items():
            expected = digests(train(f"{kind}-0", **settings), *KEPT)
            self.assertEqual(len(expected), 6)
            for ranks, groups in ((2, 1), (3, 1), (3, 2)):
                with self.subTest(kind=kind, ranks=ranks, groups=groups):
                    folder = train(f"{kind}-{ranks}-{groups}", ranks=ranks, cluster__groups=groups, **settings)
                    self.assertEqual(digests(folder, *KEPT), expected)
            with self.subTest(kind=kind, evaluation=3):
                folder = train(f"{kind}-eval", eval__eval_batch_size="3", **settings)
                self.assertEqual(digests(folder, *KEPT), expected)

    def test_batches_of_the_calibration_are_part_of_the_identity(self):
        config = write_config("held-out-0", name="other-batches", **{**KINDS["held-out"], "method__calibration_batch_size": "3"})
        train("held-out-0", **KINDS["held-out"])
        result = run("train", "--config", config)
        self.assertEqual(result.code, 2)
        self.assertIn("calibration_batch_size", result.text)


class Stops(unittest.TestCase):
    """In the middle of a cross-fit and of the questions; the next call ends with the bytes of an undisturbed run."""

    def test_stop_and_go_on(self):
        for kind, settings in KINDS.items():
            settings = {**settings, "tasks": "loud", "cluster__groups": "1"}
            undisturbed = train(f"whole-{kind}", **settings)
            slots = num_slots(undisturbed)
            for ranks, rank, more in ((1, 0, 1), (1, 0, 5), (2, 1, 2), (3, 2, 3)):
                with self.subTest(kind=kind, ranks=ranks, more=more):
                    name = f"stop-{kind}-{ranks}-{more}"
                    config = write_config(name, **settings)
                    # A rank comes to every round of slots, whether or not one is left for it: 3 slots an update.
                    calls = slots // 3 * -(-3 // ranks) + -(-(slots % 3) // ranks) + more
                    stopped = run("train", "--config", config, ranks=ranks,
                                  env={"BATON_FAULT": f"rank={rank},kind=signal,calls={calls}"})
                    folder = workspace() / name
                    status = read_json(folder / "status.json")
                    self.assertEqual((status["state"], status["exit_code"]), ("stopped", 75), stopped.text[-2000:])
                    self.assertEqual(num_slots(folder), slots, "it was to stop after the training")
                    self.assertEqual(list(folder.glob("experts/*.h5")), [])
                    run_ok("train", "--config", config, ranks=ranks)
                    self.assertEqual(digests(folder, *KEPT), digests(undisturbed, *KEPT))

    def test_the_watchdog_waits_while_it_goes_on(self):
        limit, pause = 4, 0.5
        for ranks in (1, 2):
            with self.subTest(ranks=ranks):
                config = write_config(f"slow-{ranks}", tasks="loud", cluster__groups="1", cluster__timeout_seconds=limit,
                                      **{**KINDS["held-out"], "method__calibration_batch_size": "1"})
                rounds = -(-(10 + 1) // ranks)  # ten own rows and at least one of the general ones
                self.assertGreater(rounds * pause * ranks, limit)
                run_ok("train", "--config", config, ranks=ranks,
                       env={"BATON_FAULT": f"rank=0,kind=pause,step=0,seconds={pause * ranks}"})


class Words(unittest.TestCase):
    def test_shares_are_in_the_log_and_in_the_table(self):
        result = run_ok("train", "--config", write_config("shares", **KINDS["held-out"]))
        self.assertIn("of rows it had not learnt from it accepts", result.text)
        self.assertRegex(result.text, r"loss +threshold +own +others")
        self.assertIn("share of its own unseen rows", result.text)
        with h5py.File(workspace() / "shares/experts/01-loud.h5") as file:
            self.assertTrue(any("roc" in name for name in [*file, *file.attrs]))

    def test_a_guess_is_called_one(self):
        config = write_config("guess", tasks="loud", data__general="none", **KINDS["cross-fit"])
        result = run_ok("train", "--config", config)
        self.assertIn("THE THRESHOLD OF loud IS A GUESS: 20 own rows and 0 of others", result.text)
        self.assertTrue(any("IS A GUESS" in warning for warning in read_json(workspace() / "guess/run.json")["warnings"]))

    def test_the_defaults_bring_general_rows_wherever_the_program_is(self):
        """A copy of the program, far from the source tree; then the run folder is moved and goes on."""
        elsewhere = workspace() / "elsewhere"
        elsewhere.mkdir()
        program = shutil.copy(find_binary(), elsewhere / "baton")
        settings = {"data__general": None, "data__general_samples": "4", "train__num_train_epochs": "1"}

        def train_with_it(config):
            done = subprocess.run([program, "train", "--config", str(config)], capture_output=True, text=True,
                                  cwd=elsewhere, env=dict(os.environ, OMP_WAIT_POLICY="passive"))
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

        train_with_it(write_config("moves", tasks="loud", **settings))
        moved = pathlib.Path(shutil.move(workspace() / "moves", workspace() / "moved"))
        before = digests(moved, "experts/*.h5")
        train_with_it(write_config("moved", tasks="loud, count", **settings))
        after = digests(moved, "experts/*.h5")
        self.assertEqual(len(after), 2)
        self.assertEqual(after["experts/01-loud.h5"], before["experts/01-loud.h5"])
        facts = run_ok("inspect", moved / "experts/01-loud.h5", "--json").out
        self.assertIn("general_rows", facts)
        self.assertEqual(run("train", "--config", write_config("moved", name="none", tasks="loud, count",
                                                               **{**settings, "data__general": "none"})).code, 2)


if __name__ == "__main__":
    run_tests()
