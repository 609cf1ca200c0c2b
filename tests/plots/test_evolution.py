"""The plot of a search decodes, whatever was found."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from yolo.plots.evolution import plot_evolution


class Table:
    def __init__(self, names: int, generations: int, fitness: float) -> None:
        self.names = tuple(f"value_{number}" for number in range(names))
        self.rows = [{name: 0.1 * row for name in self.names} for row in range(generations)]
        self._fitness = fitness

    def fitness(self) -> list[float]:
        return [self._fitness * number for number in range(len(self.rows))]

    def best(self) -> int:
        return len(self.rows) - 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("names", "generations", "fitness"), [(7, 9, 0.1), (1, 1, 0.0), (5, 3, 0.0)])
def test_it_is_drawn(tmp_path: Path, names: int, generations: int, fitness: float) -> None:
    plot_evolution(Table(names, generations, fitness), tmp_path / "evolve.png")
    with Image.open(tmp_path / "evolve.png") as image:
        width, height = image.convert("RGB").size
    assert width == 1560 and height > 250 * (1 + (names > 5))
