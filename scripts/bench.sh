#!/usr/bin/env bash
# The benchmark: see scripts/bench/__main__.py, or --help. EVENTLAKE_PYTHON names a Python with scripts/requirements.txt.
set -euo pipefail
exec "${EVENTLAKE_PYTHON:-python3}" "$(dirname "$0")/bench" "$@"
