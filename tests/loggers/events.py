"""Reads TensorBoard's event files: records of a length, its checksum, a protobuf message and its checksum."""

from __future__ import annotations

import struct
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event


def tag(name: str) -> str:
    """A scalar's name as TensorBoard allows it."""
    return name.replace(":", "_")


def read_scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """For each name the (step, value) pairs of the folder's only event file, in order."""
    (file,) = folder.glob("events.out.tfevents.*")
    content, at, found = file.read_bytes(), 0, {}
    while at < len(content):
        (size,) = struct.unpack_from("<Q", content, at)
        event = Event.FromString(content[at + 12 : at + 12 + size])
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
        at += 16 + size
    return found
