#!/bin/sh
# Writes requirements/*.txt anew from pyproject.toml. Arguments go to uv, say --upgrade.
set -eu
cd "$(dirname "$0")/.."
uv=${UV:-.venv/bin/uv}

# One file serves every Python and system (--universal). No line names an index, so that
# whoever installs uses the one set up on their own machine.
compile() {
    out=$1
    shift
    "$uv" --quiet pip compile pyproject.toml --output-file "requirements/$out" \
        --universal --python-version 3.11 --generate-hashes \
        --no-emit-index-url --no-emit-find-links \
        --custom-compile-command 'make lock' --group dev --extra embedded --extra testing "$@"
}

compile dev.txt "$@"
compile motor.txt --extra motor "$@"

if grep -n -i -E '^-|://|file:' requirements/*.txt; then
    echo 'requirements: the lines above name an index, a host or a path' >&2
    exit 1
fi
