"""An expert is asked only with the tokenizer, template and settings it was trained with; what differs is named."""

import json
import shutil
import unittest

import h5py
from tokenizers import Tokenizer

from support import digests, read_json, run, run_ok, run_tests, tiny_model, train, workspace

USAGE, MODEL = 2, 4
TASKS = "loud, count"
ALL = ("ask", "eval", "export", "train")
PROMPT = "loudly loudly loudly loudly cat dog bird"


class Run(unittest.TestCase):
    """One run with a model folder of its own, which the cases change and put back."""

    @classmethod
    def setUpClass(cls):
        cls.model = workspace() / "model-identity"
        cls.kept = workspace() / "model-identity-kept"
        cls.folder, cls.config = workspace() / "identity", workspace() / "identity.cfg"
        if not cls.kept.exists():
            shutil.copytree(tiny_model(), cls.model)
            shutil.copytree(tiny_model(), cls.kept)
            train("identity", tasks=TASKS, model__model_name_or_path=str(cls.model))
        cls.answer = cls.ask().out
        cls.files = digests(cls.folder, "experts/*.h5", "buffers/*.h5")

    def tearDown(self):
        shutil.rmtree(self.model)
        shutil.copytree(self.kept, self.model)
        self.assertEqual(digests(self.folder, "experts/*.h5", "buffers/*.h5"), self.files)

    @classmethod
    def ask(cls):
        return run("ask", "--run", cls.folder, "--json", PROMPT)

    def commands(self, names):
        arguments = {"ask": ["--run", self.folder, "--json", PROMPT], "eval": ["--run", self.folder],
                     "export": ["--run", self.folder, "--expert", "loud", "--out", workspace() / "exported"],
                     "train": ["--config", self.config]}
        return {name: run(name, *arguments[name]) for name in names}

    def assert_refused(self, *facts, by=("ask", "train")):
        for name, result in self.commands(by).items():
            self.assertEqual(result.code, USAGE if name == "train" else MODEL, name + ": " + result.text[-2000:])
            for fact in facts:
                self.assertRegex(result.text, rf"(?m)^ +{fact}: expected .*, found ", name)

    def assert_accepted(self):
        results = self.commands(ALL)
        for name, result in results.items():
            self.assertEqual(result.code, 0, name + ": " + result.text[-2000:])
        self.assertEqual(results["ask"].out, self.answer)
        self.assertIn("nothing to do", results["train"].text)


class Template(Run):
    def test_another_system_message(self):
        path = self.model / "chat_template.jinja"
        path.write_text(path.read_text().replace("helpful", "small"))
        self.assert_refused("template default_system", by=ALL)

    def test_no_system_message(self):
        path = self.model / "chat_template.jinja"
        text = path.read_text()
        begin, end = text.index("{% if loop.first"), text.index("{% endif %}") + len("{% endif %}")
        path.write_text(text[:begin] + text[end:])
        self.assert_refused("template default_system")

    def test_another_end_token(self):
        config = read_json(self.model / "generation_config.json")
        config["eos_token_id"] = [2, 0]
        (self.model / "generation_config.json").write_text(json.dumps(config))
        self.assert_refused("stop_ids", "base")

    def test_the_same_template_in_another_file(self):
        path = self.model / "chat_template.jinja"
        config = read_json(self.model / "tokenizer_config.json")
        config["chat_template"] = path.read_text()
        path.unlink()
        (self.model / "tokenizer_config.json").write_text(json.dumps(config))
        self.assert_accepted()


class Tokens(Run):
    def change(self, edit):
        path = self.model / "tokenizer.json"
        content = json.loads(path.read_text())
        edit(content)
        path.write_text(json.dumps(content))

    def test_two_ids_swapped(self):
        def edit(content):
            vocabulary = content["model"]["vocab"]
            one, other = "x", "q"
            vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
        self.change(edit)
        self.assert_refused("tokenizer", by=ALL)

    def test_ids_of_the_template_swapped(self):
        def edit(content):
            vocabulary = content["model"]["vocab"]
            ids = Tokenizer.from_file(str(self.kept / "tokenizer.json")).encode("assistant").ids
            one = next(token for token, number in vocabulary.items() if number == ids[0])
            vocabulary[one], vocabulary["x"] = vocabulary["x"], vocabulary[one]
        self.change(edit)
        self.assert_refused("tokenizer", "template assistant_start")

    def test_another_order_of_merges(self):
        self.change(lambda content: content["model"]["merges"].reverse())
        self.assert_refused("tokenizer")

    def test_saved_again_by_another_program(self):
        tokenizer = Tokenizer.from_file(str(self.model / "tokenizer.json"))
        tokenizer.save(str(self.model / "tokenizer.json"), pretty=False)

        def edit(content):
            model = content["model"]
            model["vocab"] = dict(sorted(model["vocab"].items(), key=lambda item: -item[1]))
            model["merges"] = [merge if isinstance(merge, str) else " ".join(merge) for merge in model["merges"]]
            content["added_tokens"].reverse()
            content["version"] = "1.1"
            content["truncation"] = {"max_length": 512, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
            for step in content["pre_tokenizer"]["pretokenizers"]:
                step.pop("trim_offsets", None)
                step.pop("use_regex", None)
        before = (self.model / "tokenizer.json").read_bytes()
        self.change(edit)
        self.assertNotEqual((self.model / "tokenizer.json").read_bytes(), before)
        self.assert_accepted()


class Record(Run):
    def tearDown(self):
        (self.folder / "run.json").write_bytes(self.record)
        super().tearDown()

    def setUp(self):
        self.record = (self.folder / "run.json").read_bytes()

    def change(self, edit):
        content = json.loads(self.record)
        edit(content)
        (self.folder / "run.json").write_text(json.dumps(content))

    def test_a_changed_setting(self):
        self.change(lambda content: content["config"].update({"data.cutoff_len": "64"}))
        self.assert_refused("data.cutoff_len", by=("ask", "eval", "export"))

    def test_an_expert_of_an_older_version(self):
        name = "experts/01-loud.h5"
        kept = (self.folder / name).read_bytes()
        with h5py.File(self.folder / name, "r+") as file:
            file.attrs.modify("format_version", 1)
        self.change(lambda content: content["files"].pop(name))
        try:
            for command, result in self.commands(ALL).items():
                self.assertEqual(result.code, MODEL, command + ": " + result.text[-2000:])
                self.assertRegex(result.text, "older version", command)
                self.assertIn("01-loud.h5", result.text, command)
        finally:
            (self.folder / name).write_bytes(kept)


class NoModel(unittest.TestCase):
    def test_an_export_where_the_model_is_not(self):
        model = workspace() / "model-elsewhere"
        shutil.copytree(tiny_model(), model)
        folder = train("elsewhere", tasks="loud", model__model_name_or_path=str(model))
        shutil.rmtree(model)
        result = run_ok("export", "--run", folder, "--expert", "loud", "--out", workspace() / "exported-elsewhere")
        self.assertRegex(result.text, "(?i)warning.*not checked")


if __name__ == "__main__":
    run_tests()
