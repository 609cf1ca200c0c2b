"""Files spoilt at random: lines taken away, doubled or given another value, bytes changed, the end cut off."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

KINDS = ("value", "value", "value", "key", "without", "twice", "insert", "flip", "cut")
TOKENS = (
    # values of every kind, and what is none
    *("", "~", "[]", "{}", "[[[]]]", "{a: {b: c}}", "-1", "0", "1.5", "1e400", "-.inf", ".nan", "true", "None", "nan"),
    *("'", '"', "|", ">", "-", "\t", "\0", "\x1b[0m", "\ufeff", "\u2028", "é" * 300, "%"),
    *("a: b: c", "[1, [2], {3: 4}]"),
    # YAML's own traps
    *("*a", "&a [*a]", "&a {b: *a}", "<<: *a", "? [a]", "!!python/object/apply:os.system [ls]", "!!int x", "!!int ''"),
    *("!!float x", "!!bool x", "!!timestamp x", "!!set [1]", "!!binary '?'", "!!omap [1]", "!!pairs 3", "!!null x"),
    *("!x y", "2001-99-99", "2001-01-01", "1:99:99", "0x", "0b2", "0o9", "0x" + "f" * 5000, "9" * 5000, "a" * 5000),
    *("[" * 500, "{a: " * 2000, "- " * 500),
    # paths and downloads
    *("images/val", "images", "../images/train", "list.txt", "absent", "*", "images/**", "images/[", "labels"),
    *("data.yaml", "http://127.0.0.1:9/x.zip", "ftp://x", "http://[", "x.zip", "wget x && rm x"),
    "[http://127.0.0.1:9/x.zip, {url: 3}]",
    # models and labels
    *("Conv", "Detect", "C3", "nc", "anchors", "[-1, 1, Conv, [16, 3]]", "[99, 1, Concat, [1]]", "[-1, 0, C3, [8]]"),
    *("[80, x]", "0 .5 .5 .2 .2", "7 .5 .5 .2 .2", "0 2 .5 .2 .2", "0 nan .5 .2 .2", "0 1_0 .5 .2 .2", "0 1e-50 0 1 1"),
    "0 .1 .1 .9 .1 .5 .5",
)  # fmt: skip

changes = st.lists(
    st.tuples(st.sampled_from(KINDS), st.floats(0, 1, exclude_max=True), st.sampled_from(TOKENS)),
    min_size=1,
    max_size=4,
)
"""What ``spoil`` does: a kind, a place as a share of the file, a token."""


def spoil(content: bytes, some: Sequence[tuple[str, float, str]]) -> bytes:
    """``content`` after the changes, one after another."""
    for kind, share, token in some:
        content = _spoil(content, kind, share, token.encode("utf-8"))
    return content


def _spoil(content: bytes, kind: str, share: float, token: bytes) -> bytes:
    place = int(share * len(content))
    if kind == "insert":
        return content[:place] + token + content[place:]
    if kind == "cut":
        return content[:place]
    if kind == "flip":
        changed = bytearray(content)
        for position in range(place, min(place + 3, len(changed))):
            changed[position] ^= 0x5A
        return bytes(changed)
    lines = content.split(b"\n")
    number = int(share * len(lines))
    name, colon, value = lines[number].partition(b":")
    if kind == "without":
        del lines[number]
    elif kind == "twice":
        lines.insert(number, lines[number])
    elif kind == "key":
        lines[number] = token + colon + value
    else:
        lines[number] = name + colon + b" " + token if colon else token
    return b"\n".join(lines)
