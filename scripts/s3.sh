#!/usr/bin/env bash
# Runs a real S3 server (versitygw, over a folder) on this machine, for tests: loopback only, with data of its own.
#
#   scripts/s3.sh start  [--port N] [--dir DIR] [--timeout 30]   prints the endpoint; the bucket eventlake is there
#   scripts/s3.sh stop   [--dir DIR] [--wipe]     stops the server it started; --wipe removes its data too
#   scripts/s3.sh crash  [--dir DIR]              SIGKILL; `start` goes on from the data
#   scripts/s3.sh freeze [--dir DIR]              SIGSTOP: it holds its connections and answers nothing
#   scripts/s3.sh thaw   [--dir DIR]              SIGCONT
#   scripts/s3.sh status [--dir DIR]              endpoint and pid; exit 1 when it does not run
#   scripts/s3.sh install                         the program alone, and its path
#
# Let in is AWS_ACCESS_KEY_ID=eventlake with AWS_SECRET_ACCESS_KEY=correct/horse+battery. `--port 0` takes a free port. A missing
# versitygw is built by Go (some minutes the first time) into EVENTLAKE_S3_HOME, by default ~/.cache/eventlake/versitygw. Flags have variables too: EVENTLAKE_S3_PORT,
# _DIR, _TIMEOUT. The folder's file system must have extended attributes.
# stdout carries the endpoint alone; everything else goes to stderr.
set -euo pipefail

VERSION=v1.8.0
ACCESS_KEY=eventlake
# Of a server that nobody else reaches; characters that a URL escapes are part of the test.
SECRET_KEY='correct/horse+battery'
BUCKET=eventlake

say() { echo "s3.sh: $*" >&2; }
die() {
    say "error: $*"
    exit 1
}

usage() {
    sed -n '2,16s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

COMMAND="${1:-}"
[ $# -gt 0 ] && shift
PORT="${EVENTLAKE_S3_PORT:-}"
DIR="${EVENTLAKE_S3_DIR:-${TMPDIR:-/tmp}/eventlake-s3-$(id -u)}"
TIMEOUT="${EVENTLAKE_S3_TIMEOUT:-30}"
HOME_DIR="${EVENTLAKE_S3_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/eventlake/versitygw}"
WIPE=no
while [ $# -gt 0 ]; do
    case "$1" in
    --port | --dir | --timeout)
        [ $# -ge 2 ] || die "$1 needs a value"
        case "$1" in
        --port) PORT="$2" ;;
        --dir) DIR="$2" ;;
        --timeout) TIMEOUT="$2" ;;
        esac
        shift 2
        ;;
    --wipe)
        WIPE=yes
        shift
        ;;
    *) die "unknown flag $1 (see the head of $0)" ;;
    esac
done
[[ "${PORT:-0}" =~ ^[0-9]+$ ]] || die "--port wants a number, found '$PORT'"
[[ "$TIMEOUT" =~ ^[0-9]+$ ]] || die "--timeout wants whole seconds, found '$TIMEOUT'"

# The program's path; built where it is missing. Several that start at once wait for one of them.
program() {
    local home="$HOME_DIR/$VERSION"
    local found="$home/bin/versitygw"
    if [ ! -x "$found" ]; then
        command -v go >/dev/null || die "versitygw is missing, and Go, which builds it. hint: install Go (https://go.dev/dl)"
        mkdir -p "$home"
        (
            flock 9
            [ ! -x "$found" ] || exit 0
            say "building versitygw $VERSION into $home"
            # Modules are not kept: they are ten times what comes of them.
            GOPATH="$home/go" GOBIN="$home/made" GOFLAGS=-modcacherw \
                go install "github.com/versity/versitygw/cmd/versitygw@$VERSION" >"$home/build.log" 2>&1 || {
                tail -n 5 "$home/build.log" >&2
                die "versitygw could not be built; the log is $home/build.log"
            }
            mkdir -p "$home/bin"
            mv "$home/made/versitygw" "$found"
            rm -rf "$home/go" "$home/made"
        ) 9>"$home/lock" || exit 1
    fi
    echo "$found"
}

settle() {
    DIR=$(cd "$DIR" 2>/dev/null && pwd) || return 1
    DATA="$DIR/data" LOG="$DIR/versitygw.log"
}

# The pid that was noted, if that process is still the server of this very folder: a recycled pid never passes.
running_pid() {
    local pid
    pid=$(cat "$DIR/pid" 2>/dev/null) || return 1
    [ -n "$pid" ] && [ -r "/proc/$pid/cmdline" ] || return 1
    tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF "$DATA" || return 1
    echo "$pid"
}

endpoint() { echo "http://127.0.0.1:$(cat "$DIR/port")"; }

port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

pick_port() {
    local candidate
    for _ in $(seq 100); do
        candidate=$((20000 + RANDOM % 12000))
        if ! port_taken "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    die "no free port found between 20000 and 32000"
}

start() {
    local pid bin
    bin=$(program)
    mkdir -p "$DIR"
    settle
    if pid=$(running_pid); then
        say "runs already, pid $pid"
        endpoint
        return
    fi
    # A server that is started again keeps its port unless another is asked for.
    if [ -z "$PORT" ]; then
        [ -e "$DIR/port" ] && PORT=$(cat "$DIR/port") || PORT=7070
    fi
    [ "$PORT" = 0 ] && PORT=$(pick_port)
    if port_taken "$PORT"; then die "port $PORT is in use by another program. hint: --port 0 takes a free one"; fi
    echo "$PORT" >"$DIR/port"
    # A folder is a bucket.
    mkdir -p "$DATA/$BUCKET"
    # It goes on in a session of its own: a Ctrl-C in the caller's terminal is not the server's.
    ROOT_ACCESS_KEY="$ACCESS_KEY" ROOT_SECRET_KEY="$SECRET_KEY" setsid "$bin" --port "127.0.0.1:$PORT" --keep-alive --quiet \
        posix "$DATA" </dev/null >"$LOG" 2>&1 9>&- &
    pid=$!
    echo "$pid" >"$DIR/pid"
    for _ in $(seq $((TIMEOUT * 10))); do
        kill -0 "$pid" 2>/dev/null || break
        if port_taken "$PORT"; then
            say "versitygw $VERSION is ready, pid $pid, log $LOG"
            endpoint
            return
        fi
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
    tail -n 20 "$LOG" >&2
    die "the server did not start within $TIMEOUT s; its log is $LOG"
}

stop() {
    local pid
    settle || { say "does not run (no $DIR)" && return; }
    if pid=$(running_pid); then
        kill -CONT "$pid"
        kill -TERM "$pid"
        for _ in $(seq 50); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        if kill -0 "$pid" 2>/dev/null; then
            say "pid $pid did not stop within 5 s: SIGKILL"
            kill -KILL "$pid" 2>/dev/null || true
        fi
        say "stopped pid $pid"
    else
        say "does not run"
    fi
    if [ "$WIPE" = yes ]; then rm -rf "${DATA:?}" "$LOG" "$DIR/port" "$DIR/pid"; fi
}

# signalled NAME: to a server that runs.
signalled() {
    local pid
    settle && pid=$(running_pid) || die "does not run"
    kill "-$1" "$pid"
    if [ "$1" = KILL ]; then
        while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
    fi
    say "SIG$1 to pid $pid"
}

status() {
    local pid
    settle && pid=$(running_pid) || die "does not run"
    say "runs, pid $pid, data in $DATA"
    endpoint
}

case "$COMMAND" in
start) start ;;
stop) stop ;;
crash) signalled KILL ;;
freeze) signalled STOP ;;
thaw) signalled CONT ;;
status) status ;;
install) program ;;
*) usage ;;
esac
