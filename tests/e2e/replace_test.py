"""`train --replace`: done once, whatever ends the command on its way; refused as a whole or not at all.

What a replacement must give is what a run of the new settings in an empty folder gives, byte for byte.
"""

import shutil
import signal
import unittest

from support import digests, find_built, read_json, run, run_ok, run_tests, toy_data, train, workspace, write_config

EXPERTS, BUFFERS, REPLACED = "experts/*.h5", "buffers/*.h5", "*/replaced/*.h5"
SMALL = {"train__num_train_epochs": "1", "train__train_batch_size": "8", "train__micro_batch_size": "3",
         "data__max_train_samples": "14", "train__save_seconds": "0"}
OTHER = {**SMALL, "train__learning_rate": "1e-2"}
STOPPED = 75


def everything(folder):
    """All files of a run but the word on how it ended."""
    return {name: value for name, value in digests(folder, "**/*.*").items() if name not in ("status.json", "failure.json")}


class Replace(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.old = train("replace-old", **SMALL)
        cls.old_experts = digests(cls.old, EXPERTS)
        cls.expected = digests(train("replace-new", **OTHER), EXPERTS, BUFFERS)
        assert not set(cls.expected.values()) & set(cls.old_experts.values())

    def copy(self, name, settings=None):
        """A copy of the finished run, and a config of other settings for it."""
        folder = workspace() / name
        shutil.copytree(self.old, folder)
        return folder, write_config(name, **(settings or OTHER))

    def check_replaced_once(self, folder):
        self.assertEqual(digests(folder, EXPERTS, BUFFERS), self.expected)
        kept = digests(folder, REPLACED)
        self.assertEqual(sorted(kept), [f"experts/replaced/{name[8:-3]}.1.h5" for name in sorted(self.old_experts)])
        self.assertEqual(sorted(kept.values()), sorted(self.old_experts.values()))
        entries = read_json(folder / "run.json")["replaced"]
        self.assertEqual([entry["task"] for entry in entries], ["loud", "count", "last"])
        self.assertEqual(list(folder.glob("checkpoints/*/step-*")), [])
        self.assertEqual(read_json(folder / "status.json")["state"], "done")

    def check_nothing_to_do(self, folder, command):
        before = everything(folder)
        again = run_ok(*command)
        self.assertIn("nothing to do", again.text)
        self.assertEqual(everything(folder), before)

    def test_once_and_then_never_again(self):
        folder, config = self.copy("replace-all")
        command = ["train", "--config", config, "--replace", "all"]
        run_ok(*command, ranks=2)
        self.check_replaced_once(folder)
        self.check_nothing_to_do(folder, command)
        self.check_nothing_to_do(folder, ["train", "--config", config])

    def test_a_refused_replacement_moves_nothing(self):
        folder, config = self.copy("replace-refused")
        before = everything(folder)
        cases = {"one of three, all differ": (["count"], 2, ("learning_rate", "loud", "last", "--replace all")),
                 "no such task": (["cuont"], 2, ("count",))}
        for case, (names, code, words) in cases.items():
            with self.subTest(case):
                result = run("train", "--config", config, *[part for name in names for part in ("--replace", name)])
                self.assertEqual(result.code, code, result.text[-2000:])
                for word in words:
                    self.assertIn(word, result.text)
                self.assertEqual(everything(folder), before)
        rows = toy_data("replace-broken-data") / "last.json"
        rows.write_text(rows.read_text()[:-20])
        broken = write_config("replace-refused", **{**OTHER, "data__dataset_dir": str(rows.parent)})
        result = run("train", "--config", broken, "--replace", "all", ranks=2)
        self.assertEqual(read_json(folder / "status.json")["exit_code"], 3, result.text[-2000:])
        self.assertEqual(everything(folder), before)
        run_ok("ask", "--run", folder, "loudly loudly loudly loudly cat dog bird")

    def go_on_until_done(self, command, ranks, fault):
        """The same command again and again, each call stopped or killed on its way."""
        for call in range(1, 60):
            result = run(*command, ranks=ranks, env={"BATON_FAULT": fault})
            if result.code == 0:
                return call
        self.fail(result.text[-2000:])

    def test_stops_and_kills_on_the_way(self):
        """At one rank and at two; every call makes a few updates and is then stopped or killed."""
        for ranks, kind in ((0, "signal"), (2, "signal"), (0, "kill"), (2, "kill")):
            with self.subTest(ranks=ranks, kind=kind):
                folder, config = self.copy(f"replace-{kind}-{ranks}", {**OTHER, "train__save_steps": "1"})
                command = ["train", "--config", config, "--replace", "all", "--set", "cluster.groups=1"]
                fault = f"rank={max(0, ranks - 1)},kind={kind},calls={4 if ranks else 8};rank=0,kind=pause,seconds=0.05"
                self.assertGreater(self.go_on_until_done(command, ranks, fault), 2)
                self.check_replaced_once(folder)
                self.check_nothing_to_do(folder, command)

    def test_a_kill_at_each_rename_on_the_way(self):
        """run.json, each file moved, run.json again: the folder is never between the old and the new for good."""
        for nth in range(1, 9):
            with self.subTest(rename=nth):
                folder, config = self.copy(f"replace-rename-{nth}")
                command = ["train", "--config", config, "--replace", "all"]
                killed = run(*command, env={
                    "LD_PRELOAD": str(find_built("BATON_IO_FAULT", "tests/libio_fault.so")), "IO_FAULT_PREFIX": str(folder),
                    "IO_FAULT_CALL": "rename", "IO_FAULT_NTH": str(nth), "IO_FAULT_KILL": "1"})
                self.assertEqual(killed.code, -signal.SIGKILL, killed.text[-2000:])
                run_ok(*command)
                self.check_replaced_once(folder)
                self.check_nothing_to_do(folder, command)
                shutil.rmtree(folder)

    def test_there_and_back(self):
        """Other settings are another replacement; each old expert is kept."""
        folder, config = self.copy("replace-back")
        run_ok("train", "--config", config, "--replace", "all")
        back = write_config("replace-back", **SMALL)
        run_ok("train", "--config", back, "--replace", "all")
        self.assertEqual(digests(folder, EXPERTS), self.old_experts)
        self.assertEqual(len(digests(folder, REPLACED)), 6)

    def test_one_expert_with_the_settings_it_has(self):
        folder, config = self.copy("replace-same", SMALL)
        command = ["train", "--config", config, "--replace", "count"]
        before = everything(folder)
        run_ok(*command)
        self.assertEqual(digests(folder, EXPERTS), self.old_experts)
        self.assertEqual(list(digests(folder, REPLACED)), ["experts/replaced/02-count.1.h5"])
        self.check_nothing_to_do(folder, command)
        self.assertLess(set(before), set(everything(folder)))

    def test_a_damaged_expert(self):
        folder, config = self.copy("replace-damaged", SMALL)
        path = folder / "experts/02-count.h5"
        command = ["train", "--config", config, "--replace", "count"]
        for number in (1, 2):  # the second time although the entry of the first is there
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.write_bytes(content)
            self.assertEqual(run("train", "--config", config).code, 4)
            run_ok(*command)
            self.assertEqual(digests(folder, EXPERTS), self.old_experts)
            self.assertEqual(len(digests(folder, REPLACED)), number)
        self.check_nothing_to_do(folder, command)

    def test_training_begun_with_other_settings(self):
        """Nothing is finished yet: what was begun is dropped, and only once."""
        config = write_config("replace-begun", **SMALL)
        run("train", "--config", config, env={"BATON_FAULT": "kind=signal,calls=3"})
        other = write_config("replace-begun", **OTHER)
        self.assertEqual(run("train", "--config", other).code, 2)
        command = ["train", "--config", other, "--replace", "all"]
        stopped = run(*command, env={"BATON_FAULT": "kind=signal,calls=5"})
        self.assertEqual(stopped.code, STOPPED, stopped.text[-2000:])
        self.assertIn("goes on after update", run_ok(*command).text)
        folder = workspace() / "replace-begun"
        self.assertEqual(digests(folder, EXPERTS, BUFFERS), self.expected)
        self.check_nothing_to_do(folder, command)

    def test_other_rows_of_a_task(self):
        """Its buffer is another one too, and with it every later expert."""
        data = toy_data("replace-rows")
        settings = {**SMALL, "data__dataset_dir": str(data)}
        rows = data / "loud.train.json"
        lines = rows.read_text().splitlines()
        rows.write_text("\n".join(lines[1:]) + "\n")
        expected = digests(train("replace-rows-new", **settings), EXPERTS, BUFFERS)
        folder, config = self.copy("replace-rows-run", settings)
        before = everything(folder)
        for names, named in (([], "loud"), (["loud"], "count"), (["loud", "last"], "count")):
            result = run("train", "--config", config, *[part for name in names for part in ("--replace", name)])
            self.assertEqual(result.code, 2, result.text[-2000:])
            self.assertIn(named, result.text)
            self.assertIn("--replace", result.text)
            self.assertEqual(everything(folder), before)
        run_ok("train", "--config", config, "--replace", "all")
        self.assertEqual(digests(folder, EXPERTS, BUFFERS), expected)
        self.assertIn("buffers/replaced/01-loud.1.h5", digests(folder, REPLACED))
        self.check_nothing_to_do(folder, ["train", "--config", config, "--replace", "all"])


if __name__ == "__main__":
    run_tests()
