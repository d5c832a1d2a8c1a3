"""Shell scripts pass shellcheck and keep to 120 columns; each setting at the top has a line of why.

    python check_shell.py SOURCE_FOLDER
"""

import pathlib
import re
import shutil
import subprocess
import sys


def main():
    source = pathlib.Path(sys.argv[1])
    scripts = sorted([*source.glob("launch/*.sh"), *source.glob("slurm/*.sbatch")])
    if len(scripts) < 5:
        sys.exit(f"only {len(scripts)} shell scripts were found below {source}")
    problems = []
    for script in scripts:
        text = script.read_text()
        if not text.startswith("#!/usr/bin/env bash\n") and "shellcheck shell=bash" not in text:
            problems.append(f"{script}: the first line is not #!/usr/bin/env bash")
        for number, line in enumerate(text.splitlines(), 1):
            if len(line) > 120:
                problems.append(f"{script}:{number}: {len(line)} columns")
        # A setting at the top, NAME=${NAME:-default}, has a line of why above it.
        lines = text.splitlines()
        for above, line in zip(lines, lines[1:]):
            if script.name.endswith((".sbatch", "run.sh")) and re.match(r"(export )?[A-Z_]+=\$\{[A-Z_]+:-", line):
                if not above.startswith("#"):
                    problems.append(f"{script}: no line of why above {line}")
    if shutil.which("shellcheck"):
        check = subprocess.run(["shellcheck", "-x", "-P", "SCRIPTDIR", *map(str, scripts)], capture_output=True,
                               text=True)
        if check.returncode != 0:
            problems.append(check.stdout + check.stderr)
    for problem in problems:
        print(problem)
    if not problems and not shutil.which("shellcheck"):
        print("skipped: no shellcheck here")
        sys.exit(77)
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
