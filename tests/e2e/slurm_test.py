"""The job scripts in slurm/ on a real Slurm of one node that the test starts and ends.

BATON_NIGHTLY=1 adds scancel and the time limit, which take minutes.
"""

import os
import signal
import time
import unittest

from processes import ranks_of, wait_for, wait_for_training
from slurm_cluster import Cluster, NotPossible
from support import (SOURCE, digests, find_binary, glob_live, read_json, run_ok, run_tests, tiny_model, toy_data, train,
                     workspace, write_config)

KEPT = ("experts/*.h5", "buffers/*.h5")
LONG = {"train__num_train_epochs": "60"}  # some seconds of training: time to disturb it
NIGHTLY = os.environ.get("BATON_NIGHTLY") == "1"
cluster = None


def setUpModule():
    global cluster
    tiny_model()
    toy_data()
    candidate = Cluster(workspace() / "slurm")
    try:
        candidate.__enter__()
    except NotPossible as reason:
        raise unittest.SkipTest(f"no Slurm here: {reason}")
    cluster = candidate
    unittest.addModuleCleanup(cluster.close)


def submit(script, *words, options=(), **variables):
    return cluster.submit(f"--chdir={workspace()}", *options, SOURCE / "slurm" / script, *words,
                          BATON_ROOT=SOURCE, BATON=find_binary(), OMP_WAIT_POLICY="passive", **variables)


def log_of(job):
    return "".join(file.read_text() for file in sorted(workspace().glob(f"baton-*-{job}*.log")))


class Slurm(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.whole = train("undisturbed", ranks=2, **LONG)
        cls.expected = digests(cls.whole, *KEPT)

    def finished(self, job, name, seconds=300):
        facts = cluster.wait_for_end(job, seconds)
        self.assertEqual((facts["JobState"], facts["ExitCode"]), ("COMPLETED", "0:0"), log_of(job)[-4000:])
        self.assertEqual(digests(workspace() / name, *KEPT), self.expected)
        self.assertEqual(read_json(workspace() / name / "status.json")["state"], "done")
        self.assertEqual(ranks_of(name), [])
        return facts

    def test_usr1_saves_queues_again_and_finishes(self):
        job = submit("train.sbatch", CONFIG=write_config("usr1", **LONG))
        wait_for_training("usr1", 2)
        cluster.command("scancel", "--signal=USR1", job)
        wait_for(lambda: cluster.job(job)["Restarts"] == "1", "the requeue")
        self.assertEqual(read_json(workspace() / "usr1" / "status.json")["state"], "stopped")
        self.assertNotEqual(digests(workspace() / "usr1", "experts/*.h5").keys(),
                            digests(self.whole, "experts/*.h5").keys())
        facts = self.finished(job, "usr1")
        self.assertEqual(facts["Restarts"], "1")
        asked = (workspace() / "usr1" / "logs" / "requeues.txt").read_text().splitlines()
        self.assertEqual([line.split()[:2] for line in asked], [[job, "0"]])
        self.assertIn("restart 0", log_of(job))
        self.assertIn("restart 1", log_of(job))

    def test_a_lost_rank_is_restarted_inside_the_job(self):
        job = submit("train.sbatch", CONFIG=write_config("lost", **LONG))
        wait_for_training("lost", 2)
        os.kill(ranks_of("lost")[-1], signal.SIGKILL)
        facts = self.finished(job, "lost")
        self.assertEqual(facts["Restarts"], "0")
        self.assertIn("a rank was lost", log_of(job))

    def test_errors_are_not_queued_again(self):
        job = submit("train.sbatch", CONFIG=write_config("wrong", train__learning_rate="fast"))
        facts = cluster.wait_for_end(job, 60)
        self.assertEqual((facts["JobState"], facts["ExitCode"], facts["Restarts"]), ("FAILED", "2:0", "0"), log_of(job))
        self.assertIn("learning_rate", log_of(job))

    def test_without_requeue_the_job_ends_with_75(self):
        job = submit("train.sbatch", CONFIG=write_config("kept", **LONG), REQUEUE=0)
        wait_for_training("kept", 2)
        cluster.command("scancel", "--signal=USR1", job)
        facts = cluster.wait_for_end(job, 60)
        self.assertEqual((facts["JobState"], facts["ExitCode"], facts["Restarts"]), ("FAILED", "75:0", "0"),
                         log_of(job))

    def test_evaluation(self):
        job = submit("eval.sbatch", RUN=self.whole)
        facts = cluster.wait_for_end(job, 300)
        self.assertEqual(facts["ExitCode"], "0:0", log_of(job)[-4000:])
        scored = digests(self.whole, "eval/results.json", "eval/predictions.jsonl")
        self.assertEqual(len(scored), 2)
        run_ok("eval", "--run", self.whole, ranks=3)
        self.assertEqual(digests(self.whole, "eval/results.json", "eval/predictions.jsonl"), scored)

    def test_array_of_seeds_and_orders(self):
        config = write_config("array")
        job = submit("array.sbatch", options=["--array=0-3"], CONFIG=config, SEEDS="7 8", ORDERS=2,
                     OUTPUT=workspace() / "array")
        wait_for(lambda: len(glob_live(workspace(), "array/*/eval/results.json")) == 4
                 and not cluster.command("squeue", "--noheader", f"--jobs={job}", check=False).strip(),
                 "four evaluated runs", 300)
        for seed in (7, 8):
            for rotation, tasks in enumerate((["loud", "count", "last"], ["count", "last", "loud"])):
                folder = workspace() / "array" / f"seed{seed}-order{rotation}"
                record = read_json(folder / "run.json")
                self.assertEqual((record["tasks"], record["config"]["train.seed"]), (tasks, str(seed)))
                self.assertEqual(read_json(folder / "status.json")["state"], "done")
                self.assertEqual(read_json(folder / "eval" / "results.json")["tasks"], tasks)
        alone = train("seed8", train__seed=8, data__tasks="count, last, loud")
        self.assertEqual(digests(workspace() / "array" / "seed8-order1", *KEPT), digests(alone, *KEPT))

    def test_array_index_out_of_range(self):
        job = submit("array.sbatch", options=["--array=5"], CONFIG=write_config("outside"), SEEDS="7 8", ORDERS=2)
        self.assertEqual(cluster.wait_for_end(job, 60)["ExitCode"], "2:0")
        self.assertIn("--array=0-3", log_of(job))

    def test_all_scripts_can_be_scheduled(self):
        for script in sorted((SOURCE / "slurm").glob("*.sbatch")):
            text = cluster.command("sbatch", "--test-only", script, CONFIG="x", RUN="x")
            self.assertIn("to start at", text, script)

    def test_doctor_in_a_step(self):
        command = f"srun --mpi=pmix {find_binary()} doctor"
        job = cluster.submit("--ntasks=2", f"--output={workspace()}/baton-doctor-%j.log", "--wrap", command)
        facts = cluster.wait_for_end(job, 60)
        self.assertEqual(facts["ExitCode"], "0:0", log_of(job))
        self.assertIn("2 ranks on 1 machine, started by srun", log_of(job))

    def test_ranks_without_a_world(self):
        command = f"{find_binary()} train --config {write_config('alone')}"
        job = cluster.submit("--ntasks=2", f"--output={workspace()}/baton-alone-%j.log", "--wrap", command)
        facts = cluster.wait_for_end(job, 60)
        self.assertEqual(facts["ExitCode"], "6:0", log_of(job))
        self.assertIn("srun --mpi=pmix", log_of(job))

    @unittest.skipUnless(NIGHTLY, "BATON_NIGHTLY=1 runs it")
    def test_scancel_saves_and_is_not_queued_again(self):
        config = write_config("cancelled", **LONG)
        job = submit("train.sbatch", CONFIG=config)
        wait_for_training("cancelled", 2)
        cluster.command("scancel", job)
        facts = cluster.wait_for_end(job, 60)
        wait_for(lambda: not ranks_of("cancelled"), "the end of the ranks")
        time.sleep(2)
        self.assertEqual((facts["JobState"], cluster.job(job)["Restarts"]), ("CANCELLED", "0"), log_of(job))
        self.assertEqual(read_json(workspace() / "cancelled" / "status.json")["state"], "stopped")
        self.finished(submit("train.sbatch", CONFIG=config), "cancelled")

    @unittest.skipUnless(NIGHTLY, "BATON_NIGHTLY=1 runs it")
    def test_time_limit(self):
        long = {"train__num_train_epochs": "600", "train__save_seconds": "5"}
        expected = digests(train("undisturbed-limit", ranks=2, **long), *KEPT)
        job = submit("train.sbatch", options=["--time=1", "--signal=USR1@30"], CONFIG=write_config("limit", **long))
        facts = cluster.wait_for_end(job, 900)
        self.assertEqual(facts["JobState"], "COMPLETED", log_of(job)[-4000:])
        self.assertGreaterEqual(int(facts["Restarts"]), 1)
        self.assertEqual(digests(workspace() / "limit", *KEPT), expected)


if __name__ == "__main__":
    run_tests()
