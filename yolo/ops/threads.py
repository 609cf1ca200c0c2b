"""How many threads the compiled operators use."""

from __future__ import annotations

from yolo.ops._native import native


def num_threads() -> int:
    """The number of threads an operator may use: what was set, else what the machine has."""
    return native.num_threads()


def set_num_threads(threads: int) -> None:
    """Set that number for the whole process; 0 means as many as the machine has.

    Results do not depend on it. Raises ValueError below 0.
    """
    native.set_num_threads(int(threads))
