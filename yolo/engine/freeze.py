"""``--freeze``: which layers stay as they are."""

from __future__ import annotations

from collections.abc import Sequence

from yolo.errors import ConfigError


def frozen_layers(freeze: Sequence[int], layers: int) -> tuple[int, ...]:
    """The numbers of the frozen layers: one number N means the first N, several mean themselves (YOLOv5).

    Raises ConfigError for a layer that a network of ``layers`` layers does not have, and when none is left to train.
    """
    numbers = tuple(range(freeze[0])) if len(freeze) == 1 else tuple(dict.fromkeys(freeze))
    wrong = next((number for number in numbers if number >= layers), None)
    if wrong is not None:
        given = " ".join(map(str, freeze))
        raise ConfigError(
            f"the network has {layers} layers, 0 to {layers - 1}", where=f"--freeze {given}", hint="freeze fewer"
        )
    if len(numbers) == layers:
        raise ConfigError("no layer is left to train", where=f"--freeze {freeze[0]}", hint="freeze fewer")
    return numbers
