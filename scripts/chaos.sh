#!/usr/bin/env bash
# The chaos run: see scripts/chaos/__main__.py, or --help. EVENTLAKE_PYTHON names a Python with scripts/requirements.txt.
set -euo pipefail
python="${EVENTLAKE_PYTHON:-python3}"
if ! "$python" -c 'import confluent_kafka, duckdb, pyarrow' 2>/dev/null; then
    echo "$python has not what scripts/requirements.txt lists" >&2
    echo "hint: python3 -m venv /tmp/readers && /tmp/readers/bin/pip install -r scripts/requirements.txt;" \
        "then EVENTLAKE_PYTHON=/tmp/readers/bin/python $0 ..." >&2
    exit 2
fi
exec "$python" "$(dirname "$0")/chaos" "$@"
