"""Files of tracks through the two usual evaluators, on films whose figures are known beforehand.

Boxes are exact, so IoU is 1 wherever a track is, and HOTA = √(DetA · AssA) at every threshold (Luiten et al., IJCV
2021): DetA = TP / (TP + FN + FP), AssA the mean over TP of the share that its track and its object have in common of
all that either has.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
from pathlib import Path

import pytest

from tests.tracking.films import Film, steady
from yolo.tracking.bytetrack import TrackSettings

THROUGHOUT = steady(300, 100)
"""An object that is there and found in each frame, since evaluators disagree on frames without any."""


@dataclasses.dataclass(frozen=True)
class Figures:
    """What an evaluator says."""

    found: int
    missed: int = 0
    wrong: int = 0
    switches: int = 0
    idf1: float = 1.0
    hota: float = 1.0

    @property
    def mota(self) -> float:
        return 1 - (self.missed + self.wrong + self.switches) / (self.found + self.missed)


def missing(number: int, frames: range, confidence: float = 0) -> dict[tuple[int, int], float]:
    return {(number, frame): confidence for frame in frames}


def idf1(kept: int, truth: int, tracks: int) -> float:
    return 2 * kept / (truth + tracks)


def hota(detection: float, shares: list[tuple[int, float]]) -> float:
    """``shares``: of so many hits that share."""
    return math.sqrt(detection * sum(count * share for count, share in shares) / sum(count for count, _ in shares))


ONE_STAGE = TrackSettings(low_thresh=0.25)
FILMS = {
    "moving": (Film({1: steady(10, 10, (4, 2)), 2: steady(400, 50, (-3, 5)), 3: THROUGHOUT}), Figures(120)),
    "crossing": (Film({1: steady(20, 100, (5, 0)), 2: steady(220, 110, (-5, 0)), 3: THROUGHOUT}), Figures(120)),
    # 5 frames without a box: the id stays, 5 misses
    "gap": (
        Film({1: steady(10, 10, (4, 2)), 2: THROUGHOUT}, missing(1, range(20, 25))),
        Figures(75, 5, idf1=idf1(75, 80, 75), hota=hota(75 / 80, [(40, 1), (35, 35 / 40)])),
    ),
    # 31 frames are longer than the buffer: a new id in the second frame in which it is back
    "long gap": (
        Film({1: steady(10, 10), 2: THROUGHOUT}, missing(1, range(11, 42)), length=60),
        Figures(88, 32, switches=1, idf1=idf1(78, 120, 88), hota=hota(88 / 120, [(60, 1), (18, 0.3), (10, 1 / 6)])),
    ),
    # half hidden for 10 frames: the second matching keeps it
    "low scores": (Film({1: steady(10, 10, (4, 2)), 2: THROUGHOUT}, missing(1, range(15, 25), 0.15)), Figures(80)),
    "low scores, one stage": (
        Film({1: steady(10, 10, (4, 2)), 2: THROUGHOUT}, missing(1, range(15, 25), 0.15), settings=ONE_STAGE),
        Figures(70, 10, idf1=idf1(70, 80, 70), hota=hota(70 / 80, [(40, 1), (30, 30 / 40)])),
    ),
    # one frame of nonsense has no id, the second of two in a row has one
    "false positives": (
        Film({1: THROUGHOUT}, wrong={10: (10, 10, 50, 90), 20: (50, 300, 90, 380), 21: (52, 300, 92, 380)}),
        Figures(40, wrong=1, idf1=idf1(40, 40, 41), hota=hota(40 / 41, [(40, 1)])),
    ),
    # one that comes later is confirmed in its second frame
    "late": (
        Film({1: steady(10, 10, (4, 2), range(11, 41)), 2: THROUGHOUT}),
        Figures(69, 1, idf1=idf1(69, 70, 69), hota=hota(69 / 70, [(40, 1), (29, 29 / 30)])),
    ),
    "nothing": (Film({1: THROUGHOUT}, missing(1, range(1, 41))), Figures(0, 40, idf1=0, hota=0)),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``gt/SEQUENCE/gt/gt.txt`` and ``tracks/exp/mot/SEQUENCE.txt`` of all films."""
    folder = tmp_path_factory.mktemp("films")
    for name, (film, _) in FILMS.items():
        film.write(name, folder / "gt", folder / "tracks/exp/mot")
    return folder


@pytest.fixture(scope="module")
def by_trackeval(written: Path) -> dict[str, Figures]:
    with contextlib.redirect_stdout(io.StringIO()):  # it names what it has no libraries for
        trackeval = pytest.importorskip("trackeval", reason="trackeval is not installed")
    quiet = dict.fromkeys(("PRINT_RESULTS", "PRINT_CONFIG", "TIME_PROGRESS", "PLOT_CURVES"), False)
    quiet |= {"OUTPUT_SUMMARY": False, "OUTPUT_DETAILED": False, "LOG_ON_ERROR": None}
    dataset = trackeval.datasets.MotChallenge2DBox(
        {
            **{"GT_FOLDER": str(written / "gt"), "TRACKERS_FOLDER": str(written / "tracks")},
            **{"TRACKERS_TO_EVAL": ["exp"], "TRACKER_SUB_FOLDER": "mot", "SKIP_SPLIT_FOL": True},
            **{"SEQ_INFO": {name: film.length for name, (film, _) in FILMS.items()}, "PRINT_CONFIG": False},
        }
    )
    metrics = [trackeval.metrics.HOTA(), trackeval.metrics.CLEAR({"PRINT_CONFIG": False})]
    metrics.append(trackeval.metrics.Identity({"PRINT_CONFIG": False}))
    with contextlib.redirect_stdout(io.StringIO()):
        results, _ = trackeval.Evaluator(quiet).evaluate([dataset], metrics)
    found = {}
    for name in FILMS:
        one = results["MotChallenge2DBox"]["exp"][name]["pedestrian"]
        clear = one["CLEAR"]
        counts = [int(clear[key]) for key in ("CLR_TP", "CLR_FN", "CLR_FP", "IDSW")]
        found[name] = Figures(*counts, float(one["Identity"]["IDF1"]), float(one["HOTA"]["HOTA"].mean()))
        assert clear["MOTA"] == pytest.approx(found[name].mota)
    return found


@pytest.fixture(scope="module")
def by_motmetrics(written: Path) -> dict[str, Figures]:
    motmetrics = pytest.importorskip("motmetrics", reason="motmetrics is not installed")
    host, found = motmetrics.metrics.create(), {}
    for name in FILMS:
        truth = motmetrics.io.loadtxt(written / "gt" / name / "gt" / "gt.txt", min_confidence=1)
        tracks = motmetrics.io.loadtxt(written / "tracks/exp/mot" / f"{name}.txt")
        matched = motmetrics.utils.compare_to_groundtruth(truth, tracks, "iou", distth=0.5)
        names = ["num_matches", "num_switches", "num_misses", "num_false_positives", "idf1", "mota"]
        one = host.compute(matched, metrics=names, return_dataframe=False)
        hits, missed, wrong = (int(one[key]) for key in ("num_matches", "num_misses", "num_false_positives"))
        switches = int(one["num_switches"])
        found[name] = Figures(hits + switches, missed, wrong, switches, float(one["idf1"]))
        assert one["mota"] == pytest.approx(found[name].mota)
    return found


@pytest.mark.parametrize("name", FILMS)
def test_trackeval_says_what_is_expected(name: str, by_trackeval: dict[str, Figures]) -> None:
    assert dataclasses.asdict(by_trackeval[name]) == pytest.approx(dataclasses.asdict(FILMS[name][1]), abs=1e-9)


@pytest.mark.parametrize("name", FILMS)
def test_motmetrics_says_what_is_expected(name: str, by_motmetrics: dict[str, Figures]) -> None:
    """It has no HOTA of its own."""
    expected = dataclasses.replace(FILMS[name][1], hota=1.0)
    assert dataclasses.asdict(by_motmetrics[name]) == pytest.approx(dataclasses.asdict(expected), abs=1e-9)


def test_a_film_without_tracks_is_an_empty_file(written: Path) -> None:
    assert (written / "tracks/exp/mot/nothing.txt").read_bytes() == b""
