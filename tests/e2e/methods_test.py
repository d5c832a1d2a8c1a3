"""Every method side by side: the same bits for any ranks, what each begins from, who answers, what is null."""

import unittest

import h5py
import numpy

from support import digests, read_json, read_lines, run, run_ok, run_tests, train, workspace, write_config

KEPT = ("experts/*.h5", "buffers/*.h5")
TASKS = ["loud", "count", "last"]
# Experts and buffers of three tasks.
FILES = {"sequential": (3, 0), "replay": (3, 3), "multitask": (1, 0), "single": (3, 0), "o_lora": (3, 0),
         "base": (0, 0)}


def factors(path):
    found = {}
    with h5py.File(path) as file:
        file["adapter"].visititems(lambda name, item: found.__setitem__(name, item[()])
                                   if isinstance(item, h5py.Dataset) else None)
    return found


def facts(path):
    with h5py.File(path) as file:
        return dict(file.attrs)


def train_with(method, name=None, ranks=0, **changes):
    return train(name or f"m-{method}", ranks=ranks, method__method=method, **changes)


class Methods(unittest.TestCase):
    def test_the_same_bits_for_any_ranks_and_what_is_null(self):
        for method, (num_experts, num_buffers) in FILES.items():
            with self.subTest(method):
                alone = train_with(method)
                run_ok("eval", "--run", alone)
                kept = digests(alone, *KEPT)
                self.assertEqual(sum(name.startswith("experts") for name in kept), num_experts)
                self.assertEqual(sum(name.startswith("buffers") for name in kept), num_buffers)
                for ranks, groups in ((2, 2), (3, 1)):
                    other = train_with(method, f"m-{method}-{ranks}", ranks=ranks, cluster__groups=groups)
                    self.assertEqual(digests(other, *KEPT), kept, (ranks, groups))
                run_ok("eval", "--run", other, ranks=3)
                scored = ("eval/results.json", "eval/predictions.jsonl")
                self.assertEqual(digests(other, *scored), digests(alone, *scored))
                self.check_results(method, alone)
                self.assertIn("nothing to do", run_ok("train", "--config", workspace() / f"m-{method}.cfg").err)

    def check_results(self, method, folder):
        results = read_json(folder / "eval/results.json")
        self.assertEqual(results["method"], method)
        self.assertEqual(results["matrix"][0], results["base"])
        has_experts = method == "single"
        for key in ("oracle", "routing", "routing_accuracy"):
            self.assertEqual(results[key] is not None, has_experts, key)
        has_stages = FILES[method][0] == 3
        for key in ("BWT", "FWT", "forgetting"):
            self.assertEqual(results[key] is not None, has_stages, key)
        by_stage = {"multitask": ["base", "base", "base", "last"], "base": ["base"] * 4}
        for line in read_lines(folder / "eval/predictions.jsonl"):
            self.assertEqual(line["margins"], {})
            if method == "single":
                place = TASKS.index(line["task"])
                expected = ["base"] * (place + 1) + [line["task"]] * (3 - place)
            else:
                expected = by_stage.get(method, ["base", *TASKS])
            self.assertEqual(line["answered_by"], expected)
        scores = {}
        for line in read_lines(folder / "eval/predictions.jsonl"):
            for stage, who in enumerate(line["answered_by"]):
                scores.setdefault((stage, line["task"]), []).append(line["scores"][who])
        for (stage, task), values in scores.items():
            self.assertAlmostEqual(results["matrix"][stage][TASKS.index(task)], sum(values) / len(values), 9)

    # With a rate of almost nothing a learner ends where it began.
    def test_a_carried_adapter_goes_on_from_the_one_before(self):
        still = {"train__learning_rate": "1e-30", "train__weight_decay": "0"}
        for method, carries in (("sequential", True), ("replay", True), ("single", False), ("o_lora", False)):
            folder = train_with(method, f"still-{method}", ranks=2, **still)
            first, second = (factors(folder / f"experts/0{i}-{task}.h5") for i, task in ((1, "loud"), (2, "count")))
            same = all(numpy.allclose(first[name], second[name], rtol=0, atol=1e-12) for name in first)
            self.assertEqual(same, carries, method)

    def test_rows_of_each(self):
        expected = {"sequential": [(20, 0), (20, 0), (20, 0)], "replay": [(20, 0), (20, 20), (20, 40)],
                    "multitask": [(60, 0)]}
        for method, rows in expected.items():
            folder = train_with(method, f"rows-{method}", train__num_train_epochs="1")
            found = [(int(fact["num_positive"]), int(fact["num_negative"]))
                     for fact in map(facts, sorted((folder / "experts").glob("*.h5")))]
            self.assertEqual(found, rows, method)
            for fact in map(facts, sorted((folder / "experts").glob("*.h5"))):
                self.assertEqual((fact["accept_token_id"], fact["pass_token_id"]), (-1, -1))

    # The penalty pushes the new A away from the old one; without it nothing does.
    def test_o_lora_keeps_its_subspaces_apart(self):
        overlap = {}
        for weight in ("0", "5"):
            folder = train_with("o_lora", f"lambda-{weight}", method__lambda=weight)
            first, second = (factors(folder / f"experts/0{i}-{task}.h5") for i, task in ((1, "loud"), (2, "count")))
            overlap[weight] = sum(float(abs(first[name] @ second[name].T).sum()) for name in first if "lora_A" in name)
        self.assertLess(overlap["5"], 0.2 * overlap["0"])

    def test_a_key_of_another_method_changes_nothing(self):
        folder = train_with("sequential", "keys")
        again = write_config("keys", method__method="sequential", method__negative_ratio="0.5", method__lambda="2",
                             data__general_samples="3")
        self.assertIn("nothing to do", run_ok("train", "--config", again).err)
        other = run("train", "--config", write_config("keys", method__method="replay"))
        self.assertEqual(other.code, 2)
        self.assertIn("method.method", other.err)
        self.assertEqual(len(list((folder / "experts").glob("*.h5"))), 3)

    def test_a_task_more_is_learnt_from_where_the_run_stood(self):
        train_with("replay", "grown", tasks="loud, count")
        grown = train_with("replay", "grown")
        self.assertEqual(digests(grown, *KEPT), digests(train_with("replay", "whole"), *KEPT))

    # An expert depends on which tasks came before it, not on their order.
    def test_the_same_earlier_tasks_in_another_order(self):
        one = train("order-1", tasks="loud, count, last", method__accept_threshold="auto")
        two = train("order-2", ranks=2, tasks="count, loud, last", method__accept_threshold="auto")
        self.assertEqual(digests(one, "experts/03-last.h5"), digests(two, "experts/03-last.h5"))
        self.assertNotEqual(digests(one, "experts/01-loud.h5"), digests(two, "experts/02-loud.h5"))

    def test_asking(self):
        folder = train_with("sequential", "asked")
        line = run_ok("ask", "--run", folder, "--json", "loudly loudly loudly loudly cat").json_lines()[0]
        self.assertEqual((line["route"], line["expert"], line["asked"]), ("expert", "last", []))
        refused = run("ask", "--run", train_with("single", "single-asked"), "hello")
        self.assertEqual(refused.code, 2)
        self.assertIn("task", refused.err)

    # Each router's stages, recomputed from the margins in predictions.jsonl and the thresholds in the experts' files.
    def test_several_routers_in_one_pass(self):
        folder = train("routers", ranks=2, tasks="loud, count, last")
        plain = run_ok("eval", "--run", folder)
        alone = read_json(folder / "eval/results.json")
        self.assertEqual(list(alone["routers"]), ["sequential"])
        result = run_ok("eval", "--run", folder, "--set", "eval.routers=parallel,oracle", ranks=2)
        results = read_json(folder / "eval/results.json")
        self.assertEqual(list(results["routers"]), ["sequential", "parallel", "oracle"])
        for key in ("matrix", "AR", "BWT", "FWT", "forgetting", "routing", "routing_accuracy"):
            self.assertEqual(results[key], alone[key], key)
            self.assertEqual(results["routers"]["sequential"][key], alone[key], key)
        self.assertAlmostEqual(results["routers"]["oracle"]["AR"], sum(results["oracle"]) / 3, 9)
        self.assertEqual(results["routers"]["oracle"]["routing_accuracy"], 1)
        self.assertIn("parallel", result.out)
        self.assertNotIn("parallel", plain.out)
        threshold = {task: float(facts(folder / f"experts/0{i}-{task}.h5")["accept_threshold"])
                     for i, task in enumerate(TASKS, 1)}
        sums = [[0.0] * 3 for _ in range(4)]
        for line in read_lines(folder / "eval/predictions.jsonl"):
            for stage in range(4):
                surplus = {task: line["margins"][task] - threshold[task] for task in TASKS[:stage]}
                accepting = [task for task in surplus if surplus[task] > 0]
                who = max(reversed(accepting), key=surplus.get) if accepting else "base"
                sums[stage][TASKS.index(line["task"])] += line["scores"][who] / 5
        for stage in range(4):
            for task in range(3):
                self.assertAlmostEqual(results["routers"]["parallel"]["matrix"][stage][task], sums[stage][task], 9)
        line = run_ok("ask", "--run", folder, "--json", "--set", "method.router=parallel", "red red cat").json_lines()[0]
        self.assertEqual([asked["expert"] for asked in line["asked"]], ["last", "count", "loud"])
        refused = run("eval", "--run", train_with("sequential", "no-routers"), "--set", "eval.routers=parallel")
        self.assertEqual(refused.code, 2)
        self.assertIn("eval.routers", refused.err)

    def test_a_router_where_there_is_no_choice_is_refused(self):
        result = run("train", "--config", write_config("choice", method__method="replay", method__router="oracle"))
        self.assertEqual(result.code, 2)
        self.assertIn("method.router", result.err)


if __name__ == "__main__":
    run_tests()
