#!/usr/bin/env bash
# Runs a real PostgreSQL on this machine, for tests: one server with data of its own, loopback only.
#
#   scripts/postgres.sh start  [--port N] [--dir DIR] [--timeout 60] [--secure]   prints the URL, with its password
#   scripts/postgres.sh stop   [--dir DIR] [--wipe]     stops the server it started; --wipe removes its data too
#   scripts/postgres.sh crash  [--dir DIR]              SIGKILL to all its processes; `start` goes on from the data
#   scripts/postgres.sh freeze [--dir DIR]              SIGSTOP to all its processes: it holds its connections and answers nothing
#   scripts/postgres.sh thaw   [--dir DIR]              SIGCONT
#   scripts/postgres.sh status [--dir DIR]              URL and pid; exit 1 when it does not run
#
# Needs PostgreSQL 15 or newer (Debian: postgresql). `--port 0` takes a free port. As root it runs as the user postgres,
# who must be able to reach the folder. Flags have variables too: EVENTLAKE_POSTGRES_PORT, _DIR, _TIMEOUT.
# With --secure (needs openssl) it speaks TLS, too, by a certificate for `localhost` alone, and lets the user of the URL in with and
# without, `plain` without only and everybody else with TLS only; `certified` shows a certificate instead of a password. It stays
# so when it is started again. DIR/secure/ then holds what a client needs, and what must fail: ca.pem and unknown-ca.pem (an
# authority that signed nothing), certified.crt and .key, stranger.crt and .key (a client's by nobody that the server knows), and for
# the server, which reads them anew after a reload, NAME.crt and .key: server, expired, bare (no name but its common name, X.509
# version 1), own (signed by itself, an authority) and curve (ECDSA with SHA-384).
# What it holds is not synced to the disk: it survives the server's end, not the machine's.
# stdout carries the URL alone; everything else goes to stderr.
set -euo pipefail

# The password is of a server that nobody else reaches; characters that a URL escapes are part of the test.
SERVER_USER=eventlake
SERVER_PASSWORD='correct:horse/battery@staple'
URL_PASSWORD='correct%3Ahorse%2Fbattery%40staple'

say() { echo "postgres.sh: $*" >&2; }
die() {
    say "error: $*"
    exit 1
}

usage() {
    sed -n '2,22s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

COMMAND="${1:-}"
[ $# -gt 0 ] && shift
PORT="${EVENTLAKE_POSTGRES_PORT:-}"
# Not below a home, into which root lets nobody.
DIR="${EVENTLAKE_POSTGRES_DIR:-${TMPDIR:-/tmp}/eventlake-postgres-$(id -u)}"
TIMEOUT="${EVENTLAKE_POSTGRES_TIMEOUT:-60}"
WIPE=no
SECURE=no
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
    --secure)
        SECURE=yes
        shift
        ;;
    *) die "unknown flag $1 (see the head of $0)" ;;
    esac
done
[[ "${PORT:-0}" =~ ^[0-9]+$ ]] || die "--port wants a number, found '$PORT'"
[[ "$TIMEOUT" =~ ^[0-9]+$ ]] || die "--timeout wants whole seconds, found '$TIMEOUT'"

# The folder with the programs of the newest version there is.
programs() {
    local found=""
    for found in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V); do :; done
    if [ ! -x "$found/initdb" ]; then
        command -v initdb >/dev/null || die "PostgreSQL is missing. hint: install it (Debian: postgresql)"
        found=$(dirname "$(command -v initdb)")
    fi
    local version
    version=$("$found/postgres" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
    [ "$version" -ge 15 ] || die "PostgreSQL 15 or newer is needed, found $version"
    echo "$found"
}

# Runs a command as whoever may run the server: never root.
as_server() {
    if [ "$(id -u)" = 0 ]; then
        (cd / && setpriv --reuid=postgres --regid=postgres --init-groups env HOME=/ "$@")
    else
        "$@"
    fi
}

settle() {
    DIR=$(cd "$DIR" 2>/dev/null && pwd) || return 1
    DATA="$DIR/data" LOG="$DIR/postgres.log"
}

# The pid in the server's own file, if that process is still the server of this very folder: a recycled pid never passes.
running_pid() {
    local pid
    pid=$(head -n 1 "$DATA/postmaster.pid" 2>/dev/null) || return 1
    [ -n "$pid" ] && [ -r "/proc/$pid/cmdline" ] || return 1
    tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF "$DATA" || return 1
    echo "$pid"
}

# The server's processes, itself first.
family() { echo "$1" "$(cat "/proc/$1/task/$1/children" 2>/dev/null || true)"; }

# signal NAME PID: to all of a server's processes; one that has just ended is no failure.
signal() {
    local pid
    for pid in $(family "$2"); do kill "-$1" "$pid" 2>/dev/null || true; done
}

url() { echo "postgres://$SERVER_USER:$URL_PASSWORD@127.0.0.1:$(cat "$DIR/port")/postgres"; }

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

# An authority, what it signed, and what it did not.
make_certificates() {
    local folder="$DIR/secure"
    command -v openssl >/dev/null || die "openssl is missing. hint: install it (Debian: openssl); --secure makes its certificates with it"
    rm -rf "$folder"
    mkdir -p "$folder"
    (
        umask 077
        cd "$folder"
        own() { openssl req -x509 -newkey rsa:2048 -nodes -days 3650 "$@"; }
        # signed NAME COMMON-NAME AUTHORITY FROM TO: FROM and TO are its dates.
        signed() {
            openssl req -newkey rsa:2048 -nodes -subj "/CN=$2" -keyout "$1.key" -out "$1.csr"
            openssl ca -batch -notext -config ca.conf -cert "$3.pem" -keyfile "$3.key" -startdate "$4" -enddate "$5" -in "$1.csr" -out "$1.crt"
        }
        for name in ca unknown-ca; do own -subj "/CN=eventlake test $name" -keyout "$name.key" -out "$name.pem"; done
        touch index.txt
        cat >ca.conf <<CONF
[ca]
default_ca=test
[test]
database=index.txt
new_certs_dir=.
default_md=sha256
rand_serial=yes
unique_subject=no
policy=any
x509_extensions=any_end
[any]
commonName=supplied
[any_end]
subjectAltName=DNS:localhost
CONF
        signed server localhost ca 20200101000000Z 20990101000000Z
        signed expired localhost ca 20200101000000Z 20200201000000Z
        signed certified certified ca 20200101000000Z 20990101000000Z
        signed stranger certified unknown-ca 20200101000000Z 20990101000000Z
        # As PostgreSQL's manual makes them: without extensions, and signed by itself.
        openssl req -newkey rsa:2048 -nodes -subj "/CN=localhost" -keyout bare.key -out bare.csr
        openssl x509 -req -in bare.csr -days 3650 -CA ca.pem -CAkey ca.key -CAcreateserial -out bare.crt
        own -subj "/CN=localhost" -addext "subjectAltName=DNS:localhost" -keyout own.key -out own.crt
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-384 -sha384 -nodes -days 3650 -subj "/CN=localhost" \
            -addext "subjectAltName=DNS:localhost" -addext "basicConstraints=critical,CA:FALSE" -keyout curve.key -out curve.crt
    ) >"$DIR/openssl.log" 2>&1 || {
        cat "$DIR/openssl.log" >&2
        rm -rf "$folder"
        die "the certificates could not be made"
    }
    # The server takes no key that another user may read, or owns.
    if [ "$(id -u)" = 0 ]; then chown -R postgres: "$folder"; fi
}

# TLS in the server's own files, where it stays.
secure_configuration() {
    as_server tee -a "$DATA/postgresql.conf" >/dev/null <<CONF
ssl = on
ssl_cert_file = '$DIR/secure/server.crt'
ssl_key_file = '$DIR/secure/server.key'
ssl_ca_file = '$DIR/secure/ca.pem'
CONF
    as_server tee "$DATA/pg_hba.conf" >/dev/null <<CONF
hostnossl all $SERVER_USER 127.0.0.1/32 scram-sha-256
hostnossl all plain        127.0.0.1/32 scram-sha-256
hostssl   all plain        127.0.0.1/32 reject
hostssl   all certified    127.0.0.1/32 cert
hostssl   all all          127.0.0.1/32 scram-sha-256
CONF
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
    bin=$(programs)
    # A server that is started again keeps its port unless another is asked for.
    if [ -z "$PORT" ]; then
        [ -e "$DIR/port" ] && PORT=$(cat "$DIR/port") || PORT=5432
    fi
    [ "$PORT" = 0 ] && PORT=$(pick_port)
    if port_taken "$PORT"; then die "port $PORT is in use by another program. hint: --port 0 takes a free one"; fi
    echo "$PORT" >"$DIR/port"
    if [ "$(id -u)" = 0 ]; then chown postgres: "$DIR"; fi
    as_server test -w "$DIR" || die "the user postgres cannot reach $DIR. hint: chmod a+x the folders above it"
    if [ ! -e "$DATA/PG_VERSION" ]; then
        echo "$SERVER_PASSWORD" | as_server tee "$DIR/password" >/dev/null
        as_server "$bin/initdb" -D "$DATA" --username="$SERVER_USER" --pwfile="$DIR/password" \
            --auth=scram-sha-256 --encoding=UTF8 --locale=C --no-sync >"$DIR/initdb.log" 2>&1 || {
            cat "$DIR/initdb.log" >&2
            die "the folder $DATA could not be made"
        }
    fi
    if [ "$SECURE" = yes ] && [ ! -e "$DIR/secure/ca.pem" ]; then
        make_certificates
        secure_configuration
    fi
    # It goes on in a session of its own: a Ctrl-C in the caller's terminal is not the server's.
    as_server "$bin/pg_ctl" start --silent --wait --timeout="$TIMEOUT" -D "$DATA" --log="$LOG" \
        -o "-p $PORT -h 127.0.0.1 -k '' -c fsync=off" </dev/null >&2 || {
        tail -n 20 "$LOG" >&2
        die "the server did not start within $TIMEOUT s; its log is $LOG"
    }
    say "$("$bin/postgres" --version) is ready, pid $(running_pid), log $LOG"
    url
}

stop() {
    local pid
    settle || { say "does not run (no $DIR)" && return; }
    if pid=$(running_pid); then
        signal CONT "$pid"
        # SIGINT ends it without waiting for its clients.
        kill -INT "$pid"
        for _ in $(seq 150); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.2
        done
        if kill -0 "$pid" 2>/dev/null; then
            say "pid $pid did not stop within 30 s: SIGKILL"
            signal KILL "$pid"
        fi
        say "stopped pid $pid"
    else
        say "does not run"
    fi
    if [ "$WIPE" = yes ]; then rm -rf "${DATA:?}" "$LOG" "$DIR/initdb.log" "$DIR/port" "$DIR/password" "$DIR/secure" "$DIR/openssl.log"; fi
}

# signalled NAME: to a server that runs.
signalled() {
    local pid
    settle && pid=$(running_pid) || die "does not run"
    signal "$1" "$pid"
    if [ "$1" = KILL ]; then
        while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
    fi
    say "SIG$1 to pid $pid and its children"
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
