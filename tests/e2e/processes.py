"""Looking at running ranks of a test: which there are, whether they train, and waiting for that."""

import pathlib
import re
import time

from support import find_binary, glob_live, workspace


def wait_for(condition, what, seconds=90):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s for {what}")
        time.sleep(0.05)


def catches(pid, signal_number):
    """Whether a process has a handler for the signal (bash: a trap)."""
    try:
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return int(re.search(r"^SigCgt:\s*(\w+)", status, re.M)[1], 16) >> (signal_number - 1) & 1 == 1


def ranks_of(name):
    """Process ids of the ranks that train with the config NAME.cfg or evaluate the run folder NAME."""
    marks = {str(workspace() / f"{name}.cfg").encode(), str(workspace() / name).encode()}
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0] == str(find_binary()).encode() and marks.intersection(words):
            found.append(int(entry.name))
    return sorted(found)


def is_training(name, num_ranks):
    """All ranks are there and a step is in the log."""
    logs = glob_live(workspace() / name, "logs/*.jsonl")
    return len(ranks_of(name)) >= num_ranks and any(file.stat().st_size > 0 for file in logs)


def wait_for_training(name, num_ranks):
    wait_for(lambda: is_training(name, num_ranks), f"{num_ranks} training ranks of {name}")
