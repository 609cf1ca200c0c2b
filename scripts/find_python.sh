#!/bin/sh
# Prints a CPython of the version asked for (3.10 without an argument: the newest that OneFlow 0.9.0 has wheels for),
# wherever it comes from.
version=${1:-3.10}
is_it() {
    "$1" -c 'import sys, venv; sys.exit("%d.%d" % sys.version_info[:2] != sys.argv[1])' "$version" 2>/dev/null
}
for candidate in "$PYTHON" "python$version" python3 \
    "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$version"*/bin/"python$version" \
    "$(command -v uv >/dev/null 2>&1 && uv python find --no-project "$version" 2>/dev/null)" \
    "$HOME"/*conda*/bin/"python$version" "$HOME"/*conda*/envs/*/bin/"python$version" /opt/*conda*/envs/*/bin/"python$version"; do
    [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 && is_it "$candidate" && command -v "$candidate" && exit 0
done
cat >&2 <<E2
No Python $version with venv was found. Get it with one of
    pyenv install $version         uv python install $version         conda create -n python-$version python=$version
    apt install python$version python$version-venv
and type make again, or name it: make PYTHON=/where/it/is/python$version
E2
exit 2
