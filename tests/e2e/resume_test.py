"""Stops and what comes after: at every slot, any number of times, by signal and by SIGKILL, the experts and buffers of
the finished run have the bytes of an undisturbed one.

BATON_NIGHTLY=1: 200 kills instead of 20.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import time
import unittest

from processes import wait_for
from support import (digests, find_binary, find_built, glob_live, read_json, read_lines, run, run_ok, run_tests, toy_data, train,
                     workspace, write_config)

KEPT = ("experts/*.h5", "buffers/*.h5")
SMALL = {"train__num_train_epochs": "1", "train__train_batch_size": "8", "train__micro_batch_size": "3",
         "data__max_train_samples": "14", "train__save_seconds": "0"}
STOPPED = 75


def launch(config, ranks, env=None):
    command = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-n", str(ranks),
               str(find_binary()), "train", "--config", str(config)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            env=dict(os.environ, OMP_WAIT_POLICY="passive", **(env or {})), start_new_session=True)


def generations(folder):
    """{task folder: newest step whose marker is there}"""
    newest = {}
    for marker in glob_live(folder, "checkpoints/*/step-*/COMPLETE"):
        task, step = marker.parent.parent.name, int(marker.parent.name.split("-")[1])
        newest[task] = max(newest.get(task, -1), step)
    return newest


def steps_of(log):
    """The lines of updates, not those of saves."""
    return [line for line in read_lines(log) if "loss" in line]


class StopPoints(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.undisturbed = train("undisturbed", **SMALL)
        cls.expected = digests(cls.undisturbed, *KEPT)
        cls.num_slots = 0
        for log in sorted(cls.undisturbed.glob("logs/*.jsonl")):
            for line in steps_of(log):
                cls.num_slots += -(-line["rows"] // 3)
        cls.logs = {log.name: [(line["step"], line["loss"]) for line in steps_of(log)]
                    for log in cls.undisturbed.glob("logs/*.jsonl")}

    def check_done(self, folder):
        self.assertEqual(digests(folder, *KEPT), self.expected)
        for log in folder.glob("logs/*.jsonl"):
            self.assertEqual([(line["step"], line["loss"]) for line in steps_of(log)], self.logs[log.name])
        self.assertEqual(list(folder.glob("checkpoints/*/step-*")), [])
        self.assertEqual(read_json(folder / "status.json")["state"], "done")

    def stop_and_go_on(self, name, calls, ranks=0, rank=0, **changes):
        config = write_config(name, **{**SMALL, **changes})
        stopped = run("train", "--config", config, ranks=ranks,
                      env={"BATON_FAULT": f"rank={rank},kind=signal,calls={calls}"})
        folder = workspace() / name
        self.assertEqual(read_json(folder / "status.json")["state"], "stopped", stopped.text[-2000:])
        self.assertEqual(read_json(folder / "status.json")["exit_code"], STOPPED)
        if not ranks:
            self.assertEqual(stopped.code, STOPPED)
        run_ok("train", "--config", config, ranks=ranks)
        self.check_done(folder)
        shutil.rmtree(folder)

    def test_every_slot_of_three_tasks(self):
        self.assertGreater(self.num_slots, 20)
        for calls in range(1, self.num_slots + 1):
            with self.subTest(slot=calls):
                self.stop_and_go_on(f"stop-{calls}", calls)

    def test_a_stop_in_every_call(self):
        """Each call makes one update and is stopped in the next; the last one finishes."""
        config = write_config("many-stops", **SMALL)
        for call in range(200):
            result = run("train", "--config", config, env={"BATON_FAULT": "kind=signal,calls=4"})
            if result.code == 0:
                break
            self.assertEqual(result.code, STOPPED, result.text[-2000:])
        self.assertGreater(call, 4)
        self.check_done(workspace() / "many-stops")

    def test_groups_of_ranks_and_a_signal_on_any_of_them(self):
        for ranks, rank, calls, groups in ((2, 1, 3, 1), (3, 2, 2, 2), (4, 0, 2, 2), (4, 3, 1, 3), (2, 0, 5, 2)):
            with self.subTest(ranks=ranks, rank=rank):
                self.stop_and_go_on(f"group-stop-{ranks}-{rank}", calls, ranks, rank, cluster__groups=groups)

    def test_another_number_of_ranks_goes_on(self):
        config = write_config("other-ranks", **SMALL)
        run("train", "--config", config, env={"BATON_FAULT": "kind=signal,calls=5"})
        run("train", "--config", config, "--set", "cluster.groups=1", ranks=3, env={"BATON_FAULT": "rank=1,kind=signal,calls=3"})
        run_ok("train", "--config", config, "--set", "cluster.coordinator=dedicated", ranks=3)
        self.check_done(workspace() / "other-ranks")

    def test_another_setting_is_refused_with_each_difference(self):
        config = write_config("changed", **SMALL)
        run("train", "--config", config, env={"BATON_FAULT": "kind=signal,calls=5"})
        other = write_config("changed", name="changed-2", **{**SMALL, "train__learning_rate": "1e-3", "train__warmup_ratio": "0.5"})
        result = run("train", "--config", other)
        self.assertEqual(result.code, 2)
        for word in ("learning_rate", "warmup_ratio", "may change", "--replace"):
            self.assertIn(word, result.text)
        run_ok("train", "--config", config, "--set", "train.save_steps=2", "--set", "train.logging_steps=1")
        self.check_done(workspace() / "changed")

    def test_inspect_shows_what_is_in_training(self):
        config = write_config("inspected", **SMALL)
        run("train", "--config", config, env={"BATON_FAULT": "kind=signal,calls=5"})
        folder = workspace() / "inspected"
        facts = json.loads(run_ok("inspect", folder, "--json").out)
        self.assertEqual(len(facts["in_training"]), 1)
        state = folder / facts["in_training"][0]["folder"]
        for path in (state, state / "state.h5"):
            inside = json.loads(run_ok("inspect", path, "--json").out)
            self.assertEqual(inside["kind"], "training_state")
            self.assertEqual(inside["step"], facts["in_training"][0]["step"])
        self.assertIn("in training", run_ok("inspect", folder).text)
        content = bytearray((state / "state.h5").read_bytes())
        content[len(content) // 2] ^= 1
        (state / "state.h5").write_bytes(content)
        self.assertEqual(run("inspect", state).code, 4)

    def test_saves_by_steps_keep_two_generations(self):
        config = write_config("by-steps", **{**SMALL, "train__save_steps": "1", "train__num_train_epochs": "3"})
        result = run("train", "--config", config, env={"BATON_FAULT": "kind=pause,seconds=0.25;kind=kill,calls=14"})
        self.assertNotEqual(result.code, 0)
        folder = workspace() / "by-steps"
        steps = [path for path in folder.glob("checkpoints/*/step-*")]
        self.assertGreaterEqual(len(steps), 2)
        self.assertLessEqual(len(steps), 3)
        again = run_ok("train", "--config", config)
        self.assertIn("goes on after update", again.text)
        undisturbed = train("by-steps-whole", **{**SMALL, "train__num_train_epochs": "3"})
        self.assertEqual(digests(folder, *KEPT), digests(undisturbed, *KEPT))

    def test_every_group_says_how_its_expert_goes(self):
        """Also those that rank 0 is not in; with a dedicated coordinator it is in none."""
        config = write_config("two-speak", tasks="loud, count", **{**SMALL, "train__save_steps": "1", "cluster__groups": "2",
                                                                   "cluster__coordinator": "dedicated"})
        stopped = run("train", "--config", config, ranks=3, env={"BATON_FAULT": "kind=pause,seconds=0.5;rank=2,kind=signal,calls=3"})
        self.assertEqual(read_json(workspace() / "two-speak/status.json")["state"], "stopped", stopped.text[-2000:])
        again = run_ok("train", "--config", config, ranks=3)
        for task in ("loud", "count"):
            self.assertIn(f"{task}: state after update", stopped.text)
            self.assertEqual(again.text.count(f"{task}: goes on after update"), 1, again.text[-2000:])

    def test_a_slow_disk_puts_no_more_at_stake(self):
        """Each sync takes longer than an update: training waits for the save before, and says so once an expert."""
        slow = {**SMALL, "train__save_steps": "1", "train__num_train_epochs": "2"}
        config = write_config("slow-disk", **slow)
        folder = workspace() / "slow-disk"
        result = run_ok("train", "--config", config, env={
            "LD_PRELOAD": str(find_built("BATON_IO_FAULT", "tests/libio_fault.so")), "IO_FAULT_SECONDS": "0.05",
            "IO_FAULT_CALL": "fsync", "IO_FAULT_PREFIX": str(folder / "checkpoints"), "IO_FAULT_NTH": "1", "IO_FAULT_STICKY": "1"})
        logs = list(folder.glob("logs/*.jsonl"))
        self.assertEqual(result.text.count("for the save before"), len(logs), result.text[-2000:])
        for log in logs:
            saved = 0
            for line in read_lines(log):
                saved = line.get("saved_step", saved)
                self.assertLessEqual(line.get("step", saved) - saved, 2, log)
            self.assertGreater(saved, 0)
        self.assertEqual(digests(folder, *KEPT), digests(train("quick-disk", **slow), *KEPT))


class Evaluation(unittest.TestCase):
    def test_a_half_finished_evaluation_goes_on(self):
        folder = train("eval-stop", data__dataset_dir=str(toy_data("more-eval", num_eval=40)), eval__eval_batch_size="2")
        run_ok("eval", "--run", folder)
        scored = ("eval/results.json", "eval/predictions.jsonl", "eval/matrix.csv")
        expected = digests(folder, *scored)
        for name in scored:
            (folder / name).unlink()
        stops = 0
        for _ in range(50):
            command = [str(find_binary()), "eval", "--run", str(folder)]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            before = len(glob_live(folder, "eval/partial/*/chunk-*[0-9]"))
            deadline = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < deadline:
                if len(glob_live(folder, "eval/partial/*/chunk-*[0-9]")) > before + 10:
                    process.send_signal(signal.SIGTERM)
                    break
                time.sleep(0.005)
            error = process.communicate(timeout=60)[1]
            if process.returncode == 0:
                break
            self.assertEqual(process.returncode, STOPPED, error[-2000:])
            stops += 1
        self.assertGreater(stops, 0)
        self.assertEqual(digests(folder, *scored), expected)
        self.assertFalse((folder / "eval/partial").exists())


class AnyMoment(unittest.TestCase):
    def test_signals_while_loading_training_and_evaluating(self):
        """From the first moment that the program listens (run.lock is there) to its end."""
        chance = random.Random(11)
        whole = train("moments-whole", **SMALL)
        run_ok("eval", "--run", whole)
        kept = KEPT + ("eval/results.json", "eval/predictions.jsonl")
        expected = digests(whole, *kept)
        config = write_config("moments", **SMALL)
        folder = workspace() / "moments"
        commands = {"train": ["train", "--config", str(config)], "eval": ["eval", "--run", str(folder)]}
        stops = 0
        for name, command in commands.items():
            for attempt in range(30):
                process = subprocess.Popen([str(find_binary()), *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                           text=True, env=dict(os.environ, BATON_FAULT="kind=pause"))
                deadline = time.monotonic() + 60
                while not (folder / "run.lock").exists() and process.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.001)
                time.sleep(chance.uniform(0, 0.1) * min(attempt + 1, 6))
                if process.poll() is None:
                    process.send_signal(chance.choice([signal.SIGUSR1, signal.SIGTERM, signal.SIGINT]))
                error = process.communicate(timeout=60)[1]
                if process.returncode == 0:
                    break
                self.assertEqual(process.returncode, STOPPED, error[-2000:])
                self.assertEqual(read_json(folder / "status.json")["state"], "stopped")
                stops += 1
            run_ok(*command)
        self.assertGreater(stops, 3)
        self.assertEqual(digests(folder, *kept), expected)

    def test_a_second_signal_leaves_at_once(self):
        config = write_config("twice", train__num_train_epochs="50")
        process = subprocess.Popen([str(find_binary()), "train", "--config", str(config)], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, env=dict(os.environ, BATON_FAULT="kind=pause,step=3,seconds=30"))
        log = workspace() / "twice/logs"
        deadline = time.monotonic() + 60
        while not any("\n" in path.read_text() for path in glob_live(log, "*.jsonl")) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        time.sleep(1.5)  # one that follows within a second is taken for an echo of the first
        wait_for(lambda: generations(workspace() / "twice"), "saved state", 20)
        self.assertIsNone(process.poll())  # in a slot of 30 s; the state is safe already
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
        self.assertLess(time.monotonic() - begin, 5)
        self.assertEqual(process.returncode, 128 + signal.SIGTERM)


def kill_one_rank(process, chance):
    """SIGKILL for a process of this world; False when none is left."""
    found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()
    try:
        os.kill(int(chance.choice(found)), signal.SIGKILL)
    except (IndexError, ProcessLookupError):
        return False
    return True


class Killed(unittest.TestCase):
    def test_sigkill_at_random_moments(self):
        """Four ranks in two groups; a random process of the world dies at a random moment of training or saving."""
        settings = {"train__num_train_epochs": "4", "train__save_steps": "2", "train__save_seconds": "0", "cluster__groups": "2"}
        expected = digests(train("not-killed", ranks=4, **settings), *KEPT)
        begin = time.monotonic()
        train("not-killed-again", ranks=4, **settings)
        undisturbed = time.monotonic() - begin
        chance = random.Random(5)
        kills = 200 if os.environ.get("BATON_NIGHTLY") else 20
        done = 0
        in_training = 0  # kills that left saved state; where startup takes most of the time it needs more of them
        wanted = lambda: done < kills or in_training <= kills // 10
        while wanted():
            self.assertLess(done, 3 * kills, "hardly a kill came while there was saved state")
            config = write_config(f"killed-{done}", **settings)
            folder = workspace() / f"killed-{done}"
            for attempt in range(100):
                process = launch(config, 4)
                time.sleep(chance.uniform(0, undisturbed))
                killed = wanted() and kill_one_rank(process, chance)
                error = process.communicate(timeout=180)[1]
                if process.returncode == 0:
                    break
                self.assertTrue(killed, error[-2000:])
                done += 1
                self.check_loss(folder)
                in_training += bool(generations(folder))
            else:
                self.fail("no call finished")
            run_ok("train", "--config", config, ranks=4)
            self.assertEqual(digests(folder, *KEPT), expected, f"after {done} kills")
            shutil.rmtree(folder)
        self.assertGreater(in_training, kills // 10)
        print(f"{done} kills, {in_training} of them left saved state; undisturbed {undisturbed:.1f} s")

    def check_loss(self, folder):
        """At most one interval (two updates) and the update in work are lost."""
        saved = generations(folder)
        for log in folder.glob("logs/*.jsonl"):
            task = log.stem
            if (folder / "experts" / f"{task}.h5").exists():
                continue
            lines = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
            last = max((line["step"] for line in lines if "loss" in line), default=0)
            # A save waits until the one before it is durable, so two intervals with one on the way.
            self.assertGreaterEqual(saved.get(task, 0), last - 4, f"{task} in {folder}")


if __name__ == "__main__":
    run_tests()
