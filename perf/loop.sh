#!/usr/bin/env bash
# Runs loop.bt on a server; see --help.
set -euo pipefail

usage() {
  cat <<'HELP'
usage: perf/loop.sh [--pid PID] [--seconds N] [SCRIPT]

Listens at the trace points of a running server for N seconds (10) and prints histograms: how long a turn of a loop and
a slice of a fan-out take, sends a slice, nanoseconds a send, short sends, streams opened and ended. perf/README.md
tells how to read them. SCRIPT: another script for bpftrace; $1 in it is the seconds. Needs root and bpftrace.
HELP
}

fail() {
  echo "perf/loop.sh: $1" >&2
  exit 1
}

pid="" seconds=10 script=$(dirname "$(readlink -f "$0")")/loop.bt
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --pid) pid=${2:-}; shift 2 || fail '--pid needs a number' ;;
    --seconds) seconds=${2:-}; shift 2 || fail '--seconds needs a number' ;;
    -*) usage >&2; exit 2 ;;
    *) script=$1; shift ;;
  esac
done

[[ $seconds =~ ^[1-9][0-9]{0,2}$ && $seconds -le 600 ]] || fail 'seconds: 1 to 600'
[ -r "$script" ] || fail "$script: no such file"
command -v bpftrace >/dev/null || fail 'bpftrace is not installed (Debian: bpftrace)'
[ "$(id -u)" = 0 ] || fail 'bpftrace needs root'
[ -n "$pid" ] || pid=$(pgrep -n -x ringcast) || fail 'no process is called ringcast; name one with --pid'
[ -d "/proc/$pid" ] || fail "there is no process $pid"
# bpftrace would only say that it cannot get an argument.
grep -aq stapsdt "/proc/$pid/exe" ||
  fail "process $pid has no trace points: it was built without sys/sdt.h (Debian: systemtap-sdt-dev)"

# A lower limit of locked memory than bpftrace wants is no reason to say so: kernels since 5.11 do not look at it.
exec timeout --kill-after=5 "$((seconds + 60))" bpftrace -p "$pid" "$script" "$seconds" 2> >(grep -v RLIMIT_MEMLOCK >&2)
