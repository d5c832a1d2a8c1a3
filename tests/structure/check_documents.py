#!/usr/bin/env python3
"""The pages say what is there: paths, links, config keys, commands and flags that they name exist, README.md is short,
and the floors of src/README.md are those of the layer test.

    python check_documents.py SOURCE_FOLDER
"""
import pathlib
import re
import sys

TOP = ("src", "include", "launch", "configs", "data", "tests", "slurm", "bench", ".ci")
# What a build, a run or a set-up makes.
MADE = ("build/", ".deps/", "runs/")
FIRST_PAGE_WORDS = 1200
PAGES = ("README.md", "*/README.md", "*/*/README.md")
# Words after "baton" in a command that are no command of it.
NO_VERBS = {"help", "program"}


def fenced(text):
    return "\n".join(re.findall(r"^```[^\n]*\n(.*?)^```", text, re.M | re.S))


def code_of(text):
    """Spans and blocks of code."""
    without_blocks = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    return re.findall(r"`([^`\n]+)`", without_blocks) + fenced(text).splitlines()


def named_paths(text):
    for code in code_of(text):
        for word in re.split(r"[\s'\",;()=|]+", code):
            yield word.rstrip(".:")


def links(text):
    return [link for link in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in link]


def is_checked(path):
    if path.startswith("include/") and not path.startswith("include/baton"):
        return False  # of other people's libraries
    if path.startswith(MADE) or any(mark in path for mark in "*<>{}$"):
        return False
    return path.split("/")[0] in TOP and "/" in path and not re.search(r"[A-Z]{4,}", path.split("/")[-1].split(".")[0])


def options_of(root):
    """Config keys as "section.name", from the option table."""
    table = (root / "src/config/option_table.cpp").read_text(encoding="utf-8")
    return {f"{section}.{name}" for section, name in re.findall(r'info\(\s*"([a-z]+)",\s*"([a-z_]+)"', table)}


def wrong_keys(text, options):
    sections = {option.partition(".")[0] for option in options}
    for code in code_of(text):
        for section, name in re.findall(r"(?<![\w./-])([a-z]+)\.([a-z_]+)(?![\w./(*])", code):
            if section in sections and name not in ("cfg", "key", "json", "csv", "hpp", "cpp", "py", "sh", "h", "sbatch") \
                    and f"{section}.{name}" not in options:
                yield f"{section}.{name}"


def wrong_commands(text, root):
    """Verbs of baton, and long flags of it and of the scripts, that do not exist."""
    table = (root / "src/config/command_table.cpp").read_text(encoding="utf-8")
    verbs = set(re.findall(r'\{\s*"([a-z]+)",\s*(?:Verb|std::nullopt)', table))
    flags = set(re.findall(r'\{"([a-z-]+)", FlagKind|k?\w* ?\{"([a-z-]+)", FlagKind', table))
    flags = {name for pair in flags for name in pair if name} | {"config", "run", "json", "set", "help", "version"}
    for line in fenced(text).splitlines():
        found = re.search(r"(?:^|[\s/])baton +([a-z]+)(.*)", line.partition("#")[0])
        if not found or found.group(1) in NO_VERBS:
            continue
        if found.group(1) not in verbs:
            yield f"baton {found.group(1)}"
        for flag in re.findall(r"\s--([a-z-]+)(?=[\s=]|$)", found.group(2)):
            if flag not in flags:
                yield f"baton {found.group(1)} --{flag}"
    for script, rest in re.findall(r"launch/(quickstart|test)\.sh((?: +--?[\w-]+)+)", text):
        known = (root / f"launch/{script}.sh").read_text(encoding="utf-8")
        for flag in re.findall(r"--[a-z-]+", rest):
            if flag not in known:
                yield f"launch/{script}.sh {flag}"


def floors_of_test(root):
    text = (root / "tests/structure/layers_test.cpp").read_text(encoding="utf-8")
    rooms = text[text.index("kRooms"):]
    return {name: int(floor) for name, floor in re.findall(r'\{"([a-z]+)",\s*\{(\d+),', rooms)}


def floors_of_page(root):
    path = root / "src/README.md"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    block = re.search(r"## Floors.*?^```\n(.*?)^```", text, re.M | re.S)
    floors = {}
    for line in block.group(1).splitlines() if block else []:
        number, names, _ = re.match(r"(\d+)  ((?:[a-z]+ )*[a-z]+)(  .*|$)", line).groups()
        floors.update({name: int(number) for name in names.split()})
    return floors


def problems_of(page, root, options):
    text = page.read_text(encoding="utf-8")
    name = page.relative_to(root)
    for path in sorted(set(filter(is_checked, named_paths(text)))):
        if not (root / path).exists():
            yield f"{name} names {path}, which does not exist"
    for link in links(text):
        if not (page.parent / link).exists():
            yield f"{name} links to {link}, which does not exist"
    for key in sorted(set(wrong_keys(text, options))):
        yield f"{name} names the key {key}, which does not exist"
    for command in sorted(set(wrong_commands(text, root))):
        yield f"{name} shows '{command}', which does not exist"


def main():
    root = pathlib.Path(sys.argv[1])
    options = options_of(root)
    assert len(options) > 30, f"only {len(options)} keys were found in the option table"
    pages = sorted({page for pattern in PAGES for page in root.glob(pattern)
                    if page.relative_to(root).parts[0] in (*TOP, "README.md")})
    problems = [problem for page in pages for problem in problems_of(page, root, options)]
    words = len((root / "README.md").read_text(encoding="utf-8").split())
    if words > FIRST_PAGE_WORDS:
        problems.append(f"README.md has {words} words, more than {FIRST_PAGE_WORDS}")
    test, page = floors_of_test(root), floors_of_page(root)
    for name in sorted(set(test) | set(page)):
        if test.get(name) != page.get(name):
            problems.append(f"floor of {name}: {test.get(name)} in the layer test, {page.get(name)} in src/README.md")
    for problem in problems:
        print(problem)
    print(f"{len(pages)} pages checked, {words} words on the first, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
