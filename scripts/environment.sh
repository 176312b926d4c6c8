# Sourced by scripts/setup and scripts/test: finds Python and makes .venv. Not a command itself.

step() { printf '\n==> %s\n' "$*"; }

fail() {
  printf 'Error: %s\n' "$*" >&2
  exit 1
}

# Prints the first usable Python: at least 3.11, with venv and ensurepip. $PYTHON goes first.
find_python() {
  local candidate old='' bare=''
  for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python3.14 python; do
    command -v "$candidate" >/dev/null 2>&1 || continue
    if ! "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
      old="$old${old:+, }$candidate ($("$candidate" --version 2>&1 || true))"
    elif ! "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then
      bare=$candidate
    else
      command -v "$candidate"
      return
    fi
  done
  if [ -n "$bare" ]; then
    fail "expected a Python that can make virtual environments, got $bare without venv." \
      "On Debian and Ubuntu run: sudo apt install python3-venv"
  fi
  fail "expected Python 3.11 or newer, got ${old:-none}. Install it," \
    "or name one: PYTHON=/path/to/python3.12 $0"
}

# Makes .venv, or keeps the one that is there if its Python still runs and is new enough.
make_environment() {
  local python
  if .venv/bin/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    step "keeping .venv ($(.venv/bin/python --version))"
    return
  fi
  python=$(find_python)
  step "making .venv with $python ($("$python" --version))"
  "$python" -m venv --clear .venv
}

# One number for the content of the files and folders named.
fingerprint_of() {
  find "$@" -type f ! -name '*.pyc' -exec cksum {} + | LC_ALL=C sort | cksum | cut -d ' ' -f 1
}

# What was installed last, and from which content: "light 123" or "dev 456".
installed() { cat .venv/facetell.installed 2>/dev/null || true; }

remember() { printf '%s\n' "$*" >.venv/facetell.installed; }

export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
