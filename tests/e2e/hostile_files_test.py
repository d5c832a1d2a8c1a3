"""Files that somebody else made: whole by their checksums, and not to be used. Every command that reads an expert says
the same of it: exit code 4, the file and the fact, on stderr."""

import json
import shutil
import subprocess
import unittest

import h5py

from support import (digest, find_built, read_json, run, run_ok, run_tests, tiny_model, train, workspace,
                     write_config)

MODEL = 4
# What checkpoint_probe does to an expert, and what the error must name.
SPOILT = {
    "task_other": "task", "task_bytes": "task", "lora_rank": "adapter/", "lora_alpha_nan": "lora_alpha",
    "lora_alpha_0": "lora_alpha", "lora_alpha_large": "lora_alpha", "lora_activation": "lora_activation",
    "accept_token_id": "accept_token_id", "pass_token_id": "pass_token_id", "equal_tokens": "pass_token_id",
    "threshold_nan": "accept_threshold", "threshold_infinite": "accept_threshold", "no_arrays": "adapter",
    "nan_factor": "adapter/", "shape": "adapter/",
}
LONE_FILE_IS_WELL = {"task_other", "accept_token_id", "shape"}  # only a run or a base tells


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.good = train("good", tasks="loud, count")
        cls.probe = find_built("BATON_PROBE", "tests/checkpoint_probe")

    def copy(self, name):
        folder = workspace() / name
        shutil.copytree(self.good, folder)
        return folder

    def recorded(self, folder, relative):
        """run.json says what is on disk, as whoever changed the file would see to."""
        record = read_json(folder / "run.json")
        record["files"][relative]["sha256"] = digest(folder / relative)
        (folder / "run.json").write_text(json.dumps(record))

    def refused(self, words, *arguments):
        result = run(*arguments)
        self.assertEqual(result.code, MODEL, result.log + "\n" + result.text[-3000:])
        for word in words:
            self.assertIn(word, result.err, result.log)
        self.assertNotIn("assert", result.err)
        return result

    def refused_everywhere(self, folder, words, everywhere=True):
        """By every command; not `everywhere`: by one of those that share their way of reading."""
        self.refused(words, "ask", "--run", folder, "loud cat")
        self.refused(words, "export", "--run", folder, "--expert", "loud", "--out", folder / "export")
        self.assertFalse((folder / "export").exists())
        table = self.refused(words, "inspect", folder)
        self.assertIn("damaged", table.out)
        self.assertNotIn("expected", table.out)
        if everywhere:
            self.refused(words, "eval", "--run", folder)
            facts = json.loads(self.refused(words, "inspect", folder, "--json").out)
            self.assertEqual(facts["experts"][0]["condition"], "damaged")

    def test_facts_that_cannot_be_used(self):
        for fact, item in SPOILT.items():
            with self.subTest(fact=fact):
                folder = self.copy(fact)
                relative = "experts/01-loud.h5"
                subprocess.run([self.probe, "spoil", self.good / relative, folder / relative, fact], check=True)
                self.recorded(folder, relative)
                self.refused_everywhere(folder, ["01-loud.h5, " + item], fact in ("threshold_nan", "shape"))
                lone = run("inspect", folder / relative)
                self.assertEqual(lone.code, 0 if fact in LONE_FILE_IS_WELL else MODEL, lone.text)

    def test_links_lead_nowhere(self):
        """The group of an expert's factors is in another file, or elsewhere in this one."""
        relative = "experts/01-loud.h5"
        for kind in ("external", "soft", "beside"):
            with self.subTest(kind=kind):
                folder = self.copy(kind)
                with h5py.File(folder / relative, "r+", libver=("v110", "v110")) as file:
                    if kind == "external":
                        del file["adapter"]
                        file["adapter"] = h5py.ExternalLink(str(self.good / relative), "/adapter")
                    elif kind == "soft":
                        file.move("adapter", "moved")
                        file["adapter"] = h5py.SoftLink("/moved")
                    else:
                        file["beside"] = h5py.SoftLink("/adapter")
                self.recorded(folder, relative)
                self.refused_everywhere(folder, ["01-loud.h5", "external link" if kind == "external" else "soft link"])

    def test_links_in_buffers_and_training_state(self):
        folder = self.copy("links")
        relative = "buffers/01-loud.h5"
        with h5py.File(folder / relative, "r+") as file:
            file.move("rows", "kept")
            file["rows"] = h5py.SoftLink("/kept")
        self.recorded(folder, relative)
        self.refused(["01-loud.h5", "soft link"], "inspect", folder)
        self.refused(["01-loud.h5", "soft link"], "inspect", folder / relative)

    def test_buffer_of_another_task(self):
        folder = self.copy("swapped")
        shutil.copy(folder / "buffers/02-count.h5", folder / "buffers/01-loud.h5")
        self.recorded(folder, "buffers/01-loud.h5")
        words = ["01-loud.h5, attribute task", '"loud"', '"count"']
        self.refused(words, "inspect", folder)
        self.refused(words, "train", "--config", write_config("swapped", tasks="loud, count, last"))


class Inspect(unittest.TestCase):
    def test_errors_are_on_stderr(self):
        folder = train("inspected", tasks="loud, count")
        path = folder / "experts/01-loud.h5"
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 4
        path.write_bytes(data)
        for target in (path, folder):
            result = run("inspect", target)
            self.assertEqual(result.code, MODEL)
            self.assertIn("damaged", result.out)
            self.assertNotIn("what to do", result.out)
            if target == path:
                self.assertIn("what to do", result.err)
                self.assertIn("01-loud.h5", result.err)
        text = json.loads(run("inspect", path, "--json").out)
        self.assertEqual(text["condition"], "damaged")
        self.assertIn("01-loud.h5", text["error"])


class Folder(unittest.TestCase):
    """Model folders as a newcomer brings them."""

    def model(self, name):
        folder = workspace() / name
        shutil.copytree(tiny_model(), folder)
        return folder

    def refused(self, folder, *words):
        result = run("ask", "--model", folder, "cat")
        self.assertEqual(result.code, MODEL, result.text)
        for word in words:
            self.assertIn(word, result.err)

    def test_git_lfs_pointers(self):
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 269060552\n"
        for file in ("model.safetensors", "tokenizer.json", "config.json"):
            folder = self.model("pointer-" + file)
            (folder / file).write_text(pointer)
            self.refused(folder, "Git LFS pointer", file, "git lfs pull")

    def test_tokenizer_model_alone(self):
        folder = self.model("sentencepiece")
        (folder / "tokenizer.json").rename(folder / "tokenizer.model")
        self.refused(folder, "no tokenizer.json", "tokenizer.model only", "AutoTokenizer")

    def test_fewer_layers_than_the_weights_hold(self):
        folder = self.model("fewer-layers")
        config = read_json(folder / "config.json")
        config["num_hidden_layers"] -= 1
        (folder / "config.json").write_text(json.dumps(config))
        result = run_ok("ask", "--model", folder, "cat")
        self.assertRegex(result.err, r"warning: .*9 of the model's \d+ tensors are not used: model\.layers\.")
        self.assertNotIn("not used", run_ok("ask", "--model", tiny_model(), "cat").err)


if __name__ == "__main__":
    run_tests()
