"""What a further rank adds to the memory of an index, measured in processes of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.index import make_set, measure

MOST_MB = 60


@pytest.mark.parametrize("images", [2_000, pytest.param(100_000, marks=pytest.mark.stress)])
def test_a_further_rank_shares_the_index(tmp_path: Path, images: int) -> None:
    """Of 2,000 images the file is half a megabyte; a list of arrays and paths would be six times that."""
    first, start, further = measure(make_set(tmp_path, images))
    for row in (first, start, further):
        assert (row["images"], row["labels"]) == (images, 7 * images)
        print(row)
    assert further["private_mb"] < MOST_MB * images / 100_000 + 3
