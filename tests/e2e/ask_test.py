"""`baton ask`, one prompt and many, and who answers: routers, lines that cannot be asked, prompts too long."""

import json
import subprocess
import unittest

from support import find_binary, read_json, read_lines, run, run_ok, run_tests, tiny_model, toy_rows, train, workspace, write_config

TASKS = ["loud", "count", "last"]
USAGE, DATA = 2, 3


class Ask(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = train("ask", method__accept_threshold="auto", method__calibration_ratio="0.2")
        cls.evaluated = run_ok("eval", "--run", cls.folder)
        cls.prompts = [prompt for i in range(12) for task in TASKS for prompt, _ in toy_rows(task, 1, 100 + i)]

    def ask_lines(self, lines, *arguments, code=0):
        result = run("ask", "--run", self.folder, "--json", "--jsonl", *arguments, stdin="\n".join(lines) + "\n")
        self.assertEqual(result.code, code, result.text)
        return result

    def refuse(self, code, *words, arguments=("--run",), prompt=None, stdin=""):
        command = ["ask", "--json", *(arguments if arguments != ("--run",) else ["--run", self.folder])]
        result = run(*command, *([] if prompt is None else [prompt]), stdin=stdin)
        self.assertEqual(result.code, code, result.text)
        for word in words:
            self.assertIn(word, result.err)
        self.assertEqual(result.out, "")

    def test_many_prompts_are_answered_in_their_order_as_alone(self):
        # 36 prompts, more than are taken at a time (eight batches of four), of three tasks in turn
        lines = [json.dumps({"prompt": prompt}) for prompt in self.prompts]
        found = self.ask_lines(lines).json_lines()
        self.assertEqual([line["prompt"] for line in found], self.prompts)
        self.assertGreater(len({line["expert"] for line in found}), 1)
        alone = self.ask_lines(lines, "--set", "eval.eval_batch_size=1").json_lines()
        for many, one in zip(found, alone):
            for key in ("prompt", "answer", "route", "expert", "prompt_tokens", "new_tokens"):
                self.assertEqual(many[key], one[key])
            self.assertEqual([expert["expert"] for expert in many["asked"]],
                             [expert["expert"] for expert in one["asked"]])
            for a, b in zip(many["asked"], one["asked"]):
                self.assertAlmostEqual(a["margin"], b["margin"], delta=1e-5)
        single = run_ok("ask", "--run", self.folder, "--json", self.prompts[4]).json_lines()[0]
        self.assertEqual(single["answer"], found[4]["answer"])

    def test_one_bad_line_does_not_silence_the_others(self):
        good = [json.dumps({"prompt": prompt}) for prompt in self.prompts[:4]]
        bad = ["{not json", '{"text": "no prompt"}', "[1]", '{"prompt": ""}', '{"prompt": " \\n"}',
               '{"prompt": "a\\u0000b"}', '{"prompt": 7}']
        lines = [good[0], "", *bad[:3], good[1], *bad[3:], good[2], good[3]]
        result = self.ask_lines(lines, code=DATA)
        found = result.json_lines()
        self.assertEqual(len(found), len(good) + len(bad))  # the n-th line of the output is the n-th prompt's
        self.assertEqual([line["prompt"] for line in found if "prompt" in line], self.prompts[:4])
        self.assertEqual([line["line"] for line in found if "error" in line], [3, 4, 5, 7, 8, 9, 10])
        for number in (3, 4, 5, 7, 8, 9, 10):
            self.assertIn(f"line {number}", result.err)
        self.assertIn("7 of 11 prompts", result.err)
        self.assertEqual(found[4]["prompt"], self.prompts[1])

    def test_a_program_that_waits_for_each_answer_gets_it(self):
        process = subprocess.Popen([str(find_binary()), "ask", "--run", str(self.folder), "--json", "--jsonl"],
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   text=True, cwd=workspace())
        for prompt in self.prompts[:3]:
            process.stdin.write(json.dumps({"prompt": prompt}) + "\n")
            process.stdin.flush()
            self.assertEqual(json.loads(process.stdout.readline())["prompt"], prompt)
        process.stdin.write(json.dumps({"prompt": self.prompts[3]}))  # the last line may lack its end
        out, _ = process.communicate(timeout=120)
        self.assertEqual(json.loads(out)["prompt"], self.prompts[3])
        self.assertEqual(process.returncode, 0)

    def test_prompts_that_are_none(self):
        self.refuse(USAGE, "the prompt is empty", prompt="")
        self.refuse(USAGE, "the prompt is empty", "white space", prompt=" \n ")
        self.refuse(USAGE, "the prompt is empty", stdin="\n")
        self.refuse(DATA, "NUL", "offset 3", stdin="abc\0def")

    def test_prompts_longer_than_the_model(self):
        words = "cat dog " * 1200  # the tiny model has 2,048 positions; this run cuts at 128 tokens
        self.assertEqual(run("ask", "--run", self.folder, "--json", words).code, 0)
        self.refuse(DATA, "2048", "max_position_embeddings",
                    arguments=("--model", tiny_model(), "--set", "data.cutoff_len=4096"), prompt=words)
        self.refuse(DATA, "2048", "2041", "data.max_new_tokens",
                    arguments=("--run", self.folder, "--set", "data.max_new_tokens=2040"), prompt="cat dog")
        result = run("eval", "--run", self.folder, "--set", "data.max_new_tokens=2040")
        self.assertEqual(result.code, DATA, result.text)
        self.assertIn("max_position_embeddings", result.err)
        lines = [json.dumps({"prompt": prompt}) for prompt in (self.prompts[0], words)]
        result = run("ask", "--model", tiny_model(), "--set", "data.cutoff_len=4096", "--json", "--jsonl",
                     stdin="\n".join(lines))
        self.assertEqual((result.code, len(result.json_lines())), (DATA, 2), result.text)

    def test_predictions_say_what_was_asked_and_answered(self):
        rows = read_lines(self.folder / "eval/predictions.jsonl")
        prompts = {prompt for task in TASKS for split in (1, 2) for prompt, _ in toy_rows(task, 20, split)}
        for row in rows:
            self.assertIn(row["prompt"], prompts)
            self.assertEqual(row["answer"], row["answers"][row["answered_by"][-1]])

    def test_progress_counts_queries(self):
        self.assertRegex(self.evaluated.err, r"queries \d+/15")
        self.assertNotIn("loss", self.evaluated.err)

    def test_routers(self):
        results = read_json(self.folder / "eval/results.json")
        self.assertEqual((results["router"], results["method"], results["seed"]), ("sequential", "see", 42))
        rows = read_lines(self.folder / "eval/predictions.jsonl")
        run_ok("eval", "--run", self.folder, "--set", "method.router=oracle")
        results = read_json(self.folder / "eval/results.json")
        self.assertEqual((results["router"], results["routing_accuracy"]), ("oracle", 1.0))
        self.assertEqual(results["matrix"][-1], results["oracle"])
        for row, before in zip(read_lines(self.folder / "eval/predictions.jsonl"), rows):
            self.assertEqual(row["answered_by"][-1], row["task"])
            self.assertEqual(row["answer"], before["answers"][row["task"]])
        run_ok("eval", "--run", self.folder)
        self.assertEqual(read_lines(self.folder / "eval/predictions.jsonl"), rows)
        self.refuse(USAGE, "method.router", "oracle",
                    arguments=("--run", self.folder, "--set", "method.router=oracle"), prompt="cat dog")

    def test_what_is_still_to_come_and_misspelt_routers_are_refused_in_words(self):
        config = write_config("later", method__method="cmoe")
        result = run("train", "--config", config)
        self.assertEqual(result.code, USAGE, result.text)
        self.assertIn("'cmoe' is not available in this version", result.err)
        result = run("eval", "--run", self.folder, "--set", "method.router=sequental")
        self.assertEqual(result.code, USAGE, result.text)
        self.assertIn("did you mean 'sequential'?", result.err)


if __name__ == "__main__":
    run_tests()
