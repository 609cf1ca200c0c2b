#!/bin/sh
# Prints a CPython 3.10 (the newest that OneFlow 0.9.0 has wheels for), wherever it comes from.
is_310() { "$1" -c 'import sys, venv; sys.exit(sys.version_info[:2] != (3, 10))' 2>/dev/null; }
for candidate in "$PYTHON" python3.10 python3 \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.10*/bin/python3.10 \
    "$(command -v uv >/dev/null 2>&1 && uv python find --no-project 3.10 2>/dev/null)" \
    "$HOME"/*conda*/bin/python3.10 "$HOME"/*conda*/envs/*/bin/python3.10 /opt/*conda*/envs/*/bin/python3.10; do
    [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 && is_310 "$candidate" && command -v "$candidate" && exit 0
done
cat >&2 <<'E2'
No Python 3.10 with venv was found, and OneFlow 0.9.0 needs one. Get it with one of
    pyenv install 3.10.13         uv python install 3.10         conda create -n py310 python=3.10
    apt install python3.10 python3.10-venv
and type make again, or name it: make PYTHON=/where/it/is/python3.10
E2
exit 2
