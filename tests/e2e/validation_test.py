"""Rows held out for the validation loss, early stopping and TensorBoard: the loss is PEFT's, the best state is kept,
stops change nothing, and any number of ranks gives the same bits."""

import csv
import itertools
import json
import unittest

import h5py
import torch
from peft import PeftModel
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

from make_tiny_model import SYSTEM
from support import (digests, read_json, read_lines, run, run_ok, run_tests, tiny_model, toy_data, train, workspace,
                     write_config)

KEPT = ("experts/*.h5", "buffers/*.h5")
# Two tasks whose experts get worse on unseen rows before the end.
EARLY = {"tasks": "loud, back", "data__val_size": "2", "train__eval_steps": "3", "train__early_stopping_patience": "2",
         "train__num_train_epochs": "9", "train__save_seconds": "0", "output__tensorboard": "true"}
STOPPED = 75


def validations(log):
    return [(line["step"], line["eval_loss"]) for line in read_lines(log) if "eval_loss" in line]


def updates(log):
    return [(line["step"], line["loss"]) for line in read_lines(log) if "loss" in line]


def kept(log):
    return [line for line in read_lines(log) if "best_step" in line]


def attributes(path):
    with h5py.File(path) as file:
        return dict(file.attrs)


class Peft:
    """Losses of rows of the task `loud` under an exported expert."""

    def __init__(self, folder, name):
        out = workspace() / f"{name}-peft"
        run_ok("export", "--run", folder, "--expert", "loud", "--out", out)
        base = AutoModelForCausalLM.from_pretrained(tiny_model(), dtype=torch.float32)
        self.model = PeftModel.from_pretrained(base, out).eval()
        self.tokenizer = Tokenizer.from_file(str(tiny_model() / "tokenizer.json"))

    def encode(self, text):
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    @torch.no_grad()
    def loss(self, prompt, answer, opening):
        """(summed cross entropy, number) of the target tokens."""
        ids = (self.encode(f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n") + self.encode(prompt)
               + self.encode("<|im_end|>\n<|im_start|>assistant\n"))
        target = self.encode(opening) + self.encode(answer) + [2]
        tokens = torch.tensor([ids + target])
        labels = torch.tensor([[-100] * len(ids) + target])
        return self.model(input_ids=tokens, labels=labels).loss.item() * len(target), len(target)

    def pairs(self, opening):
        """Loss of each pair of train rows: the mean over the target tokens of both."""
        lines = (toy_data() / "loud.train.json").read_text().splitlines()
        rows = [self.loss(row["full_prompt"], row["output"], opening) for row in map(json.loads, lines)]
        return {(i, j): (rows[i][0] + rows[j][0]) / (rows[i][1] + rows[j][1])
                for i, j in itertools.combinations(range(len(rows)), 2)}

    def rows_with(self, loss, opening):
        return [pair for pair, found in self.pairs(opening).items() if abs(found - loss) <= 2e-6 * loss]


class Validation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.early = train("early", **EARLY)
        cls.expected = digests(cls.early, *KEPT)
        cls.logs = {log.name: (updates(log), validations(log)) for log in cls.early.glob("logs/*.jsonl")}

    def test_the_loss_is_pefts_on_two_rows_that_are_not_learnt(self):
        for method, opening in (("see", "accept"), ("single", "")):
            with self.subTest(method):
                folder = train(f"watched-{method}", tasks="loud", method__method=method, data__val_size="2")
                log = folder / "logs/01-loud.jsonl"
                # 18 own rows, and 8 general ones of `see`, by 6: an epoch.
                epoch = 5 if method == "see" else 3
                self.assertEqual([step for step, _ in validations(log)], [epoch * k for k in (1, 2, 3, 4)])
                found = Peft(folder, method).rows_with(validations(log)[-1][1], opening)
                self.assertEqual(len(found), 1, "one pair of the 190 has this loss")
                self.assertEqual(attributes(folder / "experts/01-loud.h5")["num_positive"], 18)

    def test_what_is_kept_had_the_lowest_loss(self):
        for log in sorted(self.early.glob("logs/*.jsonl")):
            losses = validations(log)
            best = min(losses, key=lambda point: point[1])
            last = losses[-1][0]
            self.assertEqual(kept(log)[-1]["best_step"], best[0])
            self.assertEqual(kept(log)[-1]["best_eval_loss"], best[1])
            self.assertEqual(attributes(self.early / f"experts/{log.stem}.h5")["steps"], best[0])
            if kept(log)[-1]["stopped_early"]:
                self.assertGreaterEqual(last - best[0], 2 * 3)
        log = self.early / "logs/01-loud.jsonl"
        self.assertTrue(kept(log)[0]["stopped_early"], losses)
        self.assertLess(kept(log)[0]["best_step"], validations(log)[-1][0])
        peft = Peft(self.early, "early")
        self.assertEqual(len(peft.rows_with(kept(log)[0]["best_eval_loss"], "accept")), 1)
        self.assertEqual(peft.rows_with(validations(log)[-1][1], "accept"), [])

    def test_any_number_of_ranks(self):
        for ranks, groups in ((2, 1), (3, 2), (4, 1)):
            with self.subTest(ranks=ranks):
                other = train(f"early-{ranks}", ranks=ranks, cluster__groups=groups, **EARLY)
                self.check(other)

    def check(self, folder):
        self.assertEqual(digests(folder, *KEPT), self.expected)
        for log in folder.glob("logs/*.jsonl"):
            self.assertEqual((updates(log), validations(log)), self.logs[log.name])
            self.assertEqual(len(kept(log)), 1)

    def test_stops_anywhere_change_nothing(self):
        """A call makes some updates and validations and is stopped in the next one; also with two ranks."""
        for name, calls, ranks in (("a", 11, 0), ("b", 7, 2)):
            with self.subTest(calls=calls):
                config = write_config(f"stops-{name}", **EARLY, cluster__groups="1")
                for call in range(100):
                    result = run("train", "--config", config, ranks=ranks,
                                 env={"BATON_FAULT": f"kind=signal,calls={calls + call % 3}"})
                    folder = workspace() / f"stops-{name}"
                    if read_json(folder / "status.json")["state"] == "done":
                        break
                    self.assertEqual(read_json(folder / "status.json")["exit_code"], STOPPED, result.text[-2000:])
                self.assertGreater(call, 3)
                self.check(folder)
                self.check_events(folder)

    def test_tensorboard_shows_the_log(self):
        self.check_events(self.early)
        self.assertFalse((train("dark", tasks="loud", data__val_size="2") / "tensorboard").exists())

    def check_events(self, folder):
        for log in sorted(folder.glob("logs/*.jsonl")):
            events = EventAccumulator(str(folder / "tensorboard" / log.stem), purge_orphaned_data=False).Reload()
            self.assertEqual(set(events.Tags()["scalars"]),
                             {"train/loss", "train/learning_rate", "train/grad_norm", "train/tokens_per_second",
                              "eval/loss"})
            lines = [line for line in read_lines(log) if "loss" in line]
            for tag, key in (("train/loss", "loss"), ("train/learning_rate", "learning_rate"),
                             ("train/grad_norm", "grad_norm")):
                self.check_points(events.Scalars(tag), [(line["step"], line[key]) for line in lines])
            self.check_points(events.Scalars("train/tokens_per_second"),
                              [(line["step"], line["tokens"] / line["seconds"]) for line in lines])
            self.check_points(events.Scalars("eval/loss"), validations(log))
            times = {line["step"]: line["time"] for line in lines}
            for point in events.Scalars("train/loss"):
                self.assertEqual(point.wall_time, times[point.step])
            (path,) = (folder / "tensorboard" / log.stem).iterdir()  # and no step twice, by any reader
            steps = [event.step for event in LegacyEventFileLoader(str(path)).Load()
                     if any(value.tag == "train/loss" for value in event.summary.value)]
            self.assertEqual(steps, [step for step, _ in updates(log)])

    def check_points(self, points, expected):
        self.assertEqual([point.step for point in points], [step for step, _ in expected])
        for point, (_, value) in zip(points, expected):
            self.assertAlmostEqual(point.value, value, delta=1e-6 * abs(value))

    def test_every_method(self):
        for method in ("sequential", "replay", "multitask", "o_lora"):
            with self.subTest(method):
                changes = dict(EARLY, method__method=method, train__num_train_epochs="6")
                alone = train(f"v-{method}", **changes)
                for log in alone.glob("logs/*.jsonl"):
                    self.assertEqual(kept(log)[0]["best_eval_loss"], min(loss for _, loss in validations(log)))
                other = train(f"v-{method}-2", ranks=2, cluster__groups="1", **changes)
                self.assertEqual(digests(other, *KEPT), digests(alone, *KEPT))

    def test_watching_changes_nothing_but_the_rows(self):
        """Validations draw nothing from the training: how often they come, and TensorBoard, change no bit."""
        one = train("often", tasks="loud", data__val_size="0.1", train__eval_steps="1", output__tensorboard="true")
        other = train("seldom", tasks="loud", data__val_size="2")
        self.assertEqual(attributes(one / "experts/01-loud.h5")["content_sha256"] ==
                         attributes(other / "experts/01-loud.h5")["content_sha256"], False)  # another val_size
        third = train("never", tasks="loud", data__val_size="0.1", train__eval_steps="1000")
        self.assertEqual(digests(third, *KEPT), digests(one, *KEPT))
        again = run_ok("train", "--config", write_config("often", tasks="loud", data__val_size="0.1"))
        self.assertIn("nothing to do", again.err)

    def test_progress_and_table(self):
        result = run_ok("train", "--config", write_config("shown", tasks="loud", data__val_size="2"))
        self.assertRegex(result.err, r"loss [0-9.]+ \(validation [0-9.]+\)")
        self.assertRegex(result.err, r"expert +rows +updates +loss +validation +threshold")
        self.assertNotIn("validation", run_ok("train", "--config", write_config("unwatched", tasks="loud")).err)

    def test_thresholds_of_experts_that_stop_early(self):
        """accept_threshold = auto with few own rows trains two experts more; they end where this one did."""
        alone = train("auto", **dict(EARLY, method__accept_threshold="auto", tasks="loud"))
        other = train("auto-2", ranks=2, cluster__groups="1",
                      **dict(EARLY, method__accept_threshold="auto", tasks="loud"))
        self.assertEqual(digests(other, *KEPT), digests(alone, *KEPT))

    def test_report(self):
        """The loss figure of a run has both lines of every learner, and its table both numbers."""
        run_ok("eval", "--run", self.early)
        run_ok("report", "--run", self.early)
        with (self.early / "report-loss.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        for log in self.early.glob("logs/*.jsonl"):
            mine = [row for row in rows if row["expert"] == log.stem[3:]]
            for column, points in (("loss", updates(log)), ("validation loss", validations(log))):
                self.assertEqual([(int(row["step"]), float(row[column])) for row in mine if row[column] != "-"], points)
        page = (self.early / "report.html").read_text()
        chart = page[page.index("Training and validation loss of"):].split("</svg>")[0]
        self.assertEqual(chart.count("<polyline"), 4)
        self.assertIn("loud, held out", chart)
        self.assertEqual(chart.count("<circle"), sum(len(points) for _, points in self.logs.values()))

    def test_what_is_refused(self):
        changed = write_config("early", **dict(EARLY, train__early_stopping_patience="3"))
        result = run("train", "--config", changed)
        self.assertEqual(result.code, 2)
        self.assertIn("train.early_stopping_patience: expected 3, found 2", result.err)
        for value, code, words in (("20", 3, "20 of 20 train rows"), ("1.5", 2, "whole number of rows")):
            result = run("train", "--config", write_config("refused", tasks="loud", data__val_size=value))
            self.assertEqual(result.code, code, result.err)
            self.assertIn(words, result.err)
        result = run("train", "--config", write_config("refused", tasks="loud", train__early_stopping_patience="1"))
        self.assertEqual(result.code, 2)
        self.assertIn("data.val_size", result.err)


if __name__ == "__main__":
    run_tests()
