#!/usr/bin/env bash
# From a bare Debian 12 to a tested build: everything that quickstart.sh needs, the oracles (transformers, peft and
# friends with the full CUDA wheels), a full build and all tests.
#   launch/test.sh [--nightly] [--gpu | --cpu] [--no-packages] [--preset release|cpu|debug] [ctest arguments: -L unit]
# --nightly: ten times as many kills, flips and cuts, and more of Slurm (about an hour more). --gpu, --cpu,
# --no-packages: as quickstart.sh has them.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

preset=release asked=''
while true; do
  case "${1:-}" in
    --nightly) export BATON_NIGHTLY=1; shift ;;
    --gpu | --cpu) asked=${1#--}; shift ;;
    --no-packages) NO_PACKAGES=1; shift ;;
    --preset) preset=${2:?--preset needs a name}; shift 2 ;;
    --help) sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" | grep -v '^set '; exit 0 ;;
    *) break ;;
  esac
done
[ "$preset" != cpu ] || asked=cpu

# shellcheck disable=SC2034  # install_libtorch reads it
KEEP_WHEELS=1
choose_set "$asked"
# The oracles bring LibTorch with CUDA.
[ "$TORCH_SET" != cuda ] || TORCH_SET=oracles
if [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; then
  PACKAGES+=("${TEST_PACKAGES[@]}")
else
  say "not root: tests that need ${TEST_PACKAGES[*]} are skipped where these are missing"
fi
install_dependencies
item oracles "$ROOT/launch/requirements-oracles.txt" -- install_oracles
close_dependencies
build "$preset"
cd "$ROOT"
say "tests"
ctest --preset "$preset" --parallel "$(build_jobs)" --no-tests=error \
  --output-junit "$ROOT/build/$preset/tests.xml" "$@" </dev/null
say "tests passed"
