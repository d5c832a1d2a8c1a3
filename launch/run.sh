#!/usr/bin/env bash
# Runs `baton train` or `baton eval` on this machine or on the hosts of a file, and starts the world again from its
# last saved state when a rank is lost or hangs.
#   launch/run.sh train --config FILE [--set section.key=value]...
#   launch/run.sh eval --run DIR [--set section.key=value]...
#   launch/run.sh doctor                 looks at the same ranks on the same hosts, once
# SIGUSR1, SIGTERM or SIGINT (Ctrl-C): the state is saved and the script ends with 75; the same command goes on from
# there. A second SIGTERM or SIGINT: leave at once. Exit codes are baton's own (see `baton --help`). They come from
# RUN/status.json, because launchers do not hand them through.
#
# Settings: edit the defaults here, or set the variables in the environment.
set -uo pipefail

# The program. Empty: the first of build/release/baton, build/cpu/baton and `baton` in PATH.
BATON=${BATON:-}
# mpirun, or srun inside a Slurm job (the scripts in slurm/ set that).
LAUNCHER=${LAUNCHER:-mpirun}
# Processes in all. Empty: what the host file's slots add up to; without one a rank for each GPU, else two.
RANKS=${RANKS:-}
# A file of lines "HOST slots=N". Empty: this machine alone. Every host needs this folder, the model, the data and the
# run folder under the same paths, and must let you in by ssh without a question.
HOSTFILE=${HOSTFILE:-}
# Ranks on each host: its GPUs, as a rule. Empty: the slots of the host file.
RANKS_PER_HOST=${RANKS_PER_HOST:-}
# Threads of each rank. Empty: the cores of a machine shared evenly by its ranks.
THREADS=${THREADS:-}
# What mpirun pins a rank to: none, core, numa, socket. Small machines share their cores more fairly without pins.
BIND=${BIND:-none}
# More arguments for the launcher, e.g. "--mca btl_tcp_if_include eth0" where hosts have several networks.
LAUNCH_ARGS=${LAUNCH_ARGS:-}
# So many restarts without a new saved state or a newly finished expert in between, then it gives up.
MAX_RESTARTS=${MAX_RESTARTS:-3}
# 1: a Slurm job that was stopped and whose state is saved asks to be queued again (the scripts in slurm/ set it).
REQUEUE=${REQUEUE:-0}

usage() {
  sed -n '/^# Runs/,/^# launchers/s/^# launchers/launchers/;2,11s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"
  sed -n 's/^\([A-Z_]*\)=\${[A-Z_]*:-\(.*\)}$/  \1 (default: \2)/p' "${BASH_SOURCE[0]}" | sed 's/: )/: empty)/'
}
say() { printf 'run.sh: %s\n' "$*" >&2; }
fail() {  # fail CODE TEXT
  say "$2"
  exit "$1"
}

# A launcher that refuses a number of ranks looks like one that lost a rank, so numbers are checked here.
check_number() {  # check_number NAME LEAST: the variable NAME is empty or a whole number
  case "${!1}" in
    '') return 0 ;;
    *[!0-9]* | ????????*) fail 2 "$1 is '${!1}': a whole number from $2 on" ;;
  esac
  [ "$((10#${!1}))" -ge "$2" ] || fail 2 "$1 is '${!1}': a whole number from $2 on"
  printf -v "$1" '%d' "$((10#${!1}))"
}

find_baton() {
  local root candidate
  root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
  if [ -n "$BATON" ]; then
    [ -x "$BATON" ] || fail 2 "BATON=$BATON is no program; build one with launch/quickstart.sh, or leave BATON empty"
    return
  fi
  for candidate in "$root/build/release/baton" "$root/build/cpu/baton" "$(command -v baton)"; do
    [ -x "$candidate" ] && BATON=$candidate && return
  done
  fail 2 "no baton program in $root/build: run launch/quickstart.sh, or name one in BATON"
}

# The run folder that the arguments name: --run, the key output.output_dir, or that of the config file.
find_run() {
  local config='' from_line='' argument
  run=''
  while [ $# -gt 0 ]; do
    argument=$1
    case "$argument" in
      --run | --config | --set | --output.output_dir) [ $# -gt 1 ] || return 0; shift; argument="$argument=$1" ;;
    esac
    case "$argument" in
      --run=*) run=${argument#*=} ;;
      --config=*) config=${argument#*=} ;;
      --set=output.output_dir=*) from_line=${argument#--set=*=} ;;
      --output.output_dir=*) from_line=${argument#*=} ;;
    esac
    shift
  done
  [ -z "$from_line" ] || run=$from_line
  if [ -z "$run" ] && [ -f "$config" ] && [ -r "$config" ]; then
    # Through stdin: awk takes a file name with "=" in it for an assignment.
    run=$(awk '{ sub(/\r$/, ""); sub(/^[ \t]+/, ""); sub(/[ \t]+$/, "") }
      /^\[/ { section = $0; gsub(/[][ \t]/, "", section) }
      section == "output" && /^output_dir[ \t]*=/ { sub(/^[^=]*=[ \t]*/, ""); print; exit }' <"$config")
  fi
}

choose_ranks() {
  [ -z "$RANKS" ] && [ -z "$HOSTFILE" ] && [ -z "$RANKS_PER_HOST" ] && [ "$LAUNCHER" = mpirun ] || return 0
  RANKS=$(nvidia-smi --list-gpus 2>/dev/null | grep -c '^GPU')
  [ "$RANKS" -gt 0 ] || RANKS=2
}

# The launcher's words, without the program, in the array `launch`.
build_launch() {
  read -ra extra <<<"$LAUNCH_ARGS"
  case "$LAUNCHER" in
    mpirun)
      launch=(mpirun)
      [ "$(id -u)" != 0 ] || launch+=(--allow-run-as-root)
      hosts=()
      if [ -n "$HOSTFILE" ]; then
        [ -r "$HOSTFILE" ] || fail 2 "HOSTFILE=$HOSTFILE cannot be read"
        hosts=(--hostfile "$HOSTFILE")
      elif [ -z "${SLURM_JOB_ID:-}" ]; then
        hosts=(--oversubscribe)
      fi
      launch+=("${hosts[@]}" --bind-to "$BIND")
      [ -z "$RANKS_PER_HOST" ] || launch+=(--map-by "ppr:$RANKS_PER_HOST:node")
      [ -z "$RANKS" ] || launch+=(-n "$RANKS")
      ;;
    srun)
      launch=(srun --mpi=pmix --kill-on-bad-exit=1)
      # srun itself does not look at the job's --cpus-per-task.
      [ -z "${SLURM_CPUS_PER_TASK:-}" ] || launch+=("--cpus-per-task=$SLURM_CPUS_PER_TASK")
      [ -z "$RANKS" ] || launch+=("--ntasks=$RANKS")
      [ -z "$RANKS_PER_HOST" ] || launch+=("--ntasks-per-node=$RANKS_PER_HOST")
      ;;
    *) fail 2 "LAUNCHER is '$LAUNCHER': mpirun or srun" ;;
  esac
  launch+=("${extra[@]}")
  # Containers often forbid the single-copy path between processes.
  export OMPI_MCA_btl_vader_single_copy_mechanism=${OMPI_MCA_btl_vader_single_copy_mechanism:-none}
}

# One process on every host before anything is begun: a host that is not there is told from a rank that was lost.
# ssh may wait for minutes for a silent address.
check_hosts() {
  [ "$LAUNCHER" = mpirun ] && [ -n "$HOSTFILE" ] || return 0
  local root=() answer
  [ "$(id -u)" != 0 ] || root=(--allow-run-as-root)
  answer=$(timeout 60 mpirun "${root[@]}" "${hosts[@]}" "${extra[@]}" --bind-to none --map-by ppr:1:node true \
    </dev/null 2>&1) && return 0
  printf '%s\n' "$answer" | tail -n 25 >&2
  say "not every host of $HOSTFILE could be reached, so nothing was started."
  say "Try 'ssh HOST true' for each of them; correct or remove the ones that do not answer."
  return 1
}

# ------------------------------------------------------------------ one attempt

stopping='' interrupted='' world=''

# shellcheck disable=SC2317  # called by the traps
ask_to_stop() {  # ask_to_stop SIGNAL
  interrupted=1
  if [ -z "$stopping" ]; then
    stopping=$1
    say "$1: asking the ranks to save their state and leave"
    [ -z "$world" ] || pass_stop_on
  elif [ "$1" != SIGUSR1 ]; then
    say "$1 again: leaving now"
    [ -z "$world" ] || kill -TERM "$world" 2>/dev/null
  fi
}

# Launchers hand SIGUSR1 to every rank and kill nothing. Ranks that are just starting do not listen yet: so again and
# again until the world has ended.
pass_stop_on() {
  while kill -USR1 "$world" 2>/dev/null; do sleep 2; done >/dev/null 2>&1 &
  repeater=$!
}

run_world() {  # run_world COMMAND...: its status is left in $launcher_status
  local own_session=()
  # Ctrl-C at a terminal goes to all processes of a session, but mpirun would kill its ranks at once. If this script
  # is killed, the world saves its state and leaves. A Slurm step stays where Slurm looks for it.
  if [ "$LAUNCHER" = mpirun ] && command -v setsid >/dev/null; then
    own_session=(setsid)
    ! command -v setpriv >/dev/null || own_session+=(setpriv --pdeathsig USR1)
  fi
  repeater=''
  (
    trap '' USR1
    exec "${own_session[@]}" "$@" </dev/null
  ) &
  world=$!
  [ -z "$stopping" ] || pass_stop_on
  launcher_status=127
  local status
  while :; do
    interrupted=''
    wait "$world"
    status=$?
    [ $status = 127 ] || launcher_status=$status
    [ -n "$interrupted" ] || break
  done
  world=''
  [ -z "$repeater" ] || { kill "$repeater"; wait "$repeater"; } 2>/dev/null
}

# One value of the newest note: the first failure of an attempt, or else the state.
noted() {  # noted KEY
  local file=$run/status.json
  [ ! -s "$run/failure.json" ] || file=$run/failure.json
  sed -n "s/^  \"$1\": \"\{0,1\}\(.*[^\",]\)\"\{0,1\},\{0,1\}\$/\1/p" "$file" 2>/dev/null | head -n 1
}

notes_print() { cat "$run/status.json" "$run/failure.json" 2>/dev/null | cksum; }

# Finished experts, whole generations of training state, evaluation so far.
progress_print() {
  (
    cd "$run" 2>/dev/null &&
      find experts checkpoints eval \( -name '*.h5' -path 'experts/*' -printf '%p\n' \) -o \
        \( -name COMPLETE -printf '%p\n' \) -o \( -path 'eval/*' -type f -printf '%p %s\n' \) 2>/dev/null | sort
  ) | cksum
}

# How the attempt ended, in $code: from what the program noted; where it noted nothing (it ended before it had opened
# the run folder), from the launcher's status when that is a code of the program.
judge() {  # judge NOTES_BEFORE
  local state=''
  code=''
  [ "$1" = "$(notes_print)" ] || state=$(noted state)
  case "$state" in
    done) code=0 ;;
    failed) code=$(noted exit_code) ;;
    # Survivors of a lost rank are asked to stop by the launcher and note that too, but such a world cannot end in an
    # orderly way: its lock stays.
    stopped) { [ -z "$stopping" ] && [ -e "$run/run.lock" ]; } || code=75 ;;
  esac
  [ -z "$code" ] || return 0
  case "$launcher_status" in
    2 | 3 | 4 | 5 | 7 | 8 | 70 | 75) code=$launcher_status ;;
    0) if [ -z "$state" ]; then code=0; else code=6; fi ;;
    *) if [ -n "$stopping" ] && [ -z "$state" ]; then code=75; else code=6; fi ;;
  esac
}

explain() {
  case "$code" in
    0) ;;
    75) say "stopped; the state is saved: run the same command again to go on" ;;
    6) say "a rank was lost (the launcher ended with $launcher_status)" ;;
    8) say "the run hung: $(noted error)" ;;
    5) say "storage failed; free space or fix the folder $run, then run the same command again (exit code 5)" ;;
    *) say "ended with exit code $code, which a restart would not change" ;;
  esac
}

supervise() {
  local before failures=0 print
  declare -A seen=()
  seen[$(progress_print)]=1
  while :; do
    before=$(notes_print)
    if check_hosts; then
      run_world "${launch[@]}" "$BATON" "$@"
      judge "$before"
      explain
    else
      code=6
      [ "$failures" -gt 0 ] || return 0
    fi
    [ "$code" = 6 ] || [ "$code" = 8 ] || return 0
    if [ -n "$stopping" ]; then
      say "it was asked to stop, so it is not started again; the same command goes on from the last saved state"
      return 0
    fi
    print=$(progress_print)
    if [ -z "${seen[$print]:-}" ]; then
      seen[$print]=1
      failures=0
    fi
    failures=$((failures + 1))
    if [ "$failures" -gt "$MAX_RESTARTS" ]; then
      say "giving up after $MAX_RESTARTS restarts without a new saved state or a finished expert (exit code $code)"
      return 0
    fi
    say "restart $failures of at most $MAX_RESTARTS without progress, in $((1 << (failures - 1))) s"
    sleep "$((1 << (failures - 1)))" &
    wait $!
    if [ -n "$stopping" ]; then
      code=75
      explain
      return 0
    fi
  done
}

# A stopped job goes back into the queue: asked for once for each of its starts, and not when the job was cancelled or
# when the last starts brought nothing new.
requeue() {
  local id=${SLURM_JOB_ID:-} start print same list=$run/logs/requeues.txt
  [ "$REQUEUE" = 1 ] && [ -n "$id" ] || return 0
  start="$id ${SLURM_RESTART_COUNT:-0}"
  [ -z "${SLURM_ARRAY_JOB_ID:-}" ] || id=${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}
  case "$stopping" in
    SIGTERM | SIGINT) say "job $id was cancelled or is at its time limit: it is not queued again"; return 0 ;;
  esac
  mkdir -p "$run/logs"
  if grep -qs "^$start " "$list"; then
    say "job $id has asked to be queued again already"
    return 0
  fi
  print=$(progress_print)
  same=$(tail -n "$MAX_RESTARTS" "$list" 2>/dev/null | grep -c " $print\$")
  if [ "$same" -ge "$((MAX_RESTARTS > 0 ? MAX_RESTARTS : 1))" ]; then
    say "job $id is not queued again: $MAX_RESTARTS starts brought no new saved state; give it more time (--time)"
    return 0
  fi
  echo "$start $print" >>"$list"
  if scontrol requeue "$id"; then
    say "job $id is queued again and goes on from the saved state"
  else
    say "job $id could not be queued again; submit the same script again to go on"
  fi
}

# Where the run folder is not known there is no state to go on from, and the program says what is missing.
main() {
  case "${1:-}" in
    --help | -h) usage; exit 0 ;;
    train | eval | doctor) ;;
    *) usage >&2; exit 2 ;;
  esac
  check_number MAX_RESTARTS 0
  check_number RANKS 1
  check_number RANKS_PER_HOST 1
  check_number THREADS 1
  find_baton
  find_run "$@"
  choose_ranks
  build_launch
  trap 'ask_to_stop SIGUSR1' USR1
  trap 'ask_to_stop SIGTERM' TERM
  trap 'ask_to_stop SIGINT' INT
  if [ "$1" = doctor ]; then
    check_hosts || exit 6
    run_world "${launch[@]}" "$BATON" "$@"
    exit "$launcher_status"
  fi
  if [ -z "$run" ]; then
    BATON_ALONE=1 "$BATON" "$@" </dev/null
    exit $?
  fi
  [ -z "$THREADS" ] || set -- "$@" --set "cluster.threads_per_rank=$THREADS"
  [ -z "${SLURM_JOB_ID:-}" ] ||
    say "Slurm job $SLURM_JOB_ID on ${SLURM_JOB_NODELIST:-?}, restart ${SLURM_RESTART_COUNT:-0}"
  supervise "$@"
  [ "$code" != 75 ] || requeue
  exit "$code"
}

# All of it is read before any of it runs, and main ends with exit: the file may be edited meanwhile.
main "$@"
