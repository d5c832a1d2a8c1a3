"""What a failing expert, rank or update does to the rest of a run."""

import unittest

from support import digests, read_json, read_lines, run, run_ok, run_tests, train, workspace, write_config

EXPERTS = ("experts/*.h5",)


class Failures(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.whole = digests(train("whole"), *EXPERTS)

    def test_data_errors_are_not_retried_and_the_others_go_on(self):
        for ranks, groups in ((0, "auto"), (2, 1), (3, 2)):
            name = f"bad-data-{ranks}"
            config = write_config(name, cluster__groups=groups)
            fault = ";".join(f"rank={rank},kind=data,task=count,step=3" for rank in range(max(ranks, 1)))
            result = run("train", "--config", config, ranks=ranks, env={"BATON_FAULT": fault})
            status = read_json(workspace() / name / "status.json")
            self.assertEqual(status["exit_code"], 3, result.text[-3000:])
            self.assertEqual(status["state"], "failed")
            self.assertIn("missing: count", status["error"])
            self.assertNotIn("attempt 2", result.text)
            found = digests(workspace() / name, *EXPERTS)
            self.assertEqual(sorted(found), ["experts/01-loud.h5", "experts/03-last.h5"])
            run_ok("train", "--config", config, ranks=ranks)
            self.assertEqual(digests(workspace() / name, *EXPERTS), self.whole)

    def test_one_rank_of_a_group_fails(self):
        config = write_config("one-rank", cluster__groups=1)
        result = run("train", "--config", config, ranks=3,
                     env={"BATON_FAULT": "rank=2,kind=data,task=last,step=2"})
        status = read_json(workspace() / "one-rank/status.json")
        self.assertEqual(status["exit_code"], 3, result.text[-3000:])
        self.assertIn("rank 2", status["error"])
        self.assertEqual(len(digests(workspace() / "one-rank", *EXPERTS)), 2)

    def test_storage_and_communication_errors_are_tried_again(self):
        for kind in ("storage", "communication"):
            for ranks in (0, 2):
                name = f"again-{kind}-{ranks}"
                config = write_config(name, train__save_steps="1")
                fault = ";".join(f"rank={rank},kind={kind},task=count,step=4,attempt=2" for rank in range(max(ranks, 1)))
                result = run_ok("train", "--config", config, ranks=ranks, env={"BATON_FAULT": fault})
                self.assertIn("attempt 3", result.text)
                self.assertEqual(digests(workspace() / name, *EXPERTS), self.whole)

    def test_tries_end(self):
        config = write_config("ends")
        result = run("train", "--config", config, env={"BATON_FAULT": "kind=storage,task=count,step=2"})
        self.assertEqual(result.code, 5, result.text[-3000:])
        self.assertIn("attempt 3", result.text)
        self.assertEqual(len(digests(workspace() / "ends", *EXPERTS)), 2)

    def test_a_dedicated_coordinator(self):
        folder = train("dedicated", ranks=3, cluster__coordinator="dedicated")
        self.assertEqual(digests(folder, *EXPERTS), self.whole)
        run_ok("eval", "--run", folder, ranks=3)
        alone = run("train", "--config", write_config("dedicated-alone", cluster__coordinator="dedicated"))
        self.assertEqual(alone.code, 2)
        self.assertIn("dedicated", alone.text)


class Variable(unittest.TestCase):
    def test_a_run_with_faults_says_so(self):
        config = write_config("said", tasks="loud", train__num_train_epochs="1")
        self.assertNotIn("BATON_FAULT", run_ok("train", "--config", config).text)
        for ranks in (0, 2):  # also where the fault is not rank 0's, or never comes
            config = write_config(f"said-{ranks}", tasks="loud", train__num_train_epochs="1")
            result = run_ok("train", "--config", config, ranks=ranks, env={"BATON_FAULT": "rank=1,kind=nan,step=900"})
            self.assertEqual(result.text.count("BATON_FAULT is set"), 1, result.text[-3000:])

    def test_what_is_not_known_is_refused(self):
        config = write_config("refused")
        for fault, word in (("kind=nap", "pause"), ("step=3", "kind"), ("kind=nan,stop=3", "step"), ("kind", "rank=R"),
                            ("kind=nan,step=soon", "soon"), ("kind=nan,step=-1", "-1"),
                            ("kind=kill,step=900;rank=5,kind=nap", "nap"), ("kind=pause,seconds=x", "x")):
            result = run("train", "--config", config, env={"BATON_FAULT": fault})
            self.assertEqual(result.code, 2, f"{fault}: {result.text[-2000:]}")
            self.assertIn("BATON_FAULT", result.text)
            self.assertIn(word, result.text)
        self.assertFalse((workspace() / "refused").exists())


class NonFinite(unittest.TestCase):
    NAN = {"BATON_FAULT": "rank=2,kind=nan,task=loud,step=3"}

    def train(self, name, policy, ranks=4, env=None, **changes):
        config = write_config(name, tasks="loud", train__non_finite=policy, train__train_batch_size="8",
                              train__save_steps="2", cluster__groups="1", **changes)
        return run("train", "--config", config, ranks=ranks, env=self.NAN if env is None else env)

    def test_stop(self):
        result = self.train("nan-stop", "stop")
        status = read_json(workspace() / "nan-stop/status.json")
        self.assertEqual(status["exit_code"], 7, result.text[-3000:])
        for word in ("not finite", "rows", "update 3"):
            self.assertIn(word, status["error"])
        self.assertEqual(digests(workspace() / "nan-stop", *EXPERTS), {})

    def test_skip_and_rollback(self):
        files = {}
        for policy, left_out in (("skip", [3, 3]), ("rollback", [3, 3])):
            result = self.train(f"nan-{policy}", policy)
            self.assertEqual(result.code, 0, result.text[-3000:])
            self.assertIn("left out", result.text)
            lines = read_lines(workspace() / f"nan-{policy}/logs/01-loud.jsonl")
            found = [line for line in lines if "left_out" in line]
            self.assertEqual([line["left_out"] for line in found], [left_out])
            self.assertIn("rows", found[0]["why"])
            self.assertNotIn(3, [line["step"] for line in lines if "loss" in line])
            files[policy] = digests(workspace() / f"nan-{policy}", *EXPERTS)
        plain = self.train("nan-none", "skip", env={})
        self.assertEqual(plain.code, 0, plain.text[-3000:])
        self.assertNotEqual(digests(workspace() / "nan-none", *EXPERTS), files["skip"])

    def test_rollback_leaves_out_what_followed_the_save(self):
        result = self.train("nan-back", "rollback", env={"BATON_FAULT": "rank=1,kind=nan,task=loud,step=4"})
        self.assertEqual(result.code, 0, result.text[-3000:])
        lines = read_lines(workspace() / "nan-back/logs/01-loud.jsonl")
        self.assertEqual([line["left_out"] for line in lines if "left_out" in line], [[3, 4]])

    def test_rollback_needs_saves(self):
        result = run("train", "--config", write_config("nan-no-saves", train__non_finite="rollback"))
        self.assertEqual(result.code, 2)
        self.assertIn("save_steps", result.text)


if __name__ == "__main__":
    run_tests()
