"""Pickles that would run something, have no end, or cost far more than their size justifies."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Final

_REPEATED: Final = (
    *(b"N0", b"N", b"]", b"}", b")", b"\x8f", b"(", b"K\x01", b"(1", b"N2", b"}q\x00", b"]K\x01a", b"\x80\x02"),
    *(b"J\1\2\3\4", b"G" + b"\1" * 8, b"X\x01\0\0\0x", b"cmodels.yolo\nX\n", b"ctorch\nfloat32\n", b"(t", b"(l"),
    *(b"(d", b")\x85", b"}K\x01K\x01s", b"]\x94", b"\x8c\x01a", b"\x8a\x08" + b"\1" * 8, b"C\x01a", b"B\1\0\0\0a"),
    *(b"c__builtin__\nset\n]\x85R", b"ccollections\nOrderedDict\n)R", b"cmodels.yolo\nX\n)\x81", b"\x88", b"\x89\x85"),
)
"""Operations that are admitted, to be repeated as often as a file has room."""
_SET: Final = b"c__builtin__\nset\n"


def hostile_pickles(size: int) -> dict[str, bytes]:
    """Names and contents, the largest of about ``size`` bytes; none holds a model."""
    found = {f"{piece!r} repeated": b"\x80\x02" + piece * (size // len(piece)) + b"." for piece in _REPEATED}
    colliding = b"".join(b"\x8a\x0b" + (k * ((1 << 61) - 1)).to_bytes(11, "little") + b"N" for k in range(size // 14))
    ones = b"\x80\x02](" + b"K\x01" * 60_000 + b"eq\x00"
    text = b"X" + size.to_bytes(4, "little") + b"models.".ljust(size, b"x")
    return {
        **found,
        **opcodes(Path("/nowhere/marker")),
        "laughs": b"\x80\x02]q\x00" + b"".join(b"]q%c(h%ch%ce" % (i + 1, i, i) for i in range(60)) + b".",
        "nested": b"\x80\x02" + b"]" * (size // 2) + b"a" * (size // 2 - 1) + b".",
        "nested tuples as a key": b"\x80\x02})" + b"\x85" * size + b"K\x01s.",
        "a set of nested tuples": b"\x80\x02" + _SET + b")" + b"\x85" * size + b"\x85R.",
        "copies": ones + (_SET + b"h\x00\x85R0") * 2000 + b".",
        "copies of new objects": ones + (_SET + b"h\x00\x85\x810") * 2000 + b".",
        "different names": b"\x80\x02" + b"".join(b"cmodels.y\nX%d\n" % k for k in range(size // 16)) + b".",
        "colliding keys": b"\x80\x02}(" + colliding + b"u.",
        "colliding places": b"\x80\x02N" + b"".join(b"p%d\n" % (k * ((1 << 61) - 1)) for k in range(size // 25)) + b".",
        "a long text": b"\x80\x02" + text + b".",
        "a long text as names": b"\x80\x02" + text + b"q\x00" + b"h\x00\x8c\x01X\x930" * 10_000 + b".",
        "a long name": b"\x80\x02cmodels." + b"x" * size + b"\nX\n.",
        "a long number": b"\x80\x02\x8b" + size.to_bytes(4, "little") + b"\1" * size + b".",
        "a long number in digits": b"\x80\x02L" + b"9" * size + b"L\n.",
        "more text than there is": b"\x80\x02X\xff\xff\xff\xffx.",
        "far more bytes than there are": b"\x80\x04\x8e" + b"\x7f" * 8 + b".",
        "memo": b"\x80\x02N" + b"r\xff\xff\xff\x7f" * (size // 5) + b".",
        "nothing": b"",
        "no end": b"\x80\x02N",
    }


def opcodes(marker: Path) -> dict[str, bytes]:
    """Pickles that would make ``marker`` if anything ran; each by another operation."""
    command = f"touch {marker}"
    text = pickle.BINUNICODE + len(command).to_bytes(4, "little") + command.encode()
    system = b"cposix\nsystem\n"
    named = b"".join(b"\x8c" + bytes([len(part)]) + part for part in (b"posix", b"system"))
    return {
        "REDUCE posix.system": b"\x80\x02" + system + text + b"\x85R.",
        "STACK_GLOBAL posix.system": b"\x80\x04" + named + b"\x93" + text + b"\x85R.",
        "INST posix.system": b"\x80\x02(" + text + b"iposix\nsystem\n.",
        "OBJ posix.system": b"\x80\x02(" + system + text + b"o.",
        "NEWOBJ posix.system": b"\x80\x02" + system + text + b"\x85\x81.",
        "NEWOBJ_EX subprocess.Popen": b"\x80\x04csubprocess\nPopen\n" + text + b"\x85}\x92.",
        "EXT1 (1)": b"\x80\x02\x82\x01" + text + b"\x85R.",
        "EXT4 (1)": b"\x80\x02\x84\x01\0\0\0" + text + b"\x85R.",
        "BUILD of a list": b"\x80\x02]" + text + b"b.",
        "REDUCE of a string": b"\x80\x02" + text + text + b"\x85R.",
        "persistent id posix.system": b"\x80\x02" + system + text + b"\x85RQ.",
        "protocol 0": b"cposix\nsystem\n(S'" + command.encode() + b"'\ntR.",
        "dotted name": b"\x80\x02cmodels.yolo\nos.system\n" + text + b"\x85R.",
        "models name through builtins": b"\x80\x02cbuiltins\ngetattr\n" + text + b"\x85R.",
        "long text number": b"\x80\x02L" + b"9" * 100_000 + b"L\n.",
    }
