"""Rows: leaks are counted among those that are used, every prompt is cut by one rule, what does not fit is left out
and said, files of all kinds are shown without harm, and a rank holds the rows of one expert."""

import json
import os
import pathlib
import shutil
import sys
import unittest

from support import (SOURCE, find_binary, read_json, run, run_ok, run_tests, tiny_model, toy_data,
                     workspace, write_config)

sys.path.insert(0, str(SOURCE / "bench"))
import many_tasks  # noqa: E402

USAGE, DATA = 2, 3


def data_folder(name, **files):
    """Toy tasks with some files put in the place of others; "__" stands for a dot."""
    folder = workspace() / name
    shutil.copytree(toy_data(), folder)
    for file, content in files.items():
        (folder / file.replace("__", ".")).write_text(content)
    return folder


def ssr_lines(rows, prefix):
    return "".join(json.dumps({"id": f"{prefix}-{i}", "full_prompt": prompt, "output": answer}) + "\n"
                   for i, (prompt, answer) in enumerate(rows))


class Leaks(unittest.TestCase):
    def check(self, name, num_train, num_eval, expected):
        rows = [(f"loudly loudly cat dog {i}", "CAT") for i in range(20)]
        folder = data_folder(name, loud__train__json=ssr_lines(rows, "a"), loud__eval__json=ssr_lines(rows, "b"))
        config = write_config(name, tasks="loud", data__dataset_dir=str(folder), train__num_train_epochs="1",
                              data__max_train_samples=str(num_train), data__max_eval_samples=str(num_eval))
        words = f"task loud: {expected} of {num_eval or 20} eval prompts are also train prompts"
        self.assertIn(words, run_ok("train", "--config", config).text)
        self.assertIn(words, run_ok("eval", "--run", workspace() / name, ranks=2).text)
        self.assertEqual(read_json(workspace() / name / "eval" / "results.json")["eval_prompts_in_train"],
                         {"loud": expected})

    def test_all_rows(self):
        self.check("leak-all", 0, 0, 20)

    def test_rows_within_the_limits(self):
        self.check("leak-limits", 12, 15, 12)

    def test_none(self):
        config = write_config("leak-none", tasks="loud", train__num_train_epochs="1")
        self.assertNotIn("eval prompts", run_ok("train", "--config", config).text)
        self.assertNotIn("eval prompts", run_ok("eval", "--run", workspace() / "leak-none").text)
        self.assertEqual(read_json(workspace() / "leak-none" / "eval" / "results.json")["eval_prompts_in_train"],
                         {"loud": 0})


class Lengths(unittest.TestCase):
    def test_more_than_the_models_positions_is_refused(self):
        for command in (["train"], ["plan", "--ranks", "1"]):
            config = write_config("long", tasks="loud", data__cutoff_len="2042", data__max_new_tokens="6")
            result = run(*command, "--config", config)
            self.assertEqual(result.code, USAGE, result.text)
            for word in ("data.cutoff_len", "max_position_embeddings", "2048", "2041 or less"):
                self.assertIn(word, result.text)
        run_ok("plan", "--ranks", "1", "--config",
               write_config("long", tasks="loud", data__cutoff_len="2041", data__max_new_tokens="6"))

    def test_an_answer_that_does_not_fit_is_left_out_and_counted(self):
        rows = [(f"loudly loudly cat {i}", "CAT") for i in range(8)]
        rows.insert(3, ("loudly loudly dog", "DOG " * 500_000))
        folder = data_folder("answer", loud__train__json=ssr_lines(rows, "a"))
        config = write_config("answer", tasks="loud, count", data__dataset_dir=str(folder), data__general="",
                              train__num_train_epochs="1")
        result = run_ok("train", "--config", config)
        self.assertRegex(result.text, r"loud: 1 rows are left out.*loud\.train\.json line 4")
        self.assertTrue(any("1 rows are left out" in warning
                            for warning in read_json(workspace() / "answer" / "run.json")["warnings"]))
        facts = json.loads(run_ok("inspect", "--json", workspace() / "answer" / "experts" / "01-loud.h5").out)
        self.assertIn('"num_positive": 8', json.dumps(facts))

    def test_a_task_of_which_no_row_fits_fails_alone(self):
        folder = data_folder("none-fits", count_train__json=json.dumps(
            [{"instruction": f"many many cat {i}", "output": "dog " * 400} for i in range(5)]))
        config = write_config("none-fits", tasks="loud, count, last", data__dataset_dir=str(folder),
                              data__general="", train__num_train_epochs="1")
        result = run("train", "--config", config)
        self.assertEqual(result.code, DATA, result.text[-2000:])
        self.assertIn("task count", result.text)
        self.assertIn("5 longer ones", result.text)
        experts = sorted(path.name for path in (workspace() / "none-fits" / "experts").glob("*.h5"))
        self.assertEqual(experts, ["01-loud.h5", "03-last.h5"])


class Files(unittest.TestCase):
    def test_rows_outside_the_dataset_folder(self):
        folder = data_folder("outside")
        elsewhere = workspace() / "elsewhere"
        elsewhere.mkdir()
        os.rename(folder / "loud.train.json", elsewhere / "rows.json")
        info = read_json(folder / "dataset_info.json")
        for name in ("../elsewhere/rows.json", str(elsewhere / "rows.json")):
            info["loud"]["train_file"] = name
            (folder / "dataset_info.json").write_text(json.dumps(info))
            run_ok("plan", "--ranks", "1", "--config",
                   write_config("outside", tasks="loud", data__dataset_dir=str(folder)))

    def test_a_git_lfs_pointer(self):
        pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12345\n"
        folder = data_folder("lfs", loud__train__json=pointer)
        result = run("train", "--config", write_config("lfs", tasks="loud", data__dataset_dir=str(folder)))
        self.assertEqual(result.code, DATA, result.text)
        self.assertIn("git lfs pull", result.text)

    def test_no_file_speaks_to_the_terminal(self):
        hostile = "\x1b]0;owned\x07\x1b[2J\u009b31m\u202e"
        row = json.dumps({hostile: "x", "output": "CAT"})
        info = json.dumps({"loud": {"formatting": hostile, "train_file": "loud.train.json"}})
        for name, files in (("row", {"loud__train__json": row + "\n"}), ("info", {"dataset_info__json": info})):
            folder = data_folder(f"hostile-{name}", **files)
            result = run("train", "--config",
                         write_config("hostile", tasks="loud", data__dataset_dir=str(folder), data__general=""))
            self.assertEqual(result.code, DATA, result.text)
            self.assertNotRegex(result.text, "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")
            self.assertIn(r"\x1B]0;owned\x07\x1B[2J\x9B31m\u{202E}", result.text)


class ManyTasks(unittest.TestCase):
    """Eighty tasks against twenty: what a rank holds when its first expert trains must not grow with their rows."""

    def start(self, num_tasks, ranks):
        folder = workspace() / f"many-{num_tasks}"
        if not folder.exists():
            folder.mkdir()
            os.symlink(tiny_model(), folder / "model")
            many_tasks.write_data(folder / "data", num_tasks, 400, 30)
        return many_tasks.measure(pathlib.Path(find_binary()), folder, num_tasks, ranks, 120)

    def test_memory_does_not_grow_with_the_tasks(self):
        for ranks in (1, 2):
            few, many = self.start(20, ranks), self.start(80, ranks)
            self.assertEqual(len(many.memory), ranks)
            self.assertLess(max(many.memory) - max(few.memory), 60, f"MiB a rank: {few.memory}, {many.memory}")


if __name__ == "__main__":
    run_tests()
