#!/usr/bin/env bash
# What `make lint`, pre-commit and CI run: lint.sh VENV
set -euo pipefail
bin=$1/bin
"$bin/ruff" format --check .
"$bin/ruff" check .
# By package, not by path: the members are installed, and each has a tests folder that is none.
packages=$(for folder in libs/*/src/* services/*/src/* dev/src/*; do [ -f "$folder/py.typed" ] && echo "-p $(basename "$folder")"; done)
# shellcheck disable=SC2086
"$bin/mypy" $packages
MYPYPATH=examples/provisioner-filesystem/src "$bin/mypy" -p provisioner_filesystem
"$bin/lint-imports"

# Generated files are what the models say.
generated=$(mktemp -d)
trap 'rm -rf "$generated"' EXIT
"$bin/python" -m conductor_model.crds "$generated"
diff -r "$generated" deploy/helm/conductor-crds/templates || { echo "CRDs differ from the models: run make crds" >&2; exit 1; }
"$bin/python" -m conductor_model.reference "$generated/reference"
diff "$generated/reference" docs/api-reference.md || { echo "the API reference differs from the models: run make crds" >&2; exit 1; }

# Nothing is left to be filled in.
if git grep -nE '@@[A-Z]+@@' -- ':!dev/lint.sh'; then
    echo "the lines above wait for something to be put in" >&2
    exit 1
fi

# No file names a package registry's host or a path of one machine.
hosts='pypi\.(org|python)|files\.pythonhosted|proxy\.golang|registry\.npmjs|repo1\.maven|static\.crates\.io|index\.crates\.io'
if git grep -nIE "$hosts" -- ':!dev/lint.sh'; then
    echo "the lines above name a package registry's host" >&2
    exit 1
fi
if git grep -nIE '(/root/|/work/|/home/[a-z]+/)' -- ':!dev/lint.sh'; then
    echo "the lines above name a path of one machine" >&2
    exit 1
fi
