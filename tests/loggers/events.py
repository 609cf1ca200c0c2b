"""Reads TensorBoard's event files: records of a length, its checksum, a protobuf message and its checksum."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event, SessionLog


def tag(name: str) -> str:
    """A scalar's name as TensorBoard allows it."""
    return name.replace(":", "_")


def read_scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """For each name the (step, value) pairs of the folder's event files, in order, as TensorBoard shows them.

    The start of a resumed run takes away what was said before of its step and those behind it.
    """
    found: dict[str, list[tuple[int, float]]] = {}
    for file in sorted(folder.glob("events.out.tfevents.*")):
        for event in _events(file.read_bytes()):
            if event.session_log.status == SessionLog.START:
                found = {name: [pair for pair in pairs if pair[0] < event.step] for name, pairs in found.items()}
            for value in event.summary.value:
                found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return {name: pairs for name, pairs in found.items() if pairs}


def _events(content: bytes) -> Iterator[Event]:
    """The whole records; a killed run may leave a part of one at the end."""
    at = 0
    while at + 12 <= len(content):
        (size,) = struct.unpack_from("<Q", content, at)
        if at + 16 + size > len(content):
            return
        yield Event.FromString(content[at + 12 : at + 12 + size])
        at += 16 + size
