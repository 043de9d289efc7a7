#!/usr/bin/env bash
# Runs a server that speaks MongoDB's protocol on this machine, for tests: FerretDB 1 over SQLite, loopback only, no telemetry.
#
#   scripts/mongo.sh start  [--port N] [--dir DIR] [--timeout 60] [--tls]   prints the URL, with its password
#   scripts/mongo.sh stop   [--dir DIR] [--wipe]     stops the server it started; --wipe removes its data too
#   scripts/mongo.sh crash  [--dir DIR]              SIGKILL; `start` goes on from the data
#   scripts/mongo.sh freeze [--dir DIR]              SIGSTOP: it holds its connections and answers nothing
#   scripts/mongo.sh thaw   [--dir DIR]              SIGCONT
#   scripts/mongo.sh status [--dir DIR]              URL and pid; exit 1 when it does not run
#
# Needs Go 1.22 or newer the first time: FerretDB is built from its sources at a pinned version, some minutes, into
# EVENTLAKE_MONGO_HOME (default ~/.cache/eventlake/ferretdb), where later runs find it. `--port 0` takes a free port.
# With `--tls` it speaks TLS alone, with a certificate of an authority of its own, whose file the URL names (needs openssl).
# Flags have variables too: EVENTLAKE_MONGO_PORT, _DIR, _TIMEOUT.
# stdout carries the URL alone; everything else goes to stderr.
set -euo pipefail

VERSION=v1.24.0
MODULE=github.com/FerretDB/FerretDB
# What the checksum database says of this version: other sources are not built.
SUM=h1:7WJmezL48Bj9bYWnhT/bEJgX5gjT5s7LFdHTqkN25rA=

# The password is of a server that nobody else reaches; characters that a URL escapes are part of the test.
SERVER_USER=eventlake
SERVER_PASSWORD='correct:horse/battery@staple'
URL_PASSWORD='correct%3Ahorse%2Fbattery%40staple'
DATABASE=eventlake

say() { echo "mongo.sh: $*" >&2; }
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
HOME_DIR="${EVENTLAKE_MONGO_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/eventlake/ferretdb}"
PORT="${EVENTLAKE_MONGO_PORT:-}"
DIR="${EVENTLAKE_MONGO_DIR:-${TMPDIR:-/tmp}/eventlake-mongo-$(id -u)}"
TIMEOUT="${EVENTLAKE_MONGO_TIMEOUT:-60}"
WIPE=no
TLS=no
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
    --tls)
        TLS=yes
        shift
        ;;
    *) die "unknown flag $1 (see the head of $0)" ;;
    esac
done
[[ "${PORT:-0}" =~ ^[0-9]+$ ]] || die "--port wants a number, found '$PORT'"
[[ "$TIMEOUT" =~ ^[0-9]+$ ]] || die "--timeout wants whole seconds, found '$TIMEOUT'"

# The program, built where it is missing. `go install` alone gives one that refuses to start: its version stands in a file
# that is not among its sources.
program() {
    local built="$HOME_DIR/ferretdb-$VERSION-1" work sources sum
    if [ -x "$built" ]; then
        echo "$built"
        return
    fi
    command -v go >/dev/null || die "Go is missing, which FerretDB is built with. hint: install it (Debian 13 or newer: golang; https://go.dev/dl)"
    local go
    go=$(go env GOVERSION 2>/dev/null | sed 's/^go1\.\([0-9]*\).*/\1/')
    [ "${go:-0}" -ge 22 ] || die "Go 1.22 or newer is needed, found $(go version). hint: Debian 12's is too old; https://go.dev/dl"
    say "building FerretDB $VERSION once, into $HOME_DIR (some minutes)"
    mkdir -p "$HOME_DIR"
    work=$(mktemp -d "$HOME_DIR/build.XXXXXX")
    (cd "$work" && go mod download -json "$MODULE@$VERSION" >download.json) || {
        cat "$work/download.json" >&2
        die "FerretDB's sources could not be fetched. hint: go env GOPROXY says where Go looks for them"
    }
    sources=$(sed -n 's/.*"Dir": "\(.*\)",*$/\1/p' "$work/download.json")
    sum=$(sed -n 's/.*"Sum": "\(.*\)",*$/\1/p' "$work/download.json")
    [ "$sum" = "$SUM" ] || die "FerretDB's sources are not those that were looked at: expected $SUM, found $sum"
    cp -R "$sources" "$work/sources"
    chmod -R u+w "$work/sources"
    echo "$VERSION" >"$work/sources/build/version/version.txt"
    sign_in_as_mongodb "$work/sources/internal/handler/msg_saslcontinue.go"
    (cd "$work/sources" && go build -o "$work/ferretdb" ./cmd/ferretdb >&2) || die "FerretDB could not be built"
    # Two that build at once both end up with a whole program.
    mv "$work/ferretdb" "$built"
    rm -rf "$work"
    echo "$built"
}

# MongoDB says with its last word of SCRAM that the client is in, since version 4.4; FerretDB 1 waits for one more message, which
# the Rust driver does not send.
sign_in_as_mongodb() {
    sed -i -e 's|"done", valid, // for compatibility.*|"done", conv.Valid(),|' \
        -e 's|^\t\(h.L.DebugContext(connCtx, "saslContinue: step succeed".*\)|\tif conv.Valid() {\n\t\tconninfo.Get(connCtx).SetBypassBackendAuth()\n\t}\n\t\1|' "$1"
    [ "$(grep -c '"done", conv.Valid(),\|SetBypassBackendAuth()' "$1")" = 3 ] || die "FerretDB's $(basename "$1") is not what was expected"
}

settle() {
    DIR=$(cd "$DIR" 2>/dev/null && pwd) || return 1
    DATA="$DIR/data" LOG="$DIR/ferretdb.log"
}

# The pid of the server that was started, if that process is still the server of this very folder: a recycled pid never passes.
running_pid() {
    local pid
    pid=$(cat "$DIR/pid" 2>/dev/null) || return 1
    [ -n "$pid" ] && [ -r "/proc/$pid/cmdline" ] || return 1
    tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF -- "--sqlite-url=file:$DATA/" || return 1
    echo "$pid"
}

url() {
    local tls=""
    if [ -e "$DIR/tls/server.pem" ]; then tls="?tls=true&tlsCAFile=$DIR/tls/authority.pem"; fi
    echo "mongodb://$SERVER_USER:$URL_PASSWORD@127.0.0.1:$(cat "$DIR/port")/$DATABASE$tls"
}

# A certificate for 127.0.0.1, and the authority that it is of.
certify() {
    mkdir -p "$DIR/tls"
    (
        cd "$DIR/tls"
        openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=authority -addext basicConstraints=critical,CA:TRUE \
            -keyout authority.key -out authority.pem
        openssl req -newkey rsa:2048 -nodes -subj /CN=127.0.0.1 -keyout server.key -out server.csr
        printf 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n' >extensions
        openssl x509 -req -in server.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 30 -extfile extensions -out server.pem
    ) >"$DIR/openssl.log" 2>&1 || {
        cat "$DIR/openssl.log" >&2
        die "no certificate could be made. hint: is openssl installed?"
    }
}

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
    mkdir -p "$DIR"
    settle
    if pid=$(running_pid); then
        say "runs already, pid $pid"
        url
        return
    fi
    bin=$(program)
    # A server that is started again keeps its port unless another is asked for.
    if [ -z "$PORT" ]; then
        [ -e "$DIR/port" ] && PORT=$(cat "$DIR/port") || PORT=27017
    fi
    [ "$PORT" = 0 ] && PORT=$(pick_port)
    if port_taken "$PORT"; then die "port $PORT is in use by another program. hint: --port 0 takes a free one"; fi
    echo "$PORT" >"$DIR/port"
    mkdir -p "$DATA"
    if [ "$TLS" = yes ] && [ ! -e "$DIR/tls/server.pem" ]; then certify; fi
    local listen=(--listen-addr="127.0.0.1:$PORT")
    if [ -e "$DIR/tls/server.pem" ]; then
        listen=(--listen-addr= --listen-tls="127.0.0.1:$PORT" --listen-tls-cert-file="$DIR/tls/server.pem" --listen-tls-key-file="$DIR/tls/server.key")
    fi
    # In a session of its own: a Ctrl-C in the caller's terminal is not the server's. No variable may say otherwise.
    (
        cd "$DIR"
        exec setsid env -i HOME="$DIR" "$bin" --handler=sqlite --sqlite-url="file:$DATA/" --state-dir="$DIR" \
            "${listen[@]}" --debug-addr=- --telemetry=disable --log-level=WARN \
            --test-enable-new-auth --setup-username="$SERVER_USER" --setup-password="$SERVER_PASSWORD" \
            --setup-database="$DATABASE" </dev/null >>"$LOG" 2>&1
    ) &
    pid=$!
    echo "$pid" >"$DIR/pid"
    for _ in $(seq $((TIMEOUT * 10))); do
        kill -0 "$pid" 2>/dev/null || break
        if port_taken "$PORT"; then
            say "FerretDB $VERSION is ready, pid $pid, log $LOG"
            url
            return
        fi
        sleep 0.1
    done
    tail -n 20 "$LOG" >&2
    kill -KILL "$pid" 2>/dev/null || true
    die "the server did not start within $TIMEOUT s; its log is $LOG"
}

# Until a process is gone, for so many tenths of a second.
gone() {
    for _ in $(seq "$2"); do
        kill -0 "$1" 2>/dev/null || return 0
        sleep 0.1
    done
    return 1
}

stop() {
    local pid
    settle || { say "does not run (no $DIR)" && return; }
    if pid=$(running_pid); then
        kill -CONT "$pid"
        kill -TERM "$pid"
        # It waits for clients that are connected: what it was told is on the disk by then.
        if ! gone "$pid" 30; then kill -KILL "$pid" 2>/dev/null || true; fi
        gone "$pid" 100 || die "pid $pid does not end"
        say "stopped pid $pid"
    else
        say "does not run"
    fi
    if [ "$WIPE" = yes ]; then rm -rf "${DATA:?}" "$LOG" "$DIR/port" "$DIR/pid" "$DIR/state.json" "$DIR/tls" "$DIR/openssl.log"; fi
}

# signalled NAME: to a server that runs.
signalled() {
    local pid
    settle && pid=$(running_pid) || die "does not run"
    kill "-$1" "$pid"
    if [ "$1" = KILL ]; then gone "$pid" 100 || die "pid $pid does not end"; fi
    say "SIG$1 to pid $pid"
}

status() {
    local pid
    settle && pid=$(running_pid) || die "does not run"
    say "runs, pid $pid, data in $DATA"
    url
}

case "$COMMAND" in
start) start ;;
stop) stop ;;
crash) signalled KILL ;;
freeze) signalled STOP ;;
thaw) signalled CONT ;;
status) status ;;
*) usage ;;
esac
