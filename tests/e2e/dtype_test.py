"""The world decides once in which type the base computes; the run goes on in it, and unlike ranks are named."""

import json
import os
import subprocess
import unittest

import h5py

from support import digests, find_binary, read_json, run, run_ok, run_tests, train, workspace, write_config

KEPT = ("experts/*.h5", "buffers/*.h5")
TASKS = "loud, count"
FAST, SLOW = "x86_64 avx2 fma avx512f avx512_bf16", "x86_64 avx2 fma"


def world(*sets, also=""):
    """An environment in which rank R says that its CPU has sets[R]."""
    faults = [f"rank={rank},kind=cpu,has={names}" for rank, names in enumerate(sets)]
    return {"BATON_FAULT": ";".join(faults + ([also] if also else []))}


def dtype_of(folder):
    """What the record says, and what each expert's identity says."""
    experts = {}
    for path in sorted((folder / "experts").glob("*.h5")):
        with h5py.File(path) as file:
            experts[path.stem] = json.loads(file.attrs["identity"])["model.dtype"]
    return read_json(folder / "run.json")["config"]["model.dtype"], experts


def config(name, **changes):
    return write_config(name, **({"tasks": TASKS, "model__dtype": "auto"} | changes))


class Auto(unittest.TestCase):
    def test_the_least_able_rank_decides(self):
        expected = digests(train("float32", tasks=TASKS), *KEPT)
        for name, cluster in (("one-group", {"cluster__groups": 1}), ("two-groups", {"cluster__groups": 2})):
            path = config(name, **cluster)
            environment = world(FAST, SLOW)
            first = run_ok("train", "--config", path, ranks=2, env=environment)
            folder = workspace() / name
            self.assertEqual(dtype_of(folder), ("float32", {"01-loud": "float32", "02-count": "float32"}))
            self.assertEqual(digests(folder, *KEPT), expected)
            self.assertRegex(first.text, r"as float32 \(auto: .*rank 1")
            self.assertRegex(first.text, r"(?s)warning: .*rank 1.*" + SLOW + ".*last bits")
            again = run_ok("train", "--config", path, ranks=2, env=environment)
            self.assertIn("nothing to do", again.text)
            result = run_ok("eval", "--run", folder, ranks=2, env=environment)
            self.assertRegex(result.text, r"(?s)warning: .*rank 1.*" + SLOW)
            self.assertIn("float32", read_json(folder / "eval/results.json")["base_description"])

    def test_a_run_goes_on_in_the_type_it_began_with(self):
        expected = digests(train("bfloat16", tasks=TASKS, model__dtype="bfloat16"), *KEPT)
        alike = run_ok("train", "--config", config("grown", tasks="loud"), ranks=2, env=world(FAST, FAST))
        self.assertNotIn("last bits", alike.text)
        folder = workspace() / "grown"
        self.assertEqual(dtype_of(folder), ("bfloat16", {"01-loud": "bfloat16"}))
        later = run_ok("train", "--config", config("grown"), env=world(SLOW))
        self.assertRegex(later.text, r"as bfloat16 \(.*began.*slow")
        self.assertEqual(dtype_of(folder), ("bfloat16", {"01-loud": "bfloat16", "02-count": "bfloat16"}))
        self.assertEqual(digests(folder, *KEPT), expected)
        run_ok("eval", "--run", folder, env=world(SLOW))
        self.assertIn("bfloat16", read_json(folder / "eval/results.json")["base_description"])

    def test_the_choice_is_there_before_the_first_expert(self):
        path = config("killed")
        result = run("train", "--config", path, env=world(SLOW, also="step=3,kind=kill"))
        self.assertNotEqual(result.code, 0)
        folder = workspace() / "killed"
        self.assertEqual(dtype_of(folder), ("float32", {}))
        run_ok("train", "--config", path, env=world(FAST))
        self.assertEqual(dtype_of(folder), ("float32", {"01-loud": "float32", "02-count": "float32"}))


class Refused(unittest.TestCase):
    def test_another_type_than_the_run_began_with(self):
        folder = train("fixed", tasks="loud")  # float32
        before = digests(folder, *KEPT, "run.json", "logs/*")
        result = run("train", "--config", config("fixed", model__dtype="bfloat16"))
        self.assertEqual(result.code, 2, result.text)
        for word in ("model.dtype", "float32", "bfloat16", "output_dir"):
            self.assertIn(word, result.text)
        self.assertEqual(digests(folder, *KEPT, "run.json", "logs/*"), before)
        self.assertFalse((folder / "experts/02-count.h5").exists())


class Kernels(unittest.TestCase):
    def test_ranks_told_to_use_other_kernels_are_named(self):
        command = ["mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none"]
        program = [find_binary(), "train", "--config", write_config("kernels", tasks="loud")]
        command += ["-n", "1", *program, ":", "-n", "1", "-x", "ATEN_CPU_CAPABILITY=default", *program]
        result = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=240,
                                cwd=workspace(), env=dict(os.environ, OMP_WAIT_POLICY="passive"))
        text = result.stdout + result.stderr
        self.assertEqual(result.returncode, 0, text)
        self.assertRegex(text, r"(?s)warning: .*rank 1.*ATen.*last bits")
        self.assertRegex(" ".join(read_json(workspace() / "kernels/run.json")["warnings"]), r"(?s)rank 1.*ATen.*last bits")


if __name__ == "__main__":
    run_tests()
