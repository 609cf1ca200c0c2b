#!/bin/sh
# keep_resources.sh NVCC [ARG ...] -o OBJECT ...   runs the compiler; what ptxas says about registers and memory goes to
# OBJECT.resources, for cuda_report.py, everything else to standard error as ever.
for argument; do
    [ "$previous" = -o ] && object=$argument
    previous=$argument
done
"$@" 2>"$object.resources"
code=$?
grep -v -e '^ptxas info ' -e '^ *[0-9]* bytes stack frame, ' "$object.resources" >&2
exit $code
