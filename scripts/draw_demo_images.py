"""``python -m scripts.draw_demo_images``: draw the two images in ``yolo/demo`` that ``yolo.detect`` takes by default.

Everything is drawn here, from numbers, so that the images are the project's own. Shapes are signed distances in pixels
(negative inside), which numpy computes alike everywhere; PNG keeps them as they are.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from yolo.data.images import write_image

FOLDER = Path(__file__).resolve().parents[1] / "yolo" / "demo"
HEIGHT, WIDTH = 480, 640

Distance = NDArray[np.float32]
Point = tuple[float, float]
Colour = tuple[float, float, float]


class Canvas:
    """An image to put shapes on, RGB 0 to 255, float32 ``[H, W, 3]``."""

    def __init__(self, top: Colour, bottom: Colour) -> None:
        self.y, self.x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32) + np.float32(0.5)
        share = (self.y / HEIGHT)[..., None]
        self.rgb = (np.array(top, np.float32) * (1 - share) + np.array(bottom, np.float32) * share).astype(np.float32)

    def put(self, shape: Distance, colour: Colour, light: Distance | float = 1.0, alpha: float = 1.0) -> None:
        """Fill ``shape``; ``light`` multiplies the colour."""
        cover = (np.clip(0.5 - shape, 0, 1) * alpha)[..., None]
        lit = np.broadcast_to(np.asarray(light, np.float32), shape.shape)[..., None] * np.array(colour, np.float32)
        self.rgb[...] = self.rgb * (1 - cover) + np.clip(lit, 0, 255) * cover

    def part(self, left: int, top: int, right: int, bottom: int) -> Canvas:
        """A window, which is sooner drawn on than the whole."""
        window, rows, columns = copy.copy(self), slice(max(top, 0), bottom), slice(max(left, 0), right)
        window.x, window.y, window.rgb = (array[rows, columns] for array in (self.x, self.y, self.rgb))
        return window

    def box(
        self, left: float, top: float, right: float, bottom: float, radius: float = 0.0, x: Distance | None = None
    ) -> Distance:
        """A rectangle with round corners; ``x``: other columns than the pixels' own."""
        across = np.abs((self.x if x is None else x) - (left + right) / 2) - (right - left) / 2 + radius
        down = np.abs(self.y - (top + bottom) / 2) - (bottom - top) / 2 + radius
        outside = np.hypot(np.maximum(across, 0), np.maximum(down, 0))
        return outside + np.minimum(np.maximum(across, down), 0) - radius

    def disc(self, x: float, y: float, radius: float) -> Distance:
        """A filled circle."""
        return np.hypot(self.x - x, self.y - y) - radius

    def polygon(self, points: Sequence[Point]) -> Distance:
        """A convex polygon, its corners clockwise on the screen."""
        sides = zip(points, [*points[1:], points[0]])
        return np.max([self._side(*side) for side in sides], axis=0)

    def _side(self, begin: Point, end: Point) -> Distance:
        dx, dy = end[0] - begin[0], end[1] - begin[1]
        return ((self.x - begin[0]) * dy - (self.y - begin[1]) * dx) / np.hypot(dx, dy)

    def line(self, points: Sequence[Point], width: float) -> Distance:
        """A stroke through ``points`` with round ends."""
        parts = [self._segment(begin, end) for begin, end in itertools.pairwise(points)]
        return np.min(parts, axis=0) - width / 2

    def _segment(self, begin: Point, end: Point) -> Distance:
        dx, dy = end[0] - begin[0], end[1] - begin[1]
        share = np.clip(((self.x - begin[0]) * dx + (self.y - begin[1]) * dy) / (dx * dx + dy * dy), 0, 1)
        return np.hypot(self.x - begin[0] - share * dx, self.y - begin[1] - share * dy)

    def ball(self, x: float, y: float, radius: float, colour: Colour) -> None:
        """A round thing, lit from the upper left."""
        away = np.hypot(self.x - x + radius * 0.35, self.y - y + radius * 0.35) / radius
        self.put(self.disc(x, y, radius), colour, 1.25 - 0.5 * away**1.5)

    def pixels(self) -> NDArray[np.uint8]:
        """RGB uint8 ``[H, W, 3]``."""
        return np.rint(self.rgb).clip(0, 255).astype(np.uint8)


def arc(x: float, y: float, radius: float, begin: float, end: float, squeeze: float = 1.0) -> list[Point]:
    """Points on a circle from one angle to another, in degrees clockwise from the right."""
    angles = np.radians(np.linspace(begin, end, 13))
    return [(float(x + radius * squeeze * np.cos(a)), float(y + radius * np.sin(a))) for a in angles]


def octagon(x: float, y: float, radius: float) -> list[Point]:
    return [(x + radius * np.cos(a), y + radius * np.sin(a)) for a in np.radians(np.arange(8) * 45 + 22.5)]


def write_stop(canvas: Canvas, x: float, y: float, size: float, colour: Colour) -> None:
    """STOP, ``size`` pixels high, its middle at (x, y)."""
    half, wide, pen = size / 2, size * 0.24, size * 0.17
    curve = size / 4
    left = [x + (k - 1.5) * size * 0.74 for k in range(4)]
    s = [*arc(left[0], y - curve, curve, -20, -260, 0.95), *arc(left[0], y + curve, curve, -80, 160, 0.95)]
    canvas.put(canvas.line(s, pen), colour)
    canvas.put(canvas.line([(left[1] - wide, y - half), (left[1] + wide, y - half)], pen), colour)
    canvas.put(canvas.line([(left[1], y - half), (left[1], y + half)], pen), colour)
    canvas.put(canvas.line(arc(left[2], y, half, 0, 360, 0.58), pen), colour)
    p = left[3] - wide * 0.8
    bowl = [(p, y - half), *arc(p + wide * 0.6, y - half + curve, curve, -90, 90), (p - 1, y)]
    canvas.put(canvas.line(bowl, pen), colour)
    canvas.put(canvas.line([(p, y - half), (p, y + half)], pen), colour)


def street() -> NDArray[np.uint8]:
    """A stop sign, a traffic light and a bus on a road."""
    canvas = Canvas((118, 170, 224), (214, 230, 242))
    for x, y, radius in ((60, 285, 70), (170, 300, 60), (300, 290, 80), (430, 300, 60), (560, 285, 75)):
        canvas.put(canvas.disc(x, y, radius), (74, 118, 66), 1.2 - (canvas.y - y + radius) / radius * 0.25)
    canvas.put(canvas.box(-20, 310, 660, 500), (128, 126, 122))
    canvas.put(canvas.box(-20, 338, 660, 500), (82, 83, 88), 1.1 - canvas.y / 4000)
    for x in range(-40, 640, 130):
        canvas.put(canvas.polygon([(x + 12, 440), (x + 82, 440), (x + 76, 450), (x, 450)]), (226, 222, 205))
    _bus(canvas.part(180, 120, 530, 440))
    _traffic_light(canvas.part(540, 50, 610, 410), 572, 60)
    sign = canvas.part(15, 60, 175, 430)
    sign.put(sign.box(91, 150, 99, 420, 2), (150, 153, 156), 0.8 + 0.05 * (sign.x - 91))
    sign.put(sign.polygon(octagon(95, 145, 76)), (236, 236, 232))
    sign.put(sign.polygon(octagon(95, 145, 70)), (188, 24, 32), 1.12 - sign.y / 1400)
    write_stop(canvas.part(20, 110, 170, 180), 95, 145, 44, (244, 244, 240))
    return canvas.pixels()


def _traffic_light(canvas: Canvas, x: float, top: float) -> None:
    canvas.put(canvas.box(x - 5, top + 100, x + 5, 400, 2), (70, 74, 72))
    canvas.put(canvas.box(x - 27, top, x + 27, top + 136, 9), (38, 42, 40), 1.25 - 0.01 * (canvas.x - x + 27))
    for number, colour in enumerate(((250, 54, 40), (92, 74, 22), (20, 66, 36))):
        y = top + 25 + 43 * number
        canvas.put(canvas.disc(x, y, 19), (14, 15, 15))
        canvas.ball(x, y + 1, 16, colour)
        hood = np.maximum(np.abs(canvas.disc(x, y, 19)) - 2, canvas.y - y + 4)
        canvas.put(hood, (22, 24, 23))


def _bus(canvas: Canvas) -> None:
    """A double-decker from its side."""
    canvas.put(canvas.box(186, 398, 522, 414, 9), (30, 31, 34), alpha=0.6)
    canvas.put(canvas.box(190, 134, 514, 400, 18), (196, 30, 36), 1.15 - (canvas.y - 134) / 900)
    canvas.put(canvas.box(190, 244, 514, 250), (232, 214, 190))
    canvas.put(canvas.box(190, 346, 514, 350), (112, 14, 20))
    shine = 1 + 0.45 * ((canvas.x + canvas.y) % 170 < 40)
    for top, count in ((162, 6), (266, 4)):
        for left in (202 + 51 * number for number in range(count)):
            canvas.put(canvas.box(left, top, left + 45, top + 54, 5), (54, 70, 84), shine)
    canvas.put(canvas.box(412, 262, 450, 392, 4), (60, 76, 90), shine)
    canvas.put(canvas.box(430, 262, 432, 392), (160, 24, 30))
    canvas.put(canvas.box(460, 266, 510, 330, 8), (66, 86, 102), shine)
    canvas.put(canvas.box(502, 358, 517, 372, 4), (250, 240, 200))
    canvas.put(canvas.box(187, 358, 195, 374, 3), (240, 120, 30))
    for x in (256, 474):
        canvas.put(canvas.disc(x, 392, 35), (96, 12, 18))
        canvas.put(canvas.disc(x, 398, 29), (24, 24, 26))
        canvas.put(canvas.disc(x, 398, 15), (158, 160, 164), 1.3 - (canvas.y - 382) / 60)
        canvas.put(canvas.disc(x, 398, 5), (70, 72, 76))


def room() -> NDArray[np.uint8]:
    """A clock on a wall; a laptop, oranges and a cup on a table."""
    canvas = Canvas((222, 214, 200), (204, 194, 178))
    canvas.put(canvas.box(-20, 330, 660, 500), (138, 92, 56), 1.0 + 0.05 * np.sin(canvas.y * 0.55 + canvas.x * 0.012))
    canvas.put(canvas.box(-20, 330, 660, 334), (92, 58, 34))
    _clock(canvas.part(410, 20, 600, 210), 500, 112, 82)
    _laptop(canvas.part(0, 160, 380, 430))
    _cup(canvas.part(360, 230, 500, 360))
    fruit = canvas.part(430, 310, 620, 470)
    for x, y, radius in ((556, 398, 40), (486, 412, 42), (528, 350, 39)):
        fruit.put(fruit.disc(x + 6, y + radius * 0.8, radius * 0.5), (70, 42, 22), alpha=0.35)
    for x, y, radius in ((528, 360, 39), (486, 408, 42), (562, 402, 41)):
        fruit.ball(x, y, radius, (240, 138, 22))
        fruit.put(fruit.disc(x + 6, y - radius * 0.55, 4), (96, 92, 30))
    return canvas.pixels()


def _clock(canvas: Canvas, x: float, y: float, radius: float) -> None:
    canvas.put(canvas.disc(x + 5, y + 8, radius), (120, 108, 92), alpha=0.5)
    canvas.put(canvas.disc(x, y, radius), (34, 34, 38), 1.5 - (canvas.y - y + radius) / radius / 2)
    canvas.put(canvas.disc(x, y, radius - 9), (248, 247, 242))
    away, angle = np.hypot(canvas.x - x, canvas.y - y), np.arctan2(canvas.x - x, y - canvas.y)
    for count, depth, width in ((60, 17, 1.4), (12, 24, 4.2)):
        step = 2 * np.pi / count
        across = np.abs(away * np.sin(angle - np.rint(angle / step) * step)) - width / 2
        along = np.abs(away - radius + (depth + 13) / 2) - (depth - 13) / 2
        canvas.put(np.maximum(across, along), (24, 24, 28))
    for angle, length, width in ((305, 38, 6.0), (54, 58, 4.0)):
        tip = x + length * np.sin(np.radians(angle)), y - length * np.cos(np.radians(angle))
        canvas.put(canvas.line([(x, y), tip], width), (20, 20, 24))
    canvas.put(canvas.disc(x, y, 6), (176, 30, 30))


def _laptop(canvas: Canvas) -> None:
    canvas.put(canvas.box(62, 166, 318, 338, 9), (44, 46, 50))
    canvas.put(canvas.box(72, 176, 308, 326, 2), (40, 92, 150), 1.5 - (canvas.y - 176) / 200)
    canvas.put(canvas.box(92, 198, 200, 290, 3), (236, 240, 244))
    for number in range(6):
        canvas.put(canvas.box(100, 210 + 12 * number, 188 - 17 * (number % 3), 214 + 12 * number), (140, 150, 162))
    canvas.put(canvas.polygon([(52, 340), (328, 340), (366, 416), (14, 416)]), (176, 179, 184), 1.1 - canvas.y / 4000)
    canvas.put(canvas.box(14, 414, 366, 424, 4), (120, 123, 128))
    for row in range(4):
        inset, y = 74 - 7 * row, 348 + 11 * row
        step = (380 - 2 * inset) / 13
        keys = canvas.box(1, y, step - 2, y + 8, 2, x=(canvas.x - inset) % step)
        canvas.put(np.maximum(keys, canvas.box(inset, y, 380 - inset, y + 8)), (46, 48, 52))
    canvas.put(canvas.box(148, 395, 232, 412, 2), (152, 155, 160))


def _cup(canvas: Canvas) -> None:
    canvas.put(np.abs(np.hypot((canvas.x - 450) * 1.2, canvas.y - 300) - 27) - 6, (196, 60, 48), 0.85)
    side = canvas.polygon([(372, 252), (444, 252), (437, 352), (379, 352)])
    canvas.put(side, (206, 64, 52), 1.2 - np.abs(canvas.x - 396) / 90)
    ring = np.hypot(canvas.x - 408, (canvas.y - 252) * 3.2)
    canvas.put(ring - 36, (226, 96, 84))
    canvas.put(ring - 31, (62, 36, 22))


def main() -> None:
    """Write both."""
    FOLDER.mkdir(exist_ok=True)
    for draw in (street, room):
        write_image(FOLDER / f"{draw.__name__}.png", draw())


if __name__ == "__main__":
    main()
