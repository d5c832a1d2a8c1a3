#!/usr/bin/env bash
# From a bare Debian 12 to a trained and evaluated ensemble: packages, dependencies, build, five experts on two
# ranks, the score table and one question. Calling it again repeats nothing that is finished.
#   launch/quickstart.sh [--gpu | --cpu] [--prepare] [--no-packages] [--preset release|cpu]
# Where an NVIDIA driver is found it sets up and builds for GPUs (CUDA libraries and NCCL, 4 GB), else for the CPU.
#   --gpu          for GPUs although there is no driver here, e.g. on a login node
#   --cpu          for the CPU although there is a driver
#   --prepare      sets up and builds, trains nothing: for a machine with network, before one without
#   --no-packages  what the Debian packages hold comes from elsewhere (modules, conda)
# More ways in (not root, other systems, offline, your own MPI or LibTorch, a container): launch/README.md
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

preset=release asked='' prepare=''
while [ $# -gt 0 ]; do
  case "$1" in
    --gpu | --cpu) asked=${1#--} ;;
    --prepare) prepare=1 ;;
    --no-packages) NO_PACKAGES=1 ;;
    --preset) preset=${2:?--preset needs a name}; shift ;;
    --help) sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" | grep -v '^set '; exit 0 ;;
    *) sed -n '4s/^# \{0,1\}/usage:/p' "${BASH_SOURCE[0]}" >&2; die "unknown argument $1 (--help says more)" ;;
  esac
  shift
done
[ "$preset" != cpu ] || [ "$asked" = gpu ] || asked=cpu
[ "$preset $asked" != "cpu gpu" ] || die "--preset cpu never has GPU code: leave out one of --preset cpu and --gpu"

choose_set "$asked"
install_dependencies
close_dependencies
build "$preset" baton

cd "$ROOT"
baton=build/$preset/baton
run=runs/quickstart
if [ -n "$prepare" ]; then
  say "set up and built: $baton. Nothing was trained; the same command without --prepare goes on, without a network"
  exit 0
fi
ranks=$(useful_ranks)
say "training: five experts, ranks: $ranks"
run_ranks "$ranks" "$baton" train --config configs/quickstart.cfg
say "evaluation: every stage of the chain on every task"
run_ranks "$ranks" "$baton" eval --run "$run"
# In the words of the task plural; the noun is in none of its rows.
question="This is a teapot. Now there is another one. There are two"
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
