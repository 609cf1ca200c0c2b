# Set-up happens on the way to whatever is asked for, once.
SHELL := /bin/sh
VENV := .venv
PY := $(VENV)/bin/python
PEERS := .venv-peers
PEERS_CUDA := .venv-peers-cuda
CUDA := .venv-cuda
SOURCES := $(shell find csrc -type f) CMakeLists.txt setup.py
TIMED := scripts/timed.sh
INSTALL = -m pip install --quiet --disable-pip-version-check
# Where the C++ was built, and with what.
BUILT = $$(ls -d build/cpython-* | head -1)
CMAKE = $$(ls $(VENV)/bin/cmake 2>/dev/null || command -v cmake)
# A file's tests stay together, in three processes: many wait, for a launcher or a time limit, while others compute.
PYTEST = $(PY) -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup build cuda cuda-host cuda-check train test test-fast lint format detect val bench bench-peers \
	bench-peers-cuda bench-loader bench-bccd bench-ddp stress clean

help:
	@echo 'make train       train YOLOv5n on the data set of shapes that the project makes itself, then show where the results are'
	@echo 'make test        lint and every test, with the time each part took; installs NVIDIA DALI (0.5 GB) for them'
	@echo 'make test-fast   the tests without the slow ones'
	@echo 'make val         measure the newest trained weights'
	@echo 'make detect      draw detections of the newest trained weights on the validation images'
	@echo 'make bench       times of inference and of training steps, beside those of other frameworks (inference alone took 12 minutes on 2 cores with AVX2)'
	@echo 'make bench-peers the other frameworks: PyTorch, onnxruntime, OpenVINO, OpenCV, ncnn in an environment of their own (1.5 GB)'
	@echo 'make bench-loader mosaics a second and their cost by each loader, beside a PyTorch-style one (6 minutes on 2 cores)'
	@echo 'make bench-bccd  fine-tune yolov5n.pt on BCCD for 10 epochs (about a minute on 2 cores with AVX-512)'
	@echo 'make stress      the longest tests, among them changed program files under AddressSanitizer; then the C++ library under ThreadSanitizer: many threads share a detector, and CUDA kernels on real threads'
	@echo 'make bench-ddp   how training scales over ranks: YOLOv5 DDP profile, one epoch for each number of them'
	@echo 'make lint        ruff: rules and format;    make format   let ruff and clang-format rewrite'
	@echo 'make setup       .venv with the locked packages;    make build   the C++ operators'
	@echo 'make cuda        what NVIDIA GPUs run, compiled by a compiler of its own (0.35 GB), with the registers and memory of each kernel; needs no GPU'
	@echo 'make cuda-check  on a machine with a GPU and what make cuda made: tests, compute-sanitizer and benchmarks in 8 minutes, tables and logs in OUT (runs/bench/cuda_check)'
	@echo 'make bench-peers-cuda  PyTorch for GPUs, which make cuda-check compares with, in an environment of its own (6 GB)'
	@echo 'make cuda-host   the same for the processor, for tests (make test makes it)'
	@echo 'make clean       remove the build and the environment (runs/ and datasets/ stay)'

setup: $(VENV)/.installed
build: $(VENV)/.built

$(VENV)/.installed: requirements.txt
	@python=$$(scripts/find_python.sh) || exit 2; \
	echo "set-up: $$python -> $(VENV)"; \
	[ -x $(PY) ] || "$$python" -m venv $(VENV)
	@$(TIMED) packages $(PY) $(INSTALL) --requirement requirements.txt
	@touch $@

# What the extras need and tests compare with.
$(VENV)/.extras: requirements-extras.txt $(VENV)/.installed | $(VENV)/.built
	@$(TIMED) extras $(PY) $(INSTALL) --no-deps --requirement $<
	@touch $@

# Half a gigabyte that only --loader dali needs, and the tests of it.
$(VENV)/.dali: requirements-dali.txt $(VENV)/.installed | $(VENV)/.built
	@$(TIMED) dali $(PY) $(INSTALL) --requirement $< --constraint requirements.txt
	@touch $@

$(VENV)/.built: $(VENV)/.installed $(SOURCES)
	@command -v c++ >/dev/null || { echo 'no C++ compiler: install g++ or clang++ and type make again' >&2; exit 2; }
	@$(TIMED) build $(PY) $(INSTALL) --no-build-isolation --no-deps --editable .
	@touch $@

# The compiler lies in a folder, whatever the Python: it has no package that is imported.
$(CUDA)/.installed: requirements-cuda.txt $(VENV)/.installed
	@rm -rf $(CUDA)
	@$(TIMED) nvcc $(PY) $(INSTALL) --no-deps --target $(CUDA) --requirement $<
	@touch $@

# With the compiler there, every later build makes the module for GPUs too (csrc/cuda/CMakeLists.txt).
cuda: $(CUDA)/.installed
	@YOLO_CUDA=on $(TIMED) cuda $(PY) $(INSTALL) --no-build-isolation --no-deps --editable .
	@touch $(VENV)/.built
	@$(PY) scripts/cuda_report.py $(BUILT)/cuda_objects.txt

cuda-host: build
	@$(TIMED) cuda-host $(CMAKE) --build $(BUILT) --target _cuda_host

# Neither set up nor built here: the machine of the day may have no network, nor what the environment is made of.
OUT := runs/bench/cuda_check
cuda-check:
	@$$(ls $(PY) 2>/dev/null || command -v python3) -m benchmarks.cuda_check --out $(OUT)

train: build
	@$(PY) -m yolo.train --weights '' --cfg yolov5n --data shapes --hyp hyp.shapes --imgsz 64 --batch 16 --nbs 16 \
		--optimizer AdamW --epochs 36 --device cpu --project runs/train --name shapes

val: build
	@$(PY) -m yolo.val --data shapes --imgsz 64 --weights $$(ls -td runs/train/*/weights | head -1)/best.safetensors

detect: build
	@$(PY) -m yolo.detect --source datasets/shapes/images/val --imgsz 64 \
		--weights $$(ls -td runs/train/*/weights | head -1)/best.safetensors

lint: build
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .

format: build
	@$(VENV)/bin/ruff check --fix . && $(VENV)/bin/ruff format .
	@command -v clang-format >/dev/null && find csrc -name '*.cpp' -o -name '*.h' | xargs clang-format -i || true

# Compiled modules are kept, whatever the shell says: tests start hundreds of processes, and pytest compiles its own.
test test-fast stress: export PYTHONDONTWRITEBYTECODE :=

test: cuda-host $(VENV)/.dali $(VENV)/.extras
	@$(TIMED) lint $(MAKE) --no-print-directory lint
	@$(TIMED) tests $(PYTEST) -m 'not stress' --durations=40
	@scripts/timed.sh --report

test-fast: cuda-host $(VENV)/.dali $(VENV)/.extras
	@$(PYTEST) -m 'not slow and not stress'

stress: cuda-host $(VENV)/.dali $(VENV)/.extras
	@$(CMAKE) --build $(BUILT) --target _native_checked stress races
	@$(PYTEST) -m stress
	@TSAN_OPTIONS='halt_on_error=1' $(BUILT)/stress
	@TSAN_OPTIONS='halt_on_error=1' $(BUILT)/races

bench: build
	@[ -x $(PEERS)/bin/python ] || echo 'without the other frameworks: make bench-peers installs them' >&2
	@$(PY) -m benchmarks.inference
	@$(PY) -m benchmarks.int8_accuracy
	@$(PY) -m benchmarks.shared_cores
	@$(PY) -m benchmarks.training_step

bench-loader: build
	@[ -x $(PEERS)/bin/python ] || echo 'without the PyTorch-style loader: make bench-peers installs PyTorch' >&2
	@$(PY) -m benchmarks.loader

bench-peers: $(PEERS)/.installed

$(PEERS)/.installed: benchmarks/requirements-peers.txt
	@python=$$(scripts/find_python.sh 3.11) || exit 2; \
	echo "set-up: $$python -> $(PEERS)"; \
	[ -x $(PEERS)/bin/python ] || "$$python" -m venv $(PEERS)
	@$(TIMED) peers $(PEERS)/bin/python $(INSTALL) --requirement $<
	@touch $@

bench-peers-cuda: $(PEERS_CUDA)/.installed

$(PEERS_CUDA)/.installed: benchmarks/requirements-peers-cuda.txt
	@python=$$(scripts/find_python.sh 3.11) || exit 2; \
	echo "set-up: $$python -> $(PEERS_CUDA)"; \
	[ -x $(PEERS_CUDA)/bin/python ] || "$$python" -m venv $(PEERS_CUDA)
	@$(TIMED) peers-cuda $(PEERS_CUDA)/bin/python $(INSTALL) --requirement $<
	@touch $@

bench-bccd: build
	@$(PY) benchmarks/bccd.py

bench-ddp: build
	@$(PY) -m benchmarks.ddp_scaling

clean:
	rm -rf build $(VENV) $(PEERS) $(PEERS_CUDA) $(CUDA) yolo/*.so *.egg-info
