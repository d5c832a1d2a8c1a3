"""launch/run.sh: restarts after lost ranks, no restarts where they cannot help, stops that are asked for."""

import os
import random
import re
import shutil
import signal
import subprocess
import time
import unittest

from processes import catches, is_training, ranks_of, wait_for, wait_for_training
from support import (SOURCE, digests, find_binary, glob_live, read_json, run_ok, run_tests, toy_data, train, workspace,
                     write_config)

KEPT = ("experts/*.h5", "buffers/*.h5")
LONG = {"train__num_train_epochs": "50", "train__save_steps": "40"}  # some seconds of training: time to disturb it


def environment(**changes):
    base = {key: value for key, value in os.environ.items() if not key.startswith(("OMPI_MCA", "SLURM_"))}
    base.update(BATON=str(find_binary()), OMP_WAIT_POLICY="passive")
    return base | {key: str(value) for key, value in changes.items()}


def start(*arguments, **variables):
    return subprocess.Popen([str(SOURCE / "launch" / "run.sh"), *map(str, arguments)], cwd=workspace(),
                            env=environment(**variables), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            stdin=subprocess.DEVNULL)


def finish(process, timeout=240):
    text, _ = process.communicate(timeout=timeout)
    return process.returncode, text


def supervise(*arguments, **variables):
    return finish(start(*arguments, **variables))


def program(name, text):
    """A stand-in for baton: a shell script that the launcher starts; $n is the number of this start, from 1."""
    path = workspace() / name
    path.write_text("#!/bin/bash\n" + f'echo x >>"{path}.starts"; n=$(wc -l <"{path}.starts")\n' + text)
    path.chmod(0o755)
    return path


def starts(path):
    file = path.with_name(path.name + ".starts")
    return len(file.read_text().splitlines()) if file.exists() else 0


STATUS = """
note() {  # note STATE EXIT_CODE
  mkdir -p run-$NAME
  printf '{\\n  "state": "%s",\\n  "exit_code": %d,\\n  "error": "a \\\\"quoted\\\\" row %s"\\n}\\n' \\
    "$1" "$2" "$n" >run-$NAME/status.json
}
"""


def stand_in_srun():
    """A launcher that starts one process at once: `srun` for a PATH of its own."""
    folder = workspace() / "bin"
    folder.mkdir(exist_ok=True)
    (folder / "srun").write_text('#!/bin/bash\nwhile [[ $1 == --* ]]; do shift; done\nexec "$@"\n')
    (folder / "srun").chmod(0o755)
    return {"LAUNCHER": "srun", "PATH": f"{folder}:{os.environ['PATH']}"}


class Verdicts(unittest.TestCase):
    """What is done after each way in which a world can end; stand-ins write the notes that the program would."""

    def check(self, name, script, code, num_starts, max_restarts=1, **variables):
        fake = program(f"fake-{name}", STATUS + script)
        settings = {"RANKS": 1, "MAX_RESTARTS": max_restarts} | (variables or stand_in_srun())
        got, text = supervise("eval", "--run", f"run-{name}", BATON=fake, NAME=name, **settings)
        self.assertEqual((got, starts(fake)), (code, num_starts), text)
        return text

    def test_done_counts_though_the_launcher_failed(self):
        self.check("done", "note done 0; exit 9", 0, 1, LAUNCHER="mpirun")

    def test_errors_that_a_restart_cannot_change(self):
        for code in (2, 3, 4, 5, 7, 70):
            text = self.check(f"failed-{code}", f"note failed {code}; kill -9 $$", code, 1)
            self.assertIn(f"exit code {code}", text)

    def test_errors_before_the_run_folder_is_opened(self):
        for code in (2, 3, 4):
            self.check(f"early-{code}", f"exit {code}", code, 1)

    def test_a_note_of_an_earlier_attempt_is_not_believed(self):
        folder = workspace() / "run-stale"
        folder.mkdir()
        (folder / "status.json").write_text('{\n  "state": "done",\n  "exit_code": 0\n}\n')
        self.check("stale", "kill -9 $$", 6, 2)

    def test_a_hang_is_restarted_and_then_handed_on(self):
        text = self.check("hang", "note failed 8; exit 8", 8, 2)
        self.assertIn('a \\"quoted\\" row', text)
        self.assertIn("giving up after 1 restart", text)

    def test_a_lost_rank_is_restarted(self):
        self.check("lost", "[ $n = 1 ] && { note running 0; kill -9 $$; }; note done 0", 0, 2, LAUNCHER="mpirun")

    def test_survivors_that_noted_a_stop_do_not_hide_a_lost_rank(self):
        lost = "[ $n = 1 ] && { note stopped 75; touch run-$NAME/run.lock; kill -9 $$; }"
        self.check("echo", lost + "; note done 0", 0, 2)

    def test_a_launcher_that_kills_a_world_that_has_left_does_not_hide_the_stop(self):
        self.check("left", "note stopped 75; kill -9 $$", 75, 1)

    def test_a_stop_from_elsewhere_is_handed_on(self):
        self.check("stopped", "note stopped 75; exit 75", 75, 1)

    def test_progress_starts_the_count_again(self):
        script = "mkdir -p run-$NAME/experts; [ $n -gt 3 ] || touch run-$NAME/experts/$n.h5; note running 0; kill -9 $$"
        text = self.check("progress", script, 6, 4)  # three that made progress, one restart that did not
        self.assertIn("giving up", text)

    def test_the_first_failure_wins(self):
        script = "note failed 6; cp run-$NAME/status.json run-$NAME/failure.json; sed -i s/6/3/ run-$NAME/failure.json"
        self.check("first", script + "; exit 1", 3, 1)

    def test_no_restarts_at_all(self):
        self.check("none", "note running 0; kill -9 $$", 6, 1, max_restarts=0)

    def test_stopping_while_it_waits_to_restart(self):
        fake = program("fake-waiting", STATUS + "note running 0; kill -9 $$")
        process = start("eval", "--run", "run-waiting", BATON=fake, NAME="waiting", MAX_RESTARTS=9,
                        **stand_in_srun())
        wait_for(lambda: starts(fake) >= 3, "three starts")
        process.send_signal(signal.SIGUSR1)
        code, text = finish(process, 30)
        self.assertIn(code, (6, 75), text)
        self.assertLessEqual(starts(fake), 4)

    def test_a_stop_at_the_very_start_is_not_lost(self):
        fake = program("fake-early-stop", STATUS + "trap 'note stopped 75; exit 75' USR1; sleep 1; trap >trap.txt;\n"
                       "for i in $(seq 100); do sleep 0.1; done; exit 1")
        process = start("eval", "--run", "run-early-stop", BATON=fake, NAME="early-stop", RANKS=1)
        wait_for(lambda: catches(process.pid, signal.SIGTERM), "the trap of run.sh")
        process.send_signal(signal.SIGTERM)
        code, text = finish(process, 30)
        self.assertEqual(code, 75, text)

    def test_second_signal_leaves_at_once(self):
        fake = program("fake-deaf", STATUS + "trap '' USR1 TERM; note running 0; for i in {1..300}; do sleep 0.1; done")
        process = start("eval", "--run", "run-deaf", BATON=fake, NAME="deaf", RANKS=1)
        # Its start is counted before it has closed its ears; its note comes after.
        wait_for(lambda: (workspace() / "run-deaf" / "status.json").exists(), "the note that it runs")
        process.send_signal(signal.SIGINT)
        time.sleep(1.5)
        self.assertIsNone(process.poll())
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        code, text = finish(process, 30)
        self.assertLess(time.monotonic() - began, 10)
        self.assertEqual((code, starts(fake)), (6, 1), text)

    def test_bad_settings(self):
        for name, value in (("MAX_RESTARTS", "many"), ("LAUNCHER", "rsh"), ("BATON", "/nowhere/baton"),
                            ("HOSTFILE", "/nowhere/hosts"), ("RANKS", "-3"), ("RANKS", "0"), ("RANKS", "x[$(id)]"),
                            ("RANKS_PER_HOST", "two"), ("THREADS", "-1")):
            code, text = supervise("eval", "--run", "run-bad", **{name: value})
            self.assertEqual(code, 2, text)
            self.assertIn(value, text)
            self.assertNotIn("restart", text)

    def test_numbers_of_ranks_with_zeros_in_front(self):
        self.check("zeros", "note done 0", 0, 1, LAUNCHER="mpirun", RANKS="01", THREADS="08")

    def test_a_config_named_like_an_assignment(self):
        """awk takes "a=b.cfg" for a variable and then waits for stdin."""
        fake = program("fake-named", STATUS + "note done 0")
        (workspace() / "a=b.cfg").write_text("[output]\noutput_dir = run-named\n")
        with subprocess.Popen(["sleep", "60"], stdout=subprocess.PIPE) as open_pipe:
            try:
                result = subprocess.run([str(SOURCE / "launch" / "run.sh"), "train", "--config", "a=b.cfg"],
                                        cwd=workspace(), env=environment(BATON=fake, NAME="named", RANKS=1),
                                        stdin=open_pipe.stdout, capture_output=True, text=True, timeout=30)
            finally:
                open_pipe.kill()
        self.assertEqual((result.returncode, starts(fake)), (0, 1), result.stderr)

    def test_help_lists_every_setting(self):
        code, text = supervise("--help")
        self.assertEqual(code, 0)
        for name in re.findall(r"^([A-Z_]+)=\$\{", (SOURCE / "launch" / "run.sh").read_text(), re.M):
            self.assertIn(name, text)


class JobArray(unittest.TestCase):
    """slurm/array.sbatch with the variables that Slurm sets, above a stand-in for launch/run.sh."""

    def submit(self, **variables):
        root = workspace() / "array"
        (root / "launch").mkdir(parents=True, exist_ok=True)
        (root / "launch" / "run.sh").write_text('#!/bin/bash\necho "run: $*"\n')
        (root / "launch" / "run.sh").chmod(0o755)
        (root / "a=b.cfg").write_text("[data]\ntasks = qa, sa, pe\n")
        settings = {"BATON_ROOT": root, "CONFIG": "a=b.cfg", "SLURM_ARRAY_TASK_ID": 0, "EVALUATE": 0} | variables
        result = subprocess.run(["bash", str(SOURCE / "slurm" / "array.sbatch")], env=environment(**settings), cwd=root,
                                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
        return result.returncode, result.stdout + result.stderr

    def test_each_index_has_its_seed_and_order(self):
        seen = set()
        for index in range(4):
            code, text = self.submit(SEEDS="7 8", ORDERS=2, SLURM_ARRAY_TASK_ID=index)
            self.assertEqual(code, 0, text)
            seen.add(re.search(r"train.seed=(\d) --set data.tasks=(\S+)", text).groups())
        self.assertEqual(seen, {(seed, tasks) for seed in "78" for tasks in ("qa,sa,pe", "sa,pe,qa")})

    def test_values_are_not_run(self):
        for name in ("ORDERS", "SEEDS", "SLURM_ARRAY_TASK_ID"):
            for value in ("x[$(touch${IFS}run-by-bash)]", "-1", "two", ""):
                if value or name == "SLURM_ARRAY_TASK_ID":
                    code, text = self.submit(**{name: value})
                    self.assertNotEqual(code, 0, text)
                    self.assertNotIn("run: ", text)
        self.assertFalse((workspace() / "array" / "run-by-bash").exists())

    def test_too_much_is_refused(self):
        for variables in ({"ORDERS": 0}, {"SLURM_ARRAY_TASK_ID": 3}, {"ORDERS": 4, "SLURM_ARRAY_TASK_ID": 3},
                          {"CONFIG": "nowhere.cfg"}):
            code, text = self.submit(**variables)
            self.assertEqual(code, 2, text)
            self.assertNotIn("run: ", text)


class Training(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.expected = digests(train("undisturbed", ranks=3, **LONG), *KEPT)

    def check_result(self, run):
        self.assertEqual(digests(run, *KEPT), self.expected)
        self.assertEqual(read_json(run / "status.json")["state"], "done")

    def test_a_rank_is_killed_twice(self):
        chance = random.Random(int(os.environ.get("BATON_TEST_SEED", "4")))
        config, run = write_config("killed", **LONG), workspace() / "killed"
        process = start("train", "--config", config, RANKS=3, THREADS=1)
        for _ in range(2):
            wait_for(lambda: is_training("killed", 3) or process.poll() is not None, "a training world")
            time.sleep(chance.random())
            victims = ranks_of("killed")
            if victims:
                os.kill(chance.choice(victims), signal.SIGKILL)
                wait_for(lambda: not set(victims) & set(ranks_of("killed")), "the end of the world")
        code, text = finish(process)
        self.assertEqual(code, 0, text[-4000:])
        self.assertIn("a rank was lost", text)
        self.check_result(run)

    def test_a_rank_that_hangs(self):
        config, run = write_config("hanging", cluster__timeout_seconds="8", **LONG), workspace() / "hanging"
        process = start("train", "--config", config, RANKS=3, THREADS=1)
        wait_for_training("hanging", 3)
        victim = ranks_of("hanging")[1]
        os.kill(victim, signal.SIGSTOP)
        try:
            code, text = finish(process)
        finally:
            if process.poll() is None:
                os.kill(victim, signal.SIGKILL)
        self.assertEqual(code, 0, text[-4000:])
        self.assertIn("the run hung", text)
        self.check_result(run)

    def test_evaluation_of_which_a_rank_is_killed(self):
        run = train("scored", data__max_new_tokens="12", data__dataset_dir=str(toy_data("data-long", num_eval=60)))
        run_ok("eval", "--run", run)
        expected = digests(run, "eval/results.json", "eval/predictions.jsonl")
        shutil.rmtree(run / "eval")
        process = start("eval", "--run", run, RANKS=2, THREADS=1)
        wait_for(lambda: glob_live(run, "eval/partial/*/chunk-*") or process.poll() is not None, "a finished chunk")
        os.kill(ranks_of("scored")[-1], signal.SIGKILL)
        code, text = finish(process)
        self.assertEqual(code, 0, text[-4000:])
        self.assertIn("a rank was lost", text)
        self.assertEqual(digests(run, "eval/results.json", "eval/predictions.jsonl"), expected)

    def test_a_rank_that_dies_at_each_start(self):
        config, run = write_config("dying", **LONG), workspace() / "dying"
        wrapper = program("dying.sh", f'[ "$OMPI_COMM_WORLD_RANK" = 1 ] && {{ sleep 0.5; kill -9 $$; }}\n'
                          f'exec "{find_binary()}" "$@"')
        code, text = supervise("train", "--config", config, BATON=wrapper, RANKS=2, MAX_RESTARTS=2)
        self.assertEqual(code, 6, text[-4000:])
        self.assertEqual(starts(wrapper), 2 * 3)  # two ranks, three worlds
        self.assertIn("giving up after 2 restarts", text)
        self.assertFalse(list(run.glob("experts/*.h5")))

    def test_usage_errors_are_tried_once(self):
        config = write_config("wrong", train__learning_rate="fast")
        code, text = supervise("train", "--config", config, RANKS=2)
        self.assertEqual(code, 2, text)
        self.assertNotIn("restart 1", text)
        self.assertIn("learning_rate", text)
        for arguments in (("train",), ("train", "--config", "nowhere.cfg"), ("eval", "--run", "nowhere")):
            code, text = supervise(*arguments, RANKS=2)
            self.assertNotIn(code, (0, 6), text)
            self.assertNotIn("restart 1", text)
        self.assertEqual(supervise("fly")[0], 2)

    def test_stop_and_go_on(self):
        for name, signal_number in (("term", signal.SIGTERM), ("usr1", signal.SIGUSR1)):
            config, run = write_config(name, **LONG), workspace() / name
            process = start("train", "--config", config, RANKS=3, THREADS=1)
            wait_for_training(name, 3)
            process.send_signal(signal_number)
            code, text = finish(process)
            self.assertEqual(code, 75, text[-4000:])
            self.assertEqual(read_json(run / "status.json")["state"], "stopped")
            self.assertEqual(ranks_of(name), [])
            code, text = supervise("train", "--config", config, RANKS=3, THREADS=1)
            self.assertEqual(code, 0, text[-4000:])
            self.check_result(run)

    def test_ctrl_c_at_a_terminal(self):
        config = write_config("ctrl-c", **LONG)
        process = subprocess.Popen([str(SOURCE / "launch" / "run.sh"), "train", "--config", str(config)],
                                   cwd=workspace(), env=environment(RANKS=3, THREADS=1), stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, start_new_session=True)
        wait_for_training("ctrl-c", 3)
        os.killpg(process.pid, signal.SIGINT)  # what a terminal does
        code, text = finish(process)
        self.assertEqual(code, 75, text[-4000:])

    def test_the_world_leaves_when_its_supervisor_is_killed(self):
        config, run = write_config("orphan", **LONG), workspace() / "orphan"
        process = start("train", "--config", config, RANKS=3, THREADS=1)
        wait_for_training("orphan", 3)
        process.kill()
        wait_for(lambda: not ranks_of("orphan"), "the end of the ranks")
        finish(process)
        self.assertEqual(read_json(run / "status.json")["state"], "stopped")


if __name__ == "__main__":
    run_tests()
