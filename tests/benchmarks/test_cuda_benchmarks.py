"""The benchmarks of GPUs, tried on the host's device with sizes that are small, beside PyTorch on the CPU."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import cuda_inference, cuda_ops, cuda_small, cuda_step
from benchmarks.cuda_cases import COPY, SIZES, Case
from benchmarks.driver import Contender, Measurement
from benchmarks.places import PEERS_PYTHON
from tests.benchmarks.suppression_peer import write_torchvision
from tests.device import ON_GPU, cuda_host
from tests.models.pt_files import checkpoint_pickle, write_zip
from tests.models.small import small_mapping
from yolo.models.config import parse_model_config
from yolo.models.network import build_network
from yolo.models.weights.transfer import checkpoint_of

pytestmark = pytest.mark.skipif(ON_GPU, reason="cuda-check measures there")
PEERS = PEERS_PYTHON.exists()
"""Without them this project's rows alone can be checked (make bench-peers)."""

SMALL = ("--models", "small", "--size", "64", "--no-compile")
LEVELS = {
    "anchors": [[5, 6, 8, 14], [15, 11, 30, 40], [40, 30, 60, 60]],
    "backbone": [[-1, 1, "Conv", [8, 3, 2]], *[[-1, 1, "Conv", [16, 3, 2]]] * 3],
    "head": [[[1, 2, 3], 1, "Detect", ["nc", "anchors"]]],
}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """The weights of a network of three levels, "small.pt"."""
    mapping = small_mapping(**LEVELS)
    network = build_network(parse_model_config(mapping, name="small.yaml"), rng=0)
    return write_zip(tmp_path / "small.pt", *checkpoint_pickle(checkpoint_of(network, ("a", "b")).model, mapping))


def table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, benchmark, words: list[str]) -> list[dict]:
    """The rows that a benchmark prints; it has found nothing wrong."""
    cuda_host()  # or the test is skipped
    command = ["benchmark", "--json", "--device", "host", "--peers", str(PEERS_PYTHON), "--rounds", "1", *words]
    monkeypatch.setattr(sys, "argv", command)
    code = benchmark.main()
    told = capsys.readouterr()
    assert code == 0, told
    answer = json.loads(told.out)
    assert answer["about"]["card"] == "the host's processor, for tests"
    return answer["rows"]


def test_operators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setenv("PYTHONPATH", write_torchvision(tmp_path))
    rows = table(monkeypatch, capsys, cuda_ops, ["--sizes", "tiny", "--weights", "none.pt"])
    ours = {row["case"]: row for row in rows if row["ours"]}
    checked = rows if PEERS else list(ours.values())
    assert not any(row["note"] for row in checked)
    assert all(row["equal"] is True for row in checked if row["case"] != COPY)
    assert all(row["median_us"] > 0 and (not PEERS or row["peer_ratio"] > 0) for row in ours.values())
    assert ours[COPY]["floor_ratio"] == pytest.approx(1)
    aimed = {name for name, row in ours.items() if row["target_ratio"] is not None}
    assert all((ours[name]["met"] is not None) == PEERS for name in aimed)
    assert aimed == {"NMS, 100 boxes", "NMS, 300 boxes", "loss with gradient, 2 images"}


def test_networks(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("PYTHONPATH", write_torchvision(tmp_path))
    words = ["--weights", str(weights.parent), "--precisions", "fp16", "--batches", "2", *SMALL]
    ours, eager = table(monkeypatch, capsys, cuda_inference, words)
    for row in (ours, eager) if PEERS else (ours,):
        assert row["equal"] is True and row["median_ms"] > 0 and row["network_ms"] > 0, row
    assert ours["target_ratio"] is None and (not PEERS or ours["eager_ratio"] > 0)


def test_steps(weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    words = ["--weights", str(weights.parent), "--precisions", "fp16", "--batch", "2", "--data", "none.yaml", *SMALL]
    _, ours, eager = table(monkeypatch, capsys, cuda_step, words)
    for row in (ours, eager) if PEERS else ():
        assert row["equal"] is True and row["gradient_difference"] > 0 and row["eager_ratio"] > 0, row
    assert ours["median_ms"] > 0 and ours["memory_mb"] is not None


def test_what_the_sanitizer_runs(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cuda_host()
    monkeypatch.setattr(sys, "argv", ["small", str(weights), "host"])
    assert cuda_small.main() == 0


def measured(name: str, ours: bool, figures: dict, outputs: dict | None = None, precision: str = "fp16") -> Measurement:
    contender = Contender(name, precision, ours, sys.executable, "none")
    return Measurement(contender, ms=[1.0], figures=figures, outputs=outputs)


def rows_of(case: Case, ours: dict, peer: dict, ms: tuple[float, float]) -> list[dict]:
    """Rows of one case behind the copy's, which moves 1000 bytes in a millisecond; ms: ours and the peer's."""
    cases = [Case(COPY, "copy", {}, {}, 1000), case]
    right = {f"1/{name}": array for name, array in case.arrays.items()}
    found = [
        measured(cuda_ops.REFERENCE, False, {}, right),
        measured(cuda_ops.OURS, True, {COPY: [1.0], case.name: [ms[0]]}, ours),
        measured(cuda_ops.PEER, False, {case.name: [ms[1]]}, peer),
    ]
    return cuda_ops.make_rows(cases, found)[-2:]


def test_a_wrong_result_a_missed_target_and_a_floor_are_seen() -> None:
    case = Case("NMS, 9 boxes", "nms", detections([[1, 2, 3, 4, 0.9, 0]]), {}, 500)
    right, wrong = ({f"1/{n}": a for n, a in detections([[1, 2, x, 4, 0.9, 0]]).items()} for x in (3, 5))
    ours, peer = rows_of(case, right, wrong, (1.0, 2.5))
    assert (ours["equal"], peer["equal"], ours["met"]) == (True, False, True)
    assert (ours["peer_ratio"], ours["floor_us"], ours["floor_ratio"]) == (0.4, 500.0, 2.0)
    ours, _ = rows_of(case, right, right, (1.5, 2.5))
    assert ours["met"] is False


def test_a_case_that_fails_has_its_reason() -> None:
    case = Case("IoU", "iou", {"iou": np.ones((2, 2))}, {}, 4)
    ours, _ = rows_of(case, {"1/failure": np.array("no memory")}, {"1/iou": np.ones((2, 2))}, (1.0, 1.0))
    assert ours["note"] == "no memory" and ours["equal"] is None


def detections(rows: list[list[float]]) -> dict[str, np.ndarray]:
    return {"rows": np.float32([rows]), "counts": np.int32([len(rows)])}


def test_sure_detections_that_are_missing_count_and_unsure_ones_do_not() -> None:
    sure, unsure = [10, 10, 20, 20, 0.9, 1], [50, 50, 60, 60, 0.255, 2]
    near = [10.5, 10, 20, 20, 0.895, 1]
    both = detections([sure, unsure])
    assert cuda_inference.missing(detections([near]), both, 1.0, 0.01) == 0
    assert cuda_inference.missing(detections([near]), both, 0.1, 0.01) == 1
    assert cuda_inference.missing(detections([unsure]), both, 1.0, 0.01) == 1


def step(name: str, ours: bool, slope: float, ms: float) -> Measurement:
    outputs = {"parts": np.ones(3), "gradient/w": np.full(4, slope), "step/w": np.ones(4)}
    return dataclasses.replace(measured(name, ours, {}, outputs), ms=[ms])


def test_a_gradient_may_be_off_by_twice_what_pytorchs_is() -> None:
    options = type("Options", (), {"size": 640, "batch": 16})
    reference = step(cuda_step.REFERENCE, False, 1.0, 30.0)
    for ours, peers, equal in ((1.05, 1.0, True), (1.3, 1.0, False), (1.3, 1.2, True)):
        eager = step(cuda_step.EAGER, False, peers, 10.0)
        rows = cuda_step.compared("yolov5s", [reference, step(cuda_step.OURS, True, ours, 6.0), eager], options)
        assert rows[1]["equal"] is equal and rows[1]["eager_ratio"] == 0.6 and rows[1]["met"] is True


def test_all_sizes_have_what_the_targets_ask_for() -> None:
    assert SIZES["full"].boxes == SIZES["short"].boxes == (1000, 10_000, 100_000)
    assert all((sizes.side, sizes.batch) == (640, 16) for name, sizes in SIZES.items() if name != "tiny")
