#!/usr/bin/env bash
# Fuzzes with libFuzzer: scripts/fuzz.sh [SECONDS [TARGET...]]; 30 s each of all targets when nothing is said.
#
# Starts from the seeds in fuzz/seeds, of which nothing is changed; what it finds on the way is kept in
# $EVENTLAKE_FUZZ_DIR/corpus/TARGET (default target/fuzz) and is where the next run goes on. An input that fails a check
# stops the script and stays in $EVENTLAKE_FUZZ_DIR/failed. With EVENTLAKE_FUZZ_SEED=N it starts from the seeds alone and draws
# its random numbers from N: the same inputs again, for as far as the time reaches. Needs a C++ compiler; cargo-fuzz is installed where missing.
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1:-}" in
-h | --help)
    sed -n '2,/^[^#]/s/^# \{0,1\}//p' "$0"
    exit
    ;;
esac

CARGO_FUZZ_VERSION=0.13.2
SECONDS_EACH=${1:-30}
TARGETS=("${@:2}")
DIR="${EVENTLAKE_FUZZ_DIR:-${CARGO_TARGET_DIR:-target}/fuzz}"
TOOLS="${EVENTLAKE_CI_HOME:-${XDG_CACHE_HOME:-$HOME/.cache}/eventlake}/cargo-fuzz"
# What the input of which target is made of.
declare -A DICTIONARY=([schema_infer]=decoder [commit_record]=log [snapshot_record]=log [stage_record]=log)

[ ${#TARGETS[@]} -gt 0 ] || mapfile -t TARGETS < <(cd fuzz/fuzz_targets && printf '%s\n' *.rs | sed 's/\.rs$//')
mkdir -p "$DIR/failed"
DIR=$(cd "$DIR" && pwd)
# The targets are compiled with other flags than everything else: in a folder of their own nothing is compiled twice.
export CARGO_TARGET_DIR="$DIR/build"

if ! command -v c++ >/dev/null; then
    echo "there is no C++ compiler, which libFuzzer is compiled with; hint: apt-get install g++" >&2
    exit 1
fi
if [ "$("$TOOLS/bin/cargo-fuzz" --version 2>/dev/null || true)" != "cargo-fuzz $CARGO_FUZZ_VERSION" ]; then
    CARGO_TARGET_DIR="$TOOLS/build" CARGO_PROFILE_DEV_DEBUG=0 cargo install --debug --locked --quiet --root "$TOOLS" "cargo-fuzz@$CARGO_FUZZ_VERSION"
fi
export PATH="$TOOLS/bin:$PATH"

# Without a sanitizer: what is fuzzed is safe Rust, which panics where it is wrong, and stable Rust has none.
cargo fuzz build --sanitizer none
if ! git diff --quiet -- fuzz/Cargo.lock 2>/dev/null; then
    echo "fuzz/Cargo.lock was behind the program's dependencies and is now up to date; hint: commit it" >&2
fi
for target in "${TARGETS[@]}"; do
    corpus="$DIR/corpus/$target"
    dictionary="fuzz/dictionaries/${DICTIONARY[$target]:-$target}.dict"
    if [ -n "${EVENTLAKE_FUZZ_SEED:-}" ]; then
        corpus="$DIR/seeded/$target"
        rm -rf "$corpus"
    fi
    mkdir -p "$corpus"
    options=(-max_total_time="$SECONDS_EACH" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1)
    options+=(-seed="${EVENTLAKE_FUZZ_SEED:-0}")
    options+=(-artifact_prefix="$DIR/failed/$target-")
    [ ! -f "$dictionary" ] || options+=(-dict="$dictionary")
    echo "=== $target: $SECONDS_EACH s"
    if ! "$CARGO_TARGET_DIR/x86_64-unknown-linux-gnu/release/$target" "${options[@]}" "$corpus" "fuzz/seeds/$target" \
        >"$DIR/$target.log" 2>&1; then
        tail -n 40 "$DIR/$target.log"
        echo "$target failed; hint: put the input into fuzz/seeds/$target and run cargo test --test seeds" >&2
        exit 1
    fi
    grep -E 'stat::number_of_executed_units|stat::peak_rss_mb|cov: .* ft:' "$DIR/$target.log" | tail -n 3
done
