#!/usr/bin/env python3
"""Every path of this project that README.md names exists, and every relative link leads somewhere."""
import pathlib
import re
import sys

TOP = ("src", "include", "launch", "configs", "data", "tests", "slurm", "bench", ".ci")
# What a build, a run or a set-up makes.
MADE = ("build/", ".deps/", "runs/")


def named_paths(text):
    for code in re.findall(r"`([^`\n]+)`", text) + re.findall(r"^ {4,}.*|^[a-z.].*", fenced(text), re.M):
        for word in re.split(r"[\s'\",;()=|]+", code):
            yield word.rstrip(".:")
    for link in re.findall(r"\]\(([^)#\s]+)", text):
        if "://" not in link:
            yield "./" + link


def fenced(text):
    return "\n".join(re.findall(r"^```[^\n]*\n(.*?)^```", text, re.M | re.S))


def is_checked(path):
    if path.startswith(MADE) or any(mark in path for mark in "*<>{}$"):
        return False
    return path.startswith("./") or path.split("/")[0] in TOP and "/" in path


def main():
    root = pathlib.Path(sys.argv[1])
    readme = root / "README.md"
    if not readme.exists():
        print("there is no README.md yet: skipped")
        return 77
    paths = {path for path in named_paths(readme.read_text(encoding="utf-8")) if is_checked(path)}
    missing = sorted(path for path in paths if not (root / path).exists())
    for path in missing:
        print(f"README.md names {path}, which does not exist")
    print(f"{len(paths)} paths checked, {len(missing)} missing")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
