"""Bad input ends with its exit code and a text that says what, where and what to do; nothing is lost."""

import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import time
import unittest

import h5py

from support import (digests, find_binary, read_json, run, run_ok, run_tests, tiny_model, toy_data, train, workspace,
                     write_config)

USAGE, DATA, MODEL, STORAGE = 2, 3, 4, 5
counter = 0


def fresh(kind):
    global counter
    counter += 1
    return f"{kind}-{counter}"


class Case(unittest.TestCase):
    def refuse(self, code, words, *arguments, **options):
        result = run(*arguments, timeout=60, **options)
        if not options.get("ranks"):
            self.assertEqual(result.code, code, result.log + "\n" + result.text[-3000:])
        else:
            self.assertNotEqual(result.code, 0, result.log)
        for word in words:
            self.assertRegex(result.text, re.compile(word, re.IGNORECASE), result.log)
        self.assertNotIn("terminate called", result.text)
        return result

    def refuse_config(self, code, *words, ranks=0, **changes):
        out = fresh("bad")
        return self.refuse(code, words, "train", "--config", write_config(out, **changes), ranks=ranks)


class Model(Case):
    def copy(self):
        folder = workspace() / fresh("model")
        shutil.copytree(tiny_model(), folder)
        return folder

    def refuse_model(self, folder, *words, **options):
        self.refuse_config(MODEL, *words, model__model_name_or_path=str(folder), **options)

    def test_missing_folder(self):
        self.refuse_model(workspace() / "nowhere", "nowhere")

    def test_no_weights(self):
        folder = self.copy()
        (folder / "model.safetensors").unlink()
        self.refuse_model(folder, "safetensors")

    def test_weights_cut_short(self):
        folder = self.copy()
        data = (folder / "model.safetensors").read_bytes()
        for length in (0, 5, 100, len(data) // 2, len(data) - 1):
            (folder / "model.safetensors").write_bytes(data[:length])
            self.refuse_model(folder, "model.safetensors")

    def rewrite_header(self, folder, change):
        path = folder / "model.safetensors"
        data = path.read_bytes()
        length = struct.unpack("<Q", data[:8])[0]
        header = change(json.loads(data[8:8 + length]))
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length:])

    def test_overlapping_tensors(self):
        folder = self.copy()

        def overlap(header):
            names = sorted(name for name in header if name.endswith("layernorm.weight"))
            header[names[0]]["data_offsets"] = header[names[1]]["data_offsets"]
            return header
        self.rewrite_header(folder, overlap)
        self.refuse_model(folder, "model.safetensors")

    def test_tensor_named_twice(self):
        folder = self.copy()

        def twice(header):
            text = json.dumps(header)
            item = json.dumps({"model.norm.weight": header["model.norm.weight"]})[1:-1]
            return (text[:-1] + ", " + item + "}").encode()
        self.rewrite_header(folder, twice)
        self.refuse_model(folder, "model.norm.weight")

    def test_header_too_long(self):
        folder = self.copy()
        data = (folder / "model.safetensors").read_bytes()
        for length in (1 << 62, 200 << 20):
            (folder / "model.safetensors").write_bytes(struct.pack("<Q", length) + data[8:])
            self.refuse_model(folder, "header")

    def test_missing_tensor(self):
        folder = self.copy()

        def rename(header):
            header["model.other.weight"] = header.pop("model.norm.weight")
            return header
        self.rewrite_header(folder, rename)
        self.refuse_model(folder, "model.norm.weight")

    def test_shard_index_that_leaves_the_folder(self):
        for name in ("../model/model.safetensors", str(tiny_model() / "model.safetensors")):
            folder = self.copy()
            (folder / "model.safetensors").unlink()
            keys = ["model.embed_tokens.weight", "model.norm.weight"]
            (folder / "model.safetensors.index.json").write_text(
                json.dumps({"metadata": {}, "weight_map": {key: name for key in keys}}))
            self.refuse_model(folder, "index")

    def test_pickle_is_not_read(self):
        folder = self.copy()
        (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        self.refuse_model(folder, "safetensors")

    def change_config(self, **changes):
        folder = self.copy()
        config = read_json(folder / "config.json")
        config.update(changes)
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    def test_unsupported_architecture(self):
        folder = self.change_config(model_type="mamba", architectures=["MambaForCausalLM"])
        self.refuse_model(folder, "mamba")

    def test_shapes_that_do_not_fit(self):
        self.refuse_model(self.change_config(hidden_size=48), "shape|expected|hidden")

    def test_broken_config(self):
        folder = self.copy()
        (folder / "config.json").write_text("{\"model_type\": ")
        self.refuse_model(folder, "config.json")

    def test_unknown_tokenizer_kind(self):
        folder = self.copy()
        tokenizer = read_json(folder / "tokenizer.json")
        tokenizer["model"]["type"] = "Unigram"
        (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
        self.refuse_model(folder, "tokenizer.json", "Unigram")

    def test_unknown_chat_template(self):
        folder = self.copy()
        (folder / "chat_template.jinja").write_text("{{ messages }}")
        result = run("train", "--config", write_config(fresh("bad"), model__model_name_or_path=str(folder)))
        self.assertIn(result.code, (USAGE, MODEL), result.text)
        self.assertRegex(result.text, "chatml")


class Config(Case):
    def test_unknown_key_names_the_nearest(self):
        self.refuse_config(USAGE, "lora_rnak", "lora_rank", lora__lora_rnak="4")

    def test_unknown_section(self):
        self.refuse_config(USAGE, "lorra", lorra__lora_rank="4")

    def test_ill_typed_values(self):
        for key, value in (("lora__lora_rank", "four"), ("lora__lora_rank", "0"), ("lora__lora_rank", "4.5"),
                           ("train__learning_rate", "nan"), ("train__learning_rate", "-1"),
                           ("method__negative_ratio", "1e99"), ("cluster__deterministic", "maybe"),
                           ("train__lr_scheduler_type", "cosin"), ("lora__lora_target", "q_prj"),
                           ("data__cutoff_len", "99999999999999999999"), ("data__tasks", "loud,,count")):
            with self.subTest(key=key, value=value):
                self.refuse_config(USAGE, key.split("__")[1], **{key: value})

    def test_duplicate_key(self):
        path = write_config(fresh("bad"))
        path.write_text(path.read_text().replace("lora_rank = 4", "lora_rank = 4\nlora_rank = 8"))
        self.refuse(USAGE, ["lora_rank"], "train", "--config", path)

    def test_missing_required_key(self):
        self.refuse_config(USAGE, "tasks", data__tasks=None)

    def test_missing_file_and_unknown_command(self):
        self.refuse(USAGE, ["nowhere.cfg"], "train", "--config", "nowhere.cfg")
        self.refuse(USAGE, ["train"], "trian")
        self.refuse(USAGE, ["config"], "train", "--confg", "x")

    def test_set_with_unknown_key(self):
        self.refuse(USAGE, ["learning_rate"], "train", "--config", write_config(fresh("bad")),
                    "--set", "train.learnin_rate=1")

    def test_task_named_twice(self):
        self.refuse_config(USAGE, "loud", data__tasks="loud, count, loud")

    def test_task_that_is_not_there(self):
        self.refuse_config(USAGE, "cuont", "count", data__tasks="loud, cuont")

    def test_indicators(self):
        self.refuse_config(USAGE, "token", method__accept_indicator="unbelievable")
        self.refuse_config(USAGE, "accept_indicator|pass_indicator", method__pass_indicator="accept")

    def test_indicators_too_close_to_tell_apart(self):
        import torch
        from safetensors.torch import load_file, save_file
        folder = workspace() / fresh("model")
        shutil.copytree(tiny_model(), folder)
        state = load_file(folder / "model.safetensors")
        from tokenizers import Tokenizer
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        one, two = (tokenizer.encode(word).ids[0] for word in ("accept", "pass"))
        rows = state["model.embed_tokens.weight"]
        rows[two] = rows[one] + 1e-4 * torch.ones_like(rows[one])
        save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
        self.refuse_config(USAGE, "accept", "id:", model__model_name_or_path=str(folder))
        run_ok("train", "--config", write_config(
            fresh("close"), tasks="loud", model__model_name_or_path=str(folder),
            method__accept_indicator=f"id:{one}", method__pass_indicator=f"id:{two}"))


class Data(Case):
    def data(self, text, name="loud.train.json"):
        folder = workspace() / fresh("data")
        shutil.copytree(toy_data(), folder)
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
        return folder

    def refuse_rows(self, text, *words, ranks=0):
        self.refuse_config(DATA, "loud.train.json", *words, data__dataset_dir=str(self.data(text)), ranks=ranks)

    GOOD = '{"id": "a", "full_prompt": "Say cat", "output": "CAT"}\n'

    def test_line_cut_off(self):
        self.refuse_rows(self.GOOD + '{"id": "b", "full_prompt": "Sa', "line 2|:2")

    def test_not_utf8(self):
        self.refuse_rows(self.GOOD.encode() + b'{"id": "b", "full_prompt": "\xff\xfe", "output": "x"}\n',
                         "line 2|:2", "utf-8")

    def test_wrong_type_and_missing_field(self):
        self.refuse_rows(self.GOOD + '{"id": "b", "full_prompt": 5, "output": "x"}\n', "full_prompt", "line 2|:2")
        self.refuse_rows(self.GOOD * 1 + '{"id": "b", "output": "x"}\n', "full_prompt", "line 2|:2")
        self.refuse_rows(self.GOOD + '[1, 2]\n', "line 2|:2")

    def test_empty_file(self):
        self.refuse_rows("")

    def test_error_under_mpirun_ends_all_ranks(self):
        begin = time.monotonic()
        self.refuse_rows(self.GOOD + '{"id": ', "line 2|:2", ranks=3)
        self.assertLess(time.monotonic() - begin, 30)

    def test_row_text_is_not_shown(self):
        result = run("train", "--config", write_config(
            fresh("bad"), data__dataset_dir=str(self.data(self.GOOD + '{"full_prompt": "SECRETWORD", "output": 3}\n'))))
        self.assertEqual(result.code, DATA)
        self.assertNotIn("SECRETWORD", result.text)

    def test_broken_dataset_info(self):
        self.refuse_config(DATA, "dataset_info.json",
                           data__dataset_dir=str(self.data("{\"loud\": ", "dataset_info.json")))
        self.refuse_config(DATA, "formatting", data__dataset_dir=str(self.data(
            json.dumps({"loud": {"file_name": "last.json", "formatting": "bigbnch"}}), "dataset_info.json")),
            tasks="loud", data__general="")

    def write(self, **tasks):
        """A folder of alpaca tasks: name=(train answers or None, eval answers or None, more of its entry)."""
        folder = workspace() / fresh("tasks")
        folder.mkdir()
        info = {}
        for name, (train_rows, eval_rows, entry) in tasks.items():
            info[name] = dict(entry)
            for split, rows in (("train", train_rows), ("eval", eval_rows)):
                if rows is None:
                    continue
                items = [{"instruction": f"say {split} {i}", "input": "", "output": answer}
                         for i, answer in enumerate(rows)]
                (folder / f"{name}.{split}.json").write_text("\n".join(map(json.dumps, items)))
                info[name][f"{split}_file"] = f"{name}.{split}.json"
        (folder / "dataset_info.json").write_text(json.dumps(info))
        return str(folder)

    def test_tasks_that_can_teach_or_score_nothing(self):
        ten = ["yes"] * 10
        cases = {
            "no_rows": ([], ten, {}, ["no_rows.train.json", "empty", "at least one row"]),
            "no_eval_rows": (ten, [], {}, ["no_eval_rows.eval.json", "empty", "at least one row"]),
            "no_answer": (["yes", " ", "no"], ten, {}, ["answer of a train row is empty", r"train.json line 2"]),
            "no_options": (ten, ten, {"metric": "multiple_choice"}, ["does not fit", "no options", "eval.json line 1"]),
            "other_labels": (ten, ten, {"metric": "accuracy", "labels": ["no", "maybe"]}, ["none of the task's labels"]),
            "idle_labels": (ten, ten, {"metric": "rouge_l", "labels": ["no", "yes"]}, ["no effect on this scorer"]),
        }
        folder = self.write(**{name: case[:3] for name, case in cases.items()})
        for name, (*_, words) in cases.items():
            with self.subTest(name):
                self.refuse_config(DATA, *words, tasks=name, data__dataset_dir=folder, data__general="none")

    def test_a_task_of_the_order_that_is_not_in_the_data(self):
        folder = self.write(here=(["a"] * 4, ["a"], {}))
        self.refuse_config(USAGE, "no task of this name", "data.tasks", "\"hear\"", "did you mean \"here\"",
                           tasks="here, hear", data__dataset_dir=folder, data__general="none")

    def test_what_is_doubtful_is_said_before_the_training(self):
        folder = self.write(plain=(["yes", "no"] * 4, ["yes", "no"], {}), one_label=(["yes"] * 8, ["yes"] * 2, {}),
                            silent=(["yes"] * 8, ["yes", "", ""], {}), unscored=(["yes"] * 8, None, {}))
        path = pathlib.Path(folder)
        leaked = (path / "plain.train.json").read_text().splitlines()[4:6]
        (path / "plain.eval.json").write_text("\n".join([(path / "plain.eval.json").read_text(), *leaked]))
        said = run_ok("train", "--config", write_config(fresh("doubtful"), tasks="plain, silent, unscored",
                                                        data__dataset_dir=folder, data__general="none",
                                                        train__num_train_epochs="0.2")).err
        self.assertRegex(said, r"task plain: 2 of 4 eval prompts are also train prompts \(\S*plain.eval.json line 3 "
                               r"is \S*plain.train.json line 5; \S*plain.eval.json line 4 is")
        self.assertRegex(said, r"2 of 3 eval rows have an empty answer .*silent.eval.json line 2")
        self.assertIn("task unscored has no eval rows", said)
        out = fresh("one-label")
        run_ok("train", "--config", write_config(out, tasks="one_label", data__dataset_dir=folder, eval__metric="accuracy", data__general="none",
                                                 train__num_train_epochs="0.2"))
        self.assertIn("accuracy over one label", run_ok("eval", "--run", workspace() / out).err)

    def test_fewer_rows_than_ranks(self):
        folder = self.data(self.GOOD)
        out = fresh("few")
        run_ok("train", "--config", write_config(out, tasks="loud", data__dataset_dir=str(folder),
                                                 data__general="", cluster__groups=1), ranks=4)
        self.assertEqual(len(list((workspace() / out / "experts").glob("*.h5"))), 1)

    def test_long_row_is_cut_and_counted(self):
        line = json.dumps({"id": "long", "full_prompt": "cat dog " * 500, "output": "CAT"}) + "\n"
        out = fresh("long")
        result = run_ok("train", "--config", write_config(
            out, tasks="loud", data__dataset_dir=str(self.data(self.GOOD + line)), data__general=""))
        self.assertRegex(result.text, re.compile(r"\b1\b.*\bcut|cut.*\b1\b", re.IGNORECASE))


class Files(Case):
    @classmethod
    def setUpClass(cls):
        cls.good = train("good", tasks="loud, count")

    def copy(self):
        folder = workspace() / fresh("run")
        shutil.copytree(self.good, folder)
        return folder

    def refuse_run(self, code, folder, *words):
        for command in (["eval", "--run", folder], ["ask", "--run", folder, "cat"],
                        ["export", "--run", folder, "--expert", "loud", "--out", workspace() / fresh("out")]):
            self.refuse(code, words, *command)

    def test_one_bit_of_an_expert(self):
        for share in (0.02, 0.5, 0.97):
            folder = self.copy()
            path = folder / "experts/01-loud.h5"
            data = bytearray(path.read_bytes())
            data[int(share * len(data))] ^= 4
            path.write_bytes(data)
            self.refuse_run(MODEL, folder, "01-loud.h5")

    def test_expert_cut_short(self):
        folder = self.copy()
        path = folder / "experts/01-loud.h5"
        path.write_bytes(path.read_bytes()[:-100])
        self.refuse_run(MODEL, folder, "01-loud.h5")
        config = (workspace() / "good.cfg").read_text().replace(str(self.good), str(folder))
        (workspace() / "cut.cfg").write_text(config)
        before = digests(folder, "experts/*.h5", "buffers/*.h5")
        self.refuse(MODEL, ["01-loud.h5"], "train", "--config", workspace() / "cut.cfg")
        self.assertEqual(digests(folder, "experts/*.h5", "buffers/*.h5"), before)

    def test_newer_format(self):
        folder = self.copy()
        path = folder / "experts/01-loud.h5"
        with h5py.File(path, "r+") as file:
            file.attrs["format_version"] = 99
        self.refuse(MODEL, ["99|version|SHA-256|changed"], "inspect", path)
        self.refuse_run(MODEL, folder, "01-loud.h5")

    def test_other_base_model(self):
        folder = self.copy()
        other = tiny_model("other-model", seed=5)
        config = (workspace() / "good.cfg").read_text().replace(str(self.good), str(folder))
        config = config.replace(f"model_name_or_path = {tiny_model()}", f"model_name_or_path = {other}")
        (workspace() / "other.cfg").write_text(config)
        result = run("train", "--config", workspace() / "other.cfg")
        self.assertIn(result.code, (USAGE, MODEL), result.text)
        self.assertRegex(result.text, re.compile("base", re.IGNORECASE))

    def test_unknown_expert_and_run(self):
        self.refuse(USAGE, ["cuont", "count"], "export", "--run", self.good, "--expert", "cuont", "--out",
                    workspace() / fresh("out"))
        result = run("eval", "--run", workspace() / "nowhere")
        self.assertIn(result.code, (USAGE, MODEL), result.text)

    def test_not_an_hdf5_file(self):
        path = workspace() / "text.h5"
        path.write_text("not HDF5")
        self.refuse(MODEL, ["text.h5"], "inspect", path)

    def test_output_folder_that_cannot_be_made(self):
        (workspace() / "file").write_text("in the way")
        self.refuse_config(STORAGE, "file", output__output_dir=str(workspace() / "file" / "run"))

    @unittest.skipUnless(os.path.exists("/dev/full"), "no /dev/full")
    def test_full_disk(self):
        out = workspace() / fresh("full")
        out.mkdir()
        (out / "status.json").symlink_to("/dev/full")
        result = run("train", "--config", write_config(out.name, tasks="loud"), timeout=120)
        self.assertIn(result.code, (0, STORAGE), result.text)  # replaced by a rename, or refused; never a crash

    def test_second_run_in_the_same_folder_at_once(self):
        config = write_config("busy", tasks="loud, count", train__num_train_epochs="400")
        first = subprocess.Popen([str(find_binary()), "train", "--config", str(config)],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 60
            while not (workspace() / "busy").exists() or not any((workspace() / "busy").rglob("*.jsonl")):
                self.assertIsNone(first.poll(), "the first run ended too early")
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.1)
            result = run("train", "--config", config, timeout=60)
            self.assertIn(result.code, (USAGE, STORAGE), result.text)
            self.assertIn("busy", result.text)
            self.assertIsNone(first.poll(), "the second run ended the first")
        finally:
            first.kill()
            first.wait()
        # What a killed run leaves behind does not lock the folder for ever.
        run_ok("train", "--config", write_config("busy", train__num_train_epochs="1"))


if __name__ == "__main__":
    run_tests()
