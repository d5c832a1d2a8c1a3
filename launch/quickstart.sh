#!/usr/bin/env bash
# From a bare Debian 12 to a trained and evaluated ensemble: packages, dependencies, build, five experts on two
# ranks, the score table and one question. Calling it again repeats nothing that is finished.
#   launch/quickstart.sh [--preset release|cpu]
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

preset=release
case "${1:-}" in
  --preset) preset=${2:?--preset needs a name} ;;
  '') ;;
  *) sed -n '2,4s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; [ "$1" = --help ] && exit 0; exit 2 ;;
esac

install_dependencies
close_dependencies
build "$preset" baton

cd "$ROOT"
baton=build/$preset/baton
run=runs/quickstart
say "training: five experts, two ranks"
run_ranks 2 "$baton" train --config configs/quickstart.cfg
say "evaluation: every stage of the chain on every task"
run_ranks 2 "$baton" eval --run "$run"
question=$("$DEPS/tools/bin/python" -c '
import json
task = json.load(open(".deps/tasks/plural.json", encoding="utf-8"))
print(task.get("task_prefix", "") + task["examples"][-1]["input"])')
say "one question"
printf '> %s\n' "$question"
"$baton" ask --run "$run" "$question" </dev/null
say "done. What to look at:"
cat <<EOF
  $run/run.json               what was trained from what, and every file's SHA-256
  $run/experts/               one HDF5 file per expert       ($baton inspect $run)
  $run/buffers/               the rehearsal rows
  $run/eval/results.json      the score matrix and all numbers above
  $run/eval/predictions.jsonl every answer
  configs/quickstart.cfg      the settings; run this script again after adding a task
EOF
