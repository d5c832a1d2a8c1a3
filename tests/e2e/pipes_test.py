"""A named pipe in the place of an input file is refused at once; one where stdin is meant is read."""

import os
import shutil
import subprocess
import unittest

from support import find_binary, run, run_ok, run_tests, tiny_model, toy_data, train, workspace, write_config


class Pipes(unittest.TestCase):
    def refuse(self, path, *arguments):
        """`path` becomes a pipe that nobody writes to, for one command."""
        kept = path.with_name(path.name + ".kept")
        path.rename(kept)
        os.mkfifo(path)
        try:
            result = run(*arguments, timeout=20)
        except subprocess.TimeoutExpired:
            self.fail(f"{path.name}: the program waits for somebody to write into it")
        finally:
            path.unlink()
            kept.rename(path)
        self.assertIn(result.code, (2, 3, 4, 5), f"{path.name}: {result.text[-2000:]}")
        self.assertIn(str(path), result.text)
        self.assertRegex(result.text, "regular file", path.name)
        return result

    def test_files_of_a_training(self):
        model, data = workspace() / "model-copy", workspace() / "data-copy"
        shutil.copytree(tiny_model(), model)
        shutil.copytree(toy_data(), data)
        config = write_config("piped", model__model_name_or_path=str(model), data__dataset_dir=str(data))
        for path in (config, data / "dataset_info.json", data / "loud.train.json", data / "count_train.json",
                     model / "config.json", model / "tokenizer.json", model / "model.safetensors"):
            with self.subTest(file=path.name):
                self.refuse(path, "train", "--config", config)

    def test_files_of_a_run(self):
        folder = train("whole")
        for path in (folder / "run.json", folder / "experts/02-count.h5"):
            with self.subTest(file=path.name):
                self.refuse(path, "ask", "--run", folder, "two cats")
        self.refuse(folder / "buffers/01-loud.h5", "train", "--config", write_config("whole", tasks="loud, count, last, back"))
        self.refuse(folder / "experts/01-loud.h5", "inspect", folder / "experts/01-loud.h5")
        self.refuse(folder / "experts/01-loud.h5", "export", "--run", folder, "--expert", "loud", "--out", folder / "out")

    def test_stdin_may_be_a_pipe(self):
        words = run_ok("tokenize", "--model", tiny_model(), stdin="two cats\n")
        self.assertTrue(words.out.startswith("["))
        pipe = workspace() / "prompt"
        os.mkfifo(pipe)
        writer = subprocess.Popen(["sh", "-c", f"echo two cats >'{pipe}'"])
        with open(pipe) as stdin:
            asked = subprocess.run([find_binary(), "ask", "--model", tiny_model()], stdin=stdin, capture_output=True,
                                   text=True, timeout=60)
        writer.wait()
        self.assertEqual(asked.returncode, 0, asked.stderr)


if __name__ == "__main__":
    run_tests()
