"""What the val command said, read."""

from __future__ import annotations

import json

import numpy as np

from tests.train_samples import Done


def result(done: Done) -> dict:
    assert done.code == 0, done.err
    assert done.out.count("\n") == 1
    return json.loads(done.out)


def table(done: Done) -> list[list[str]]:
    assert done.code == 0, done.err
    return [line.split() for line in done.out.splitlines()]


def labels_in(done: Done) -> dict[str, np.ndarray]:
    assert done.code == 0, done.err
    texts = {path.stem: path.read_text() for path in sorted((done.folder / "labels").iterdir())}
    return {name: np.array([line.split() for line in text.splitlines()], float) for name, text in texts.items()}
