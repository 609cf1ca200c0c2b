"""What runs, in which order, and where its numbers lie: plain data that planners make and executors check and run."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from yolo.program.ir import Shape
from yolo.program.target import Target

Attribute = bool | int | float | str | tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class TensorView:
    """Channels ``first`` to ``first + channels`` of a buffer in the arena.

    offset: of the buffer, in bytes; element: bytes of a number (1: uint8, 2: bfloat16, binary16 or uint16, 4: float32);
    layout: "blocked" is ``[batch, buffer_channels / V, height, width, V]`` with the target's block V, "nhwc" is
    ``[batch, height, width, buffer_channels]``. Of maps in the target's layout ``first`` and ``buffer_channels`` are
    whole blocks, and lanes after the last channel hold zeros; maps in others are whole buffers.
    """

    offset: int
    channels: int
    height: int
    width: int
    element: int
    layout: str = "blocked"
    first: int = 0
    buffer_channels: int = 0


@dataclasses.dataclass(frozen=True)
class Step:
    """One entry of the executor's table.

    kind: its name there; where: the layer, for messages; views: what it reads and writes, by role; attributes: its
    other arguments. A backward step names the forward step whose state it needs by its number, as ``of``.
    """

    kind: str
    where: str
    views: Mapping[str, tuple[TensorView, ...]]
    attributes: Mapping[str, Attribute] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Plan:
    """A network for one target and one shape of images.

    images: ``[B, C, H, W]``; heads: shapes of what leaves it, in their order; arena: bytes of feature maps; forward and
    backward: steps in the order of execution (no backward: inference). With ``per_image`` the maps hold one image, and
    the steps run for each image of a batch in turn. values and gradient: numbers that the vectors of parameters and
    statistics, and of the parameters' gradients, have at least.
    """

    target: Target
    images: Shape
    heads: tuple[Shape, ...]
    arena: int
    forward: tuple[Step, ...]
    backward: tuple[Step, ...] = ()
    per_image: bool = False
    values: int = 0
    gradient: int = 0

    def lines(self) -> Iterator[str]:
        """The plan, human-readable: a line for it and one for each step."""
        yield f"== plan: {len(self.forward)} + {len(self.backward)} steps, {self.arena / 1e6:.1f} MB, {self.target}"
        for number, step in enumerate((*self.forward, *self.backward)):
            views = " ".join(f"{role}={_short(view)}" for role, views in step.views.items() for view in views)
            attributes = " ".join(f"{name}={_brief(value)}" for name, value in step.attributes.items())
            yield f"{number:<4} {step.kind:<16} {step.where:<28} {views} {attributes}"

    def to_json(self) -> str:
        """The whole plan as JSON."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """What ``to_json`` wrote. Raises ValueError for anything else; the executor checks the steps."""
        try:
            content = json.loads(text)
            content["target"] = Target(**content["target"])
            content["images"], content["heads"] = tuple(content["images"]), tuple(map(tuple, content["heads"]))
            for part in ("forward", "backward"):
                content[part] = tuple(map(_step, content[part]))
            return cls(**content)
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"is not a plan: {error}") from None


def _step(row: Mapping[str, Any]) -> Step:
    views = {role: tuple(TensorView(**view) for view in views) for role, views in row["views"].items()}
    attributes = {name: _attribute(value) for name, value in row["attributes"].items()}
    return Step(row["kind"], row["where"], views, attributes)


def _attribute(value: Attribute | Sequence[int]) -> Attribute:
    return tuple(value) if isinstance(value, list) else value


def _brief(value: Attribute) -> str:
    numbers = value if isinstance(value, tuple) else ()
    return f"{len(numbers)} numbers" if len(numbers) > 4 else str(value).replace(" ", "")


def _short(view: TensorView) -> str:
    channels = f"{view.first}:{view.first + view.channels}" if view.buffer_channels else f"{view.channels}"
    return f"@{view.offset}[{channels},{view.height},{view.width}]{view.layout}x{view.element}"
