#!/usr/bin/env bash
# Resolves the whole workspace into one lock of hashed requirements: lock.sh VENV MEMBER...
# No index line and no host is written: the lock is good for any mirror.
set -euo pipefail
venv=$1
shift
uv=$(command -v uv || echo "$venv/uv/bin/uv")
args=()
for member in "$@"; do
    args+=(--no-emit-package "$(sed -n 's/^name = "\(.*\)"/\1/p' "$member/pyproject.toml")")
done
"$uv" pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
    --python "$venv/bin/python" --group dev "${args[@]}" pyproject.toml -o requirements.lock
