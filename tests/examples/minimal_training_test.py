"""The program on one screen: what it learns it answers, what it learns to pass on the base answers, the same twice."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import h5py

model = pathlib.Path(os.environ.get("BATON_MODEL_DIR") or
                     pathlib.Path(os.environ["BATON_DEPS"]) / "models" / "smollm2-135m-instruct")
if not (model / "config.json").exists():
    print(f"skipped: no model in {model}")
    sys.exit(77)
source = pathlib.Path(__file__).with_name("minimal_training.cpp")
assert len(source.read_text().splitlines()) <= 100, "one screen"
with tempfile.TemporaryDirectory() as folder:
    outputs = []
    for name in ("one.h5", "two.h5"):
        file = pathlib.Path(folder) / name
        outputs.append(subprocess.run([os.environ["BATON_EXAMPLE"], model, file], capture_output=True, text=True,
                                      check=True, timeout=600).stdout)
        with h5py.File(file) as expert:
            assert expert.attrs["steps"] == 15 and len(expert["adapter"]) == 120, dict(expert.attrs)
    print(outputs[0])
    assert outputs[0] == outputs[1], "the same input, the same answers"
    assert (pathlib.Path(folder) / "one.h5").read_bytes() == (pathlib.Path(folder) / "two.h5").read_bytes()
    first, last = map(float, outputs[0].splitlines()[0].removeprefix("loss ").split(" -> "))
    assert last < 0.5 < first, (first, last)
    learnt, passed = map(json.loads, outputs[0].splitlines()[1:])
    assert (learnt["route"], learnt["expert"], learnt["answer"]) == ("expert", "capitals", "Oris"), learnt
    assert passed["route"] == "base" and passed["asked"][0]["margin"] < 0 < learnt["asked"][0]["margin"], passed
