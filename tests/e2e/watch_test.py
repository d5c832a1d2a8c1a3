"""A rank that stands still is named within the limit and a few seconds, the world ends with code 8, nobody is left."""

import os
import pathlib
import signal
import subprocess
import time
import unittest

from support import digests, find_binary, glob_live, read_json, run, run_ok, run_tests, workspace, write_config

LIMIT = 3
EXPERTS = ("experts/*.h5",)


def ranks_of(config):
    """{world rank: pid} of the processes that train this config."""
    found = {}
    for pid in subprocess.run(["pgrep", "-f", str(config)], capture_output=True, text=True).stdout.split():
        try:
            command = pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            environment = pathlib.Path(f"/proc/{pid}/environ").read_text().split("\0")
        except OSError:
            continue
        if command[0] == str(find_binary()):
            for item in environment:
                if item.startswith("OMPI_COMM_WORLD_RANK="):
                    found[int(item.split("=")[1])] = int(pid)
    return found


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Hangs(unittest.TestCase):
    def start(self, name, ranks, env=None, **changes):
        config = write_config(name, **{"train__num_train_epochs": "200", "train__save_steps": "5",
                                       "cluster__timeout_seconds": str(LIMIT), "cluster__groups": "1", **changes})
        command = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", str(ranks),
                   str(find_binary()), "train", "--config", str(config)]
        environment = dict(os.environ, OMP_WAIT_POLICY="passive", **(env or {}))
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.kill)
        return config, process

    def wait_for_training(self, name):
        deadline = time.monotonic() + 60
        while not glob_live(workspace() / name, "checkpoints/*/step-*/COMPLETE"):
            self.assertLess(time.monotonic(), deadline, "training did not begin")
            time.sleep(0.02)

    def check_end(self, name, config, process, pids, words):
        error = process.communicate(timeout=LIMIT + 30)[1]
        status = read_json(workspace() / name / "status.json")
        self.assertEqual(status["exit_code"], 8, error[-3000:])
        self.assertEqual(status["kind"], "hang")
        for word in words:
            self.assertIn(word, status["error"])
        time.sleep(1)
        self.assertEqual([pid for pid in pids if alive(pid)], [])
        self.assertEqual(ranks_of(config), {})

    def test_a_stopped_rank(self):
        for ranks, victim in ((2, 1), (4, 2), (3, 0)):
            with self.subTest(victim=victim):
                name = f"sigstop-{ranks}-{victim}"
                config, process = self.start(name, ranks)
                self.wait_for_training(name)
                pids = ranks_of(config)
                begin = time.monotonic()
                os.kill(pids[victim], signal.SIGSTOP)
                self.check_end(name, config, process, pids.values(), [f"rank {victim}"])
                self.assertLess(time.monotonic() - begin, LIMIT + 5 + 4)  # the program's end and the wait above

    def test_an_endless_loop(self):
        name = "loop"
        config, process = self.start(name, 3, {"BATON_FAULT": "rank=1,kind=loop,step=7"})
        self.check_end(name, config, process, [], ["rank 1", "train"])

    def test_a_skipped_collective(self):
        name = "skipped"
        config, process = self.start(name, 4, {"BATON_FAULT": "rank=3,kind=skip,step=7"})
        self.check_end(name, config, process, [], ["rank 3"])

    def test_the_run_goes_on_afterwards(self):
        name = "after-hang"
        config, process = self.start(name, 2, {"BATON_FAULT": "rank=1,kind=loop,step=9"}, train__num_train_epochs="4")
        self.check_end(name, config, process, [], ["rank 1"])
        again = run_ok("train", "--config", config, ranks=2)
        self.assertIn("goes on after update", again.text)
        whole = write_config("never-hung", train__num_train_epochs="4")
        run_ok("train", "--config", whole)
        self.assertEqual(digests(workspace() / name, *EXPERTS), digests(workspace() / "never-hung", *EXPERTS))

    def test_long_updates_are_said_and_not_ended(self):
        """The watchdog alone judges, from slot to slot; an update of several slots may take longer than its limit."""
        config = write_config("long-updates", tasks="loud", cluster__timeout_seconds="3", train__num_train_epochs="1")
        result = run_ok("train", "--config", config, env={"BATON_FAULT": "kind=pause,seconds=1.2"})
        self.assertEqual(result.text.count("longer than cluster.timeout_seconds"), 1, result.text[-3000:])
        self.assertIn("update 1 took", result.text)

    def test_the_first_update_has_ten_times_as_long(self):
        """Of a training and of one that goes on: what is slow at first is slow again after a restart."""
        slow = {"tasks": "loud", "cluster__timeout_seconds": "2", "train__num_train_epochs": "1",
                "train__micro_batch_size": "6"}
        result = run_ok("train", "--config", write_config("slow-start", **slow),
                        env={"BATON_FAULT": "kind=pause,to=1,seconds=5"})
        self.assertIn("longer than cluster.timeout_seconds", result.text)
        config = write_config("slow-again", **slow)
        self.assertEqual(run("train", "--config", config, env={"BATON_FAULT": "kind=signal,step=3"}).code, 75)
        result = run_ok("train", "--config", config, env={"BATON_FAULT": "kind=pause,step=3,to=3,seconds=5"})
        self.assertIn("goes on after update 2", result.text)
        result = run("train", "--config", write_config("slow-later", **slow),
                     env={"BATON_FAULT": "kind=pause,step=3,to=3,seconds=30"})
        self.assertEqual(result.code, 8, result.text[-3000:])

    def test_a_suspended_world_goes_on(self):
        """As Slurm suspends a job: every process of it stops for longer than the limit, then continues."""
        for ranks in (1, 3):
            with self.subTest(ranks=ranks):
                name = f"suspended-{ranks}"
                config, process = self.start(name, ranks, tasks="loud", train__num_train_epochs="60")
                self.wait_for_training(name)
                pids = [process.pid, *ranks_of(config).values()]
                self.assertEqual(len(pids), ranks + 1)
                for pid in pids:
                    os.kill(pid, signal.SIGSTOP)
                time.sleep(2 * LIMIT + 1)
                for pid in reversed(pids):
                    os.kill(pid, signal.SIGCONT)
                error = process.communicate(timeout=120)[1]
                status = read_json(workspace() / name / "status.json")
                self.assertEqual((process.returncode, status["state"]), (0, "done"), error[-3000:])
                self.assertNotIn("longer than cluster.timeout_seconds", error)

    def test_a_slow_rank_is_named_and_not_ended(self):
        config = write_config("slow", cluster__timeout_seconds="4", cluster__groups="1", train__num_train_epochs="2")
        result = run_ok("train", "--config", config, ranks=3, env={"BATON_FAULT": "rank=2,kind=pause,seconds=0.1"})
        self.assertEqual(read_json(workspace() / "slow/status.json")["state"], "done")
        self.assertIn("times the group's", result.text)
        self.assertRegex(result.text, "rank 2: [0-9.]+ s a step")


class Builds(unittest.TestCase):
    def test_a_rank_with_another_build_is_refused(self):
        other = workspace() / "baton-other"
        other.write_bytes(find_binary().read_bytes() + b"\0")
        other.chmod(0o755)
        config = write_config("builds")
        arguments = ["train", "--config", str(config)]
        result = subprocess.run(["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none",
                                 "-n", "1", str(find_binary()), *arguments, ":", "-n", "1", str(other), *arguments],
                                capture_output=True, text=True, timeout=120)
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("rank 1", result.stderr)
        self.assertIn("build", result.stderr)


class Storage(unittest.TestCase):
    def test_a_full_disk_on_the_way(self):
        """The run folder lies on a small file system that fills up; what was saved stays, and the run goes on later."""
        place = workspace() / "small-disk"
        place.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m", "none", str(place)]).returncode:
            self.skipTest("mounting a small file system needs rights that are not there")
        self.addCleanup(subprocess.run, ["umount", "-l", str(place)])
        config = write_config("small-disk", output__output_dir=str(place / "run"), train__save_steps="1",
                              train__num_train_epochs="6", lora__lora_target="all")
        filler = place / "filler"
        process = subprocess.Popen([str(find_binary()), "train", "--config", str(config)], stderr=subprocess.PIPE, text=True,
                                   env=dict(os.environ, BATON_FAULT="kind=pause"))
        deadline = time.monotonic() + 60
        while not glob_live(place, "run/checkpoints/*/step-0*/COMPLETE") and time.monotonic() < deadline:
            time.sleep(0.01)
        file = os.open(filler, os.O_CREAT | os.O_WRONLY)
        try:
            while True:
                os.write(file, b"x" * 4096)
        except OSError:
            os.close(file)
        error = process.communicate(timeout=120)[1]
        self.assertEqual(process.returncode, 5, error[-3000:])
        self.assertIn("No space left", error)
        self.assertTrue(list(place.glob("run/checkpoints/*/step-0*/COMPLETE")) or list(place.glob("run/experts/*.h5")))
        filler.unlink()
        subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)
        run_ok("train", "--config", config)
        whole = write_config("large-disk", train__num_train_epochs="6", lora__lora_target="all")
        run_ok("train", "--config", whole)
        self.assertEqual(digests(place / "run", *EXPERTS), digests(workspace() / "large-disk", *EXPERTS))

    def test_no_space_is_seen_before_training(self):
        place = workspace() / "tiny-disk"
        place.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "none", str(place)]).returncode:
            self.skipTest("mounting a small file system needs rights that are not there")
        self.addCleanup(subprocess.run, ["umount", "-l", str(place)])
        config = write_config("tiny-disk", output__output_dir=str(place / "run"), lora__lora_target="all", lora__lora_rank="64",
                              data__max_train_samples="4")
        result = run("train", "--config", config)
        self.assertEqual(result.code, 5, result.text[-3000:])
        self.assertIn("free", result.text)


if __name__ == "__main__":
    run_tests()
