#!/usr/bin/env bash
# Makes the virtual environment: bootstrap.sh VENV LOCK MEMBER...
# Finds an interpreter that runs (a version manager's shim may not), gets uv by pip where it is absent,
# installs the lock with its hashes, then the workspace's members as editable packages.
set -euo pipefail
venv=$1 lock=$2
shift 2

runs() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

python=
for candidate in ${PYTHON:-} python3.11 python3.12 python3.13 python3.14 python3; do
    if runs "$candidate"; then
        python=$("$candidate" -c 'import sys; print(sys.executable)')
        break
    fi
done
if [ -z "$python" ]; then
    echo "Conductor needs Python 3.11 or newer, and none of python3.11 … python3 on PATH runs." >&2
    echo "Install one, or name it: make PYTHON=/path/to/python3.12 …" >&2
    exit 1
fi

if [ ! -x "$venv/bin/python" ] || ! runs "$venv/bin/python"; then
    echo "creating $venv with $("$python" --version)"
    rm -rf "$venv"
    "$python" -m venv "$venv" || {
        echo "$python cannot create a virtual environment (on Debian: apt-get install python3-venv)." >&2
        exit 1
    }
fi

uv=$(command -v uv || true)
if [ -z "$uv" ] || ! "$uv" --version >/dev/null 2>&1; then
    # Beside the environment, not in it: syncing the lock removes what the lock does not name.
    uv="$venv/uv/bin/uv"
    if [ ! -x "$uv" ]; then
        "$python" -m venv "$venv/uv"
        "$venv/uv/bin/python" -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'
    fi
fi

echo "installing the locked dependencies"
"$uv" pip sync --quiet --python "$venv/bin/python" --require-hashes "$lock"
"$uv" pip install --quiet --python "$venv/bin/python" --no-deps $(printf -- '-e ./%s ' "$@")
