"""JPEG files damaged at random, given to the native renderer one after another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.renderers.photos import photo, save_jpeg, turned

SIZE = (97, 131)
FITS = ("area", "augmented", "placed", "placed")
_HEAD = 700  # bytes: the tables and headers of these files


def kinds(folder: Path) -> list[bytes]:
    """Whole files: every chroma, grey, progressive, with restart markers, turned, larger."""
    options = (
        {"subsampling": 2},
        {"subsampling": 1},
        {"subsampling": 0},
        {"mode": "L"},
        {"progressive": True},
        {"restart_marker_blocks": 3},
        {"exif": turned(6)},
    )
    image, path = photo(SIZE), folder / "whole.jpg"
    files = [save_jpeg(path, image, **more).read_bytes() for more in options]
    return [*files, save_jpeg(path, np.asarray(Image.fromarray(image).resize((520, 390)))).read_bytes()]


def damaged(whole: bytes, rng: np.random.Generator) -> bytes:
    """Bytes changed, cut off, taken out, doubled; more often in the head, where they mean more."""
    content = bytearray(whole)
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(2, _HEAD if rng.random() < 0.6 else len(content)))
        length = int(rng.integers(1, 40))
        change = rng.integers(5)
        if change == 0:
            content[at] ^= 1 << int(rng.integers(8))
        elif change == 1:
            content[at : at + 2] = rng.bytes(2)
        elif change == 2:
            del content[at : at + length]
        elif change == 3:
            content[at:at] = content[at : at + length]
        elif rng.random() < 0.3:
            del content[at:]
        if len(content) < _HEAD:
            break
    return bytes(content)


def damaged_jpegs(folder: Path):
    """Gives a function that damages one file and renders a sample of it: "ran", or "refused" where it is not read."""
    from yolo.data.renderers.jpeg_library import jpeg_library
    from yolo.native import Renderer

    wholes, path, renderer = kinds(folder), folder / "damaged.jpg", Renderer(jpeg_library())

    def attempt(seed: int, number: int) -> str:
        rng = np.random.default_rng((seed, number))
        content = damaged(wholes[number % len(wholes)], rng)
        path.write_bytes(content)
        resized = SIZE if number % 3 else (int(rng.integers(10, 120)), int(rng.integers(10, 160)))
        x, y = int(rng.integers(-resized[1], 60)), int(rng.integers(-resized[0], 40))
        source = np.frombuffer(content, np.uint8) if number % 4 == 3 else bytes(path)
        tile = (source, resized, x, y)
        planes = np.zeros((3, 40, 60), np.uint8)
        view = ((40, 60), (40, 60), None, None, [tile])
        sample = (planes, (40, 60), [view], 1.0, None, False, False, FITS[number % 4])
        return "refused" if renderer.render([sample], 0) else "ran"

    return attempt
