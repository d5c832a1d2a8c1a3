"""Training again does only what is missing; what differs is refused and named."""

import unittest

from support import digests, read_json, read_lines, run, run_ok, run_tests, train, workspace, write_config

ALL = ("experts/*.h5", "buffers/*.h5", "logs/*.jsonl")


class Rerun(unittest.TestCase):
    def test_second_run_does_nothing(self):
        folder = train("again")
        before = digests(folder, *ALL)
        times = {file: file.stat().st_mtime_ns for file in folder.glob("experts/*.h5")}
        self.assertEqual(len(times), 3)
        run_ok("train", "--config", workspace() / "again.cfg", ranks=2)
        self.assertEqual(digests(folder, *ALL), before)
        for file, time in times.items():
            self.assertEqual(file.stat().st_mtime_ns, time)

    def test_added_task_trains_only_the_new_expert(self):
        whole = train("whole", tasks="loud, count, last, back")
        folder = train("grown", tasks="loud, count, last")
        before = digests(folder, *ALL)
        # Earlier tasks are known by their buffers alone: their training files may be gone.
        data = workspace() / "data"
        hidden = data / "loud.train.json"
        text = hidden.read_text()
        config = write_config("grown", tasks="loud, count, last, back")
        hidden.unlink()
        try:
            result = run("train", "--config", config, ranks=2)
        finally:
            hidden.write_text(text)
        self.assertEqual(result.code, 0, result.text[-3000:])
        after = digests(folder, *ALL)
        for name, value in before.items():
            self.assertEqual(after[name], value, name)
        self.assertEqual(digests(folder, "experts/*.h5"), digests(whole, "experts/*.h5"))
        self.assertEqual(digests(folder, "buffers/*.h5"), digests(whole, "buffers/*.h5"))

    def test_other_setting_is_refused_and_named(self):
        folder = train("changed", tasks="loud, count")
        before = digests(folder, *ALL)
        config = write_config("changed", tasks="loud, count", train__learning_rate="1e-2")
        result = run("train", "--config", config)
        self.assertEqual(result.code, 2, result.text[-3000:])
        self.assertIn("learning_rate", result.text)
        self.assertEqual(digests(folder, *ALL), before)

    def test_replace_moves_the_old_expert_aside(self):
        folder = train("replaced", tasks="loud, count")
        before = digests(folder, "experts/*.h5")
        run_ok("train", "--config", workspace() / "replaced.cfg", "--replace", "count")
        self.assertEqual(digests(folder, "experts/*.h5"), before)
        kept = [file for file in folder.rglob("*count*.h5*") if file.parent.name != "buffers"]
        self.assertGreaterEqual(len(kept), 2, kept)

    def test_losses_fall_and_lines_are_logged(self):
        folder = train("logged", tasks="loud")
        lines = read_lines(next(iter(folder.glob("logs/*.jsonl"))))
        losses = [line["loss"] for line in lines if "loss" in line]
        self.assertGreater(len(losses), 8)
        self.assertLess(sum(losses[-3:]) / 3, 0.85 * sum(losses[:3]) / 3)

    def test_run_record(self):
        folder = train("recorded", tasks="loud, count")
        record, status = read_json(folder / "run.json"), read_json(folder / "status.json")
        text = str(record)
        for name, value in digests(folder, "experts/*.h5", "buffers/*.h5").items():
            self.assertIn(value, text, name)
        self.assertTrue(status)


if __name__ == "__main__":
    run_tests()
