"""Letterboxing on a device: the pixels that the product makes with OpenCV, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest

from tests.device import cuda_host
from yolo.data.letterbox import Letterbox, fit, letterbox

SIZES = [(1, 1), (2, 3), (31, 64), (64, 31), (48, 96), (96, 96), (97, 33), (33, 200), (150, 150), (7, 400)]


def random_images(sizes, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes]


def places_of(boxes: list[Letterbox]) -> list[tuple[int, int, int, int]]:
    return [(*box.resized, box.offset[1], box.offset[0]) for box in boxes]


def bfloat16_bits(numbers: np.ndarray) -> np.ndarray:
    bits = numbers.view(np.uint32)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)


@pytest.mark.parametrize("size", [(48, 48), (64, 96), (33, 47), (96, 34)])
def test_planes_of_one_batch_are_the_products(size: tuple[int, int]) -> None:
    images = random_images(SIZES)
    boxes = [fit(image.shape[:2], size) for image in images]
    found = cuda_host().letterbox_planes(images, places_of(boxes), *size)
    for planes, image, box in zip(found, images, boxes):
        np.testing.assert_array_equal(planes, letterbox(image, box))


def test_every_size_becomes_every_other() -> None:
    for height, width in [(5, 9), (13, 13), (40, 20)]:
        images = random_images([(height, width)])
        for to_height in range(1, 27):
            to = (to_height, 3 + to_height * 2 % 19)
            box = Letterbox((height, width), (to[0] / height, to[1] / width), (0.0, 0.0), to)
            found = cuda_host().letterbox_planes(images, [(*to, 0, 0)], *to)
            np.testing.assert_array_equal(found[0], letterbox(images[0], box), err_msg=f"{height} x {width} to {to}")


def test_channels_change_places() -> None:
    images = random_images([(20, 30), (64, 64)])
    boxes = [fit(image.shape[:2], (32, 32)) for image in images]
    found = cuda_host().letterbox_planes(images, places_of(boxes), 32, 32, swapped=True)
    for planes, image, box in zip(found, images, boxes):
        np.testing.assert_array_equal(planes, letterbox(np.ascontiguousarray(image[..., ::-1]), box))


def test_what_lies_outside_is_cut_off() -> None:
    images = random_images([(8, 8)])
    found = cuda_host().letterbox_planes(images, [(8, 8, -3, 5)], 8, 9)
    expected = np.full((3, 8, 9), 114, np.uint8)
    expected[:, :5, 5:] = images[0].transpose(2, 0, 1)[:, 3:, :4]
    np.testing.assert_array_equal(found[0], expected)


@pytest.mark.parametrize(("number", "pitch"), [("float32", 8), ("float16", 8), ("bfloat16", 16)])
@pytest.mark.parametrize("swapped", [False, True])
def test_a_map_holds_the_same_pixels_divided(number: str, pitch: int, swapped: bool) -> None:
    images, size = random_images(SIZES[:6]), (40, 46)
    places = places_of([fit(image.shape[:2], size) for image in images])
    planes = cuda_host().letterbox_planes(images, places, *size, swapped=swapped)
    found = cuda_host().letterbox_map(images, places, *size, swapped=swapped, number=number, pitch=pitch)
    numbers = found.view(np.uint16 if number == "bfloat16" else number)
    expected = planes.transpose(0, 2, 3, 1).astype(np.float32) / np.float32(255)
    rounded = bfloat16_bits(expected) if number == "bfloat16" else expected.astype(number)
    np.testing.assert_array_equal(numbers[..., :3], rounded)
    assert not numbers[..., 3:].any()


def test_no_images_and_sizes_that_are_none() -> None:
    assert cuda_host().letterbox_planes([], [], 32, 32).shape == (0, 3, 32, 32)
    with pytest.raises(ValueError, match="of a size that is none"):
        cuda_host().letterbox_planes([], [], 0, 32)
