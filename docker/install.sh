#!/bin/sh
# Installs one service, and nothing but what it imports, into an environment of its own:
#   install.sh SERVICE ENVIRONMENT        from the checkout's root, with uv on PATH and $PYTHON the interpreter
# Every third-party package comes at the version and with the hashes of requirements.lock, or the build fails.
set -eu
service=$1 environment=$2
python=${PYTHON:-python3}
lock=requirements.lock
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
    --python "$python" --constraint "$lock" "services/$service/pyproject.toml" -o "$work/all"
grep -v '^-e ' "$work/all" >"$work/requirements"
sed -n 's|^-e file://||p' "$work/all" >"$work/members"

# A dependency that nobody has locked yet would resolve to whatever is newest today.
bare() { sed -e 's/ ;.*//' -e 's/ \\$//' "$1" | sort -u; }
bare "$lock" >"$work/locked"
bare "$work/requirements" >"$work/wanted"
missing=$(comm -13 "$work/locked" "$work/wanted" | grep -v '^ *--hash' || true)
if [ -n "$missing" ] || [ -n "$(comm -13 "$work/locked" "$work/wanted")" ]; then
    echo "$service needs what $lock does not have; run make lock:" >&2
    echo "${missing:-other hashes}" >&2
    exit 1
fi

uv venv --quiet --python "$python" "$environment"
uv pip install --quiet --python "$environment/bin/python" --require-hashes -r "$work/requirements"
# shellcheck disable=SC2046
uv pip install --quiet --python "$environment/bin/python" --no-deps $(cat "$work/members") "./services/$service"

# The same command for every service, so that an image's entry point need not know which one it has.
module=conductor_$(printf %s "$service" | tr - _)
cat >"$environment/bin/serve" <<END
#!$environment/bin/python
import runpy

runpy.run_module("$module", run_name="__main__", alter_sys=True)
END
chmod 755 "$environment/bin/serve"
