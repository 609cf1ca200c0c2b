"""One colour a class, the same in every image and plot; one a track, the same in every frame."""

from __future__ import annotations

Colour = tuple[int, int, int]

# Neighbouring classes get hues far apart; all are strong enough for a thin line on white and on a photograph.
PALETTE: tuple[Colour, ...] = (
    (229, 57, 53),  # red
    (30, 136, 229),  # blue
    (67, 160, 71),  # green
    (251, 140, 0),  # orange
    (142, 36, 170),  # purple
    (0, 172, 193),  # cyan
    (216, 27, 96),  # crimson
    (124, 179, 66),  # leaf
    (109, 76, 65),  # brown
    (57, 73, 171),  # indigo
    (249, 200, 35),  # yellow
    (0, 121, 107),  # teal
    (240, 120, 165),  # pink
    (84, 110, 122),  # slate
    (175, 180, 43),  # olive
    (150, 20, 20),  # dark red
    (79, 180, 240),  # sky
    (27, 94, 32),  # dark green
    (160, 130, 210),  # lavender
    (240, 140, 110),  # salmon
)


def class_colour(category: int) -> Colour:
    """The RGB colour of class ``category``; after 20 classes they begin again."""
    return PALETTE[int(category) % len(PALETTE)]


def track_colour(identity: int) -> Colour:
    """The RGB colour of track ``identity``, which counts from 1; after 20 tracks they begin again."""
    return PALETTE[(int(identity) - 1) % len(PALETTE)]


def text_colour(background: Colour) -> Colour:
    """Black or white, whichever reads better on ``background`` (ITU-R BT.601 brightness)."""
    red, green, blue = background
    return (255, 255, 255) if 0.299 * red + 0.587 * green + 0.114 * blue < 165 else (0, 0, 0)
