#!/bin/sh
# timed.sh NAME COMMAND [ARG ...]   runs a command and notes how long it took;   timed.sh --report   prints the notes
notes=build/timings
mkdir -p build
if [ "$1" = --report ]; then
    echo 'time spent:'
    awk '{ printf "  %-12s %5d s\n", $1, $2; sum += $2 } END { printf "  %-12s %5d s\n", "together", sum }' "$notes"
    rm -f "$notes"
    exit 0
fi
name=$1
shift
begin=$(date +%s)
"$@" || exit $?
echo "$name $(($(date +%s) - begin))" >>"$notes"
