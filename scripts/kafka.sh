#!/usr/bin/env bash
# Runs a real Apache Kafka on this machine, for tests and measurements: one KRaft process, loopback only.
#
#   scripts/kafka.sh start  [--port N] [--dir DIR] [--heap 1g] [--timeout 90] [--secure] [--behind PORT,...]
#                                                    prints the bootstrap address
#   scripts/kafka.sh stop   [--dir DIR] [--wipe]     stops the broker it started; --wipe removes its data too
#   scripts/kafka.sh crash  [--dir DIR]              SIGKILL; the data stay, and `start` goes on from them
#   scripts/kafka.sh status [--dir DIR]              address and pid; exit 1 when it does not run
#   scripts/kafka.sh fetch                           only fetches the jars
#
# Needs Java 17 or newer and, the first time, Maven. `--port 0` takes free ports. The controller listens on the
# port after the broker's. Flags have variables too: EVENTLAKE_KAFKA_PORT, _DIR, _HEAP, _TIMEOUT.
# With --secure (needs openssl) it also listens with TLS and SASL on the next two ports, where PLAIN, SCRAM-SHA-256 and
# SCRAM-SHA-512 know one user. DIR/secure/ then holds what a client needs: address, ca.pem, user, password; besides, for
# what must fail, expired-address (a listener whose certificate has expired) and unknown-ca.pem (an authority that signed
# nothing).
# With --behind, for proxies that listen at these ports of 127.0.0.1, the broker listens at one more port for each of them (4, 5,
# ... above its own), to which the proxy forwards, and names the proxy's port to who comes that way.
# stdout carries the address alone; everything else goes to stderr.
set -euo pipefail

KAFKA_VERSION=4.1.0
SCALA_VERSION=2.13
CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/eventlake"
JARS="$CACHE/kafka-$KAFKA_VERSION"

say() { echo "kafka.sh: $*" >&2; }
die() {
    say "error: $*"
    exit 1
}

usage() {
    sed -n '2,19s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

COMMAND="${1:-}"
[ $# -gt 0 ] && shift
PORT="${EVENTLAKE_KAFKA_PORT:-}"
DIR="${EVENTLAKE_KAFKA_DIR:-$CACHE/kafka-broker}"
HEAP="${EVENTLAKE_KAFKA_HEAP:-1g}"
TIMEOUT="${EVENTLAKE_KAFKA_TIMEOUT:-90}"
BEHIND=""
WIPE=no
SECURE=no
while [ $# -gt 0 ]; do
    case "$1" in
    --port | --dir | --heap | --timeout | --behind)
        [ $# -ge 2 ] || die "$1 needs a value"
        case "$1" in
        --behind) BEHIND="$2" ;;
        --port) PORT="$2" ;;
        --dir) DIR="$2" ;;
        --heap) HEAP="$2" ;;
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
[[ "$BEHIND" =~ ^[0-9,]*$ ]] || die "--behind wants ports with commas between, found '$BEHIND'"
[[ "$TIMEOUT" =~ ^[0-9]+$ ]] || die "--timeout wants whole seconds, found '$TIMEOUT'"

PROPERTIES="$DIR/server.properties"
PID_FILE="$DIR/pid"
LOG="$DIR/kafka.log"

# The pid in the pid file, if that process is still the broker of this very folder: a recycled pid never passes.
running_pid() {
    local pid
    pid=$(cat "$PID_FILE" 2>/dev/null) || return 1
    [ -n "$pid" ] && [ -r "/proc/$pid/cmdline" ] || return 1
    tr '\0' '\n' <"/proc/$pid/cmdline" 2>/dev/null | grep -qxF "$PROPERTIES" || return 1
    echo "$pid"
}

address() { sed -n 's|^listeners=PLAINTEXT://\([^,]*\),.*|\1|p' "$PROPERTIES"; }

port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# The ports of a broker whose first one this is.
ports() {
    echo "$1" $(($1 + 1))
    if [ "$SECURE" = yes ]; then echo $(($1 + 2)) $(($1 + 3)); fi
    local number=4
    for _ in ${BEHIND//,/ }; do
        echo $(($1 + number))
        number=$((number + 1))
    done
}

pick_port() {
    local candidate port
    for _ in $(seq 100); do
        candidate=$((20000 + (RANDOM % 1500) * 8))
        for port in $(ports "$candidate"); do
            if port_taken "$port"; then continue 2; fi
        done
        echo "$candidate"
        return
    done
    die "no free ports found between 20000 and 32000"
}

need_java() {
    command -v java >/dev/null || die "java is missing. hint: install Java 17 or newer (Debian: openjdk-17-jre-headless)"
    local version
    version=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -1)
    [ "${version:-0}" -ge 17 ] || die "Kafka $KAFKA_VERSION needs Java 17 or newer, found ${version:-an unknown version}"
}

fetch() {
    [ -e "$JARS/complete" ] && return
    command -v mvn >/dev/null || die "mvn is missing. hint: install Maven (Debian: maven); it fetches Kafka's jars once"
    mkdir -p "$CACHE"
    exec 9>"$CACHE/kafka-fetch.lock"
    flock 9
    [ -e "$JARS/complete" ] && return
    say "fetching Kafka $KAFKA_VERSION into $JARS"
    rm -rf "$JARS"
    mkdir -p "$JARS"
    cat >"$JARS/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>eventlake</groupId>
  <artifactId>kafka-for-tests</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_$SCALA_VERSION</artifactId><version>$KAFKA_VERSION</version>
    </dependency>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$KAFKA_VERSION</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version>
    </dependency>
  </dependencies>
</project>
POM
    mvn -B -q -f "$JARS/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$JARS/lib" >&2 ||
        die "Maven could not fetch Kafka $KAFKA_VERSION. hint: the error above is Maven's own; a retry starts over"
    ls "$JARS"/lib/kafka_*.jar >/dev/null || die "Maven left no kafka_*.jar in $JARS/lib"
    touch "$JARS/complete"
    exec 9>&-
}

write_configuration() {
    local listeners="" advertised="" protocols="" number=0 proxy
    for proxy in ${BEHIND//,/ }; do
        listeners+=",PROXIED$number://127.0.0.1:$((PORT + 4 + number))"
        advertised+=",PROXIED$number://127.0.0.1:$proxy"
        protocols+=",PROXIED$number:PLAINTEXT"
        number=$((number + 1))
    done
    cat >"$PROPERTIES" <<CONF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((PORT + 1))
listeners=PLAINTEXT://127.0.0.1:$PORT,CONTROLLER://127.0.0.1:$((PORT + 1))$listeners
advertised.listeners=PLAINTEXT://127.0.0.1:$PORT$advertised
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT$protocols
log.dirs=$DIR/logs
auto.create.topics.enable=false
num.partitions=4
# Generated events may be as old as the tests like: nothing here is deleted for its age.
log.retention.ms=-1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# A killed consumer gives its place up, and compaction is seen, within seconds.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.cleaner.backoff.ms=200
log.initial.task.delay.ms=500
log.retention.check.interval.ms=1000
CONF
}

SECURE_USER=eventlake
SECURE_PASSWORD=correct-horse-battery

# An authority, a certificate of its own for 127.0.0.1, one that has expired, and an authority that signed neither.
make_certificates() {
    local folder="$DIR/secure" name
    command -v openssl >/dev/null || die "openssl is missing. hint: install it (Debian: openssl); --secure makes its certificates with it"
    rm -rf "$folder"
    mkdir -p "$folder"
    (
        umask 077
        cd "$folder"
        for name in ca unknown-ca; do
            openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=eventlake test $name" \
                -keyout "$name.key" -out "$name.pem"
        done
        touch index.txt
        cat >ca.conf <<CONF
[ca]
default_ca=test
[test]
database=index.txt
new_certs_dir=.
certificate=ca.pem
private_key=ca.key
default_md=sha256
rand_serial=yes
unique_subject=no
policy=any
x509_extensions=server
[any]
commonName=supplied
[server]
subjectAltName=IP:127.0.0.1,DNS:localhost
extendedKeyUsage=serverAuth
CONF
        for name in server expired; do
            local from to
            case "$name" in
            server) from=20200101000000Z to=20990101000000Z ;;
            expired) from=20200101000000Z to=20200201000000Z ;;
            esac
            openssl req -newkey rsa:2048 -nodes -subj "/CN=127.0.0.1" -keyout "$name.key" -out "$name.csr"
            openssl ca -batch -notext -config ca.conf -startdate "$from" -enddate "$to" -in "$name.csr" -out "$name.crt"
            cat "$name.key" "$name.crt" ca.pem >"$name.pem"
        done
        echo "127.0.0.1:$((PORT + 2))" >address
        echo "127.0.0.1:$((PORT + 3))" >expired-address
        echo "$SECURE_USER" >user
        printf '%s' "$SECURE_PASSWORD" >password
    ) >"$DIR/openssl.log" 2>&1 || {
        cat "$DIR/openssl.log" >&2
        die "the certificates could not be made"
    }
}

# Two more listeners with TLS and SASL, appended to the configuration.
secure_configuration() {
    local name plain="org.apache.kafka.common.security.plain.PlainLoginModule"
    local scram="org.apache.kafka.common.security.scram.ScramLoginModule"
    sed -i -e "s|^\(listeners=.*\)|\1,SECURE://127.0.0.1:$((PORT + 2)),EXPIRED://127.0.0.1:$((PORT + 3))|" \
        -e "s|^\(advertised.listeners=.*\)|\1,SECURE://127.0.0.1:$((PORT + 2)),EXPIRED://127.0.0.1:$((PORT + 3))|" \
        -e "s|^\(listener.security.protocol.map=.*\)|\1,SECURE:SASL_SSL,EXPIRED:SASL_SSL|" "$PROPERTIES"
    {
        echo "inter.broker.listener.name=PLAINTEXT"
        for name in secure:server expired:expired; do
            cat <<CONF
listener.name.${name%:*}.ssl.keystore.type=PEM
listener.name.${name%:*}.ssl.keystore.location=$DIR/secure/${name#*:}.pem
listener.name.${name%:*}.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.${name%:*}.plain.sasl.jaas.config=$plain required user_$SECURE_USER="$SECURE_PASSWORD";
listener.name.${name%:*}.scram-sha-256.sasl.jaas.config=$scram required;
listener.name.${name%:*}.scram-sha-512.sasl.jaas.config=$scram required;
CONF
        done
    } >>"$PROPERTIES"
}

# Waits until the broker says that it started and its port answers.
wait_ready() {
    local pid=$1 from=$2 waited=0
    while [ "$waited" -lt $((TIMEOUT * 5)) ]; do
        if ! kill -0 "$pid" 2>/dev/null; then
            tail -n 20 "$LOG" >&2
            die "the broker stopped while starting; its log is $LOG"
        fi
        # Not grep -q: it would end while tail still writes, and with pipefail that is a failure.
        if tail -c "+$from" "$LOG" | grep "Kafka Server started" >/dev/null && port_taken "$PORT"; then
            return
        fi
        sleep 0.2
        waited=$((waited + 1))
    done
    tail -n 20 "$LOG" >&2
    kill -KILL "$pid"
    rm -f "$PID_FILE"
    die "the broker was not ready within $TIMEOUT s; its log is $LOG"
}

start() {
    local pid mechanism
    mkdir -p "$DIR"
    DIR=$(cd "$DIR" && pwd)
    PROPERTIES="$DIR/server.properties" PID_FILE="$DIR/pid" LOG="$DIR/kafka.log"
    if pid=$(running_pid); then
        if [ -n "$PORT" ] && [ "$PORT" != 0 ] && [ "$(address)" != "127.0.0.1:$PORT" ]; then
            die "the broker of $DIR runs already, at $(address), not at port $PORT. hint: stop it, or use another --dir"
        fi
        say "runs already, pid $pid"
        address
        return
    fi
    need_java
    fetch
    # A broker that is started again keeps its address unless another is asked for.
    if [ -z "$PORT" ]; then
        [ -e "$PROPERTIES" ] && PORT=$(address | sed 's/.*://') || PORT=9092
    fi
    [ "$PORT" = 0 ] && PORT=$(pick_port)
    for taken in $(ports "$PORT"); do
        if port_taken "$taken"; then die "port $taken is in use by another program. hint: --port 0 takes free ones"; fi
    done
    write_configuration
    local users=()
    if [ "$SECURE" = yes ]; then
        make_certificates
        secure_configuration
        for mechanism in SCRAM-SHA-256 SCRAM-SHA-512; do
            users+=(--add-scram "$mechanism=[name=$SECURE_USER,password=$SECURE_PASSWORD]")
        done
    fi
    if [ ! -e "$DIR/logs/meta.properties" ]; then
        java -cp "$JARS/lib/*" kafka.tools.StorageTool format \
            -t "$(java -cp "$JARS/lib/*" kafka.tools.StorageTool random-uuid 2>/dev/null)" -c "$PROPERTIES" "${users[@]}" \
            >"$DIR/format.log" 2>&1 || {
            cat "$DIR/format.log" >&2
            die "the storage folder $DIR/logs could not be formatted"
        }
    fi
    touch "$LOG"
    local from=$(($(stat -c %s "$LOG") + 1))
    # A session of its own: a Ctrl-C in the caller's terminal is not the broker's.
    setsid java -Xmx"$HEAP" -Xms256m -XX:+UseG1GC -Dorg.slf4j.simpleLogger.showDateTime=true \
        -Dorg.slf4j.simpleLogger.dateTimeFormat="yyyy-MM-dd HH:mm:ss.SSS" \
        -cp "$JARS/lib/*" kafka.Kafka "$PROPERTIES" >>"$LOG" 2>&1 </dev/null &
    pid=$!
    disown "$pid"
    echo "$pid" >"$PID_FILE"
    wait_ready "$pid" "$from"
    say "Kafka $KAFKA_VERSION is ready, pid $pid, log $LOG"
    address
}

# stop TERM | stop KILL
stop() {
    local signal=$1 pid
    DIR=$(cd "$DIR" 2>/dev/null && pwd) || { say "does not run (no $DIR)" && return; }
    PROPERTIES="$DIR/server.properties" PID_FILE="$DIR/pid"
    if pid=$(running_pid); then
        kill "-$signal" "$pid"
        for _ in $(seq 150); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.2
        done
        if kill -0 "$pid" 2>/dev/null; then
            say "pid $pid did not stop within 30 s: SIGKILL"
            kill -KILL "$pid"
        fi
        say "stopped pid $pid"
    else
        say "does not run"
    fi
    rm -f "$PID_FILE"
    if [ "$WIPE" = yes ]; then rm -rf "${DIR:?}/logs" "$DIR/secure" "$PROPERTIES" "$DIR/format.log" "$DIR/openssl.log" "$LOG"; fi
}

status() {
    local pid
    DIR=$(cd "$DIR" 2>/dev/null && pwd) || die "does not run (no $DIR)"
    PROPERTIES="$DIR/server.properties" PID_FILE="$DIR/pid"
    pid=$(running_pid) || die "does not run"
    say "runs, pid $pid, data in $DIR"
    address
}

case "$COMMAND" in
start) start ;;
stop) stop TERM ;;
crash) stop KILL ;;
status) status ;;
fetch) fetch ;;
*) usage ;;
esac
