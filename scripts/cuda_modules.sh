#!/bin/sh
# Builds what `make cuda-check` runs for a Python that OneFlow is not made for: yolo._native and yolo._cuda, for this
# machine's GPU or for YOLO_CUDA_ARCHITECTURES. Needs no network, but cmake, nvcc and, in that Python, pybind11,
# onednn-devel-cpu-gomp and onednn-cpu-gomp of requirements.txt.
# usage: scripts/cuda_modules.sh [PYTHON]
set -e
python=$(command -v "${1:-python3}")
cd "$(dirname "$0")/.."
tag=$("$python" -c 'import sys; print(sys.implementation.cache_tag)')
cmake -S . -B "build/gpu-$tag" -DCMAKE_BUILD_TYPE=Release -DCMAKE_LIBRARY_OUTPUT_DIRECTORY="$PWD/yolo" \
	-DPython_EXECUTABLE="$python" -DYOLO_ONEFLOW=OFF -DYOLO_CUDA=on \
	-DYOLO_CUDA_ARCHITECTURES="${YOLO_CUDA_ARCHITECTURES:-native}"
cmake --build "build/gpu-$tag" --target _native _cuda --parallel "${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}"
