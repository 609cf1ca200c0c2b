"""Class names that number classes: those of weights beside those of a data set, or of other weights."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from yolo.errors import ConfigError
from yolo.io.brief import brief

logger = logging.getLogger("yolo")


@dataclass(frozen=True)
class ClassNames:
    """Names in the order of the class numbers that are wanted, and where they stand.

    ``new``: names of one's own choice, as a user gives for those in the weights, or a training for its classes.
    """

    names: tuple[str, ...]
    where: object
    new: bool = False


@dataclass(frozen=True)
class Match:
    """How two equally long lists of names go together."""

    order: tuple[int, ...] | None = None
    """Where each wanted name stands in the own list; None unless both hold the same names in different orders."""
    displaced: str | None = None
    """A name that stands in both under different numbers while other names differ."""
    renamed: tuple[int, ...] = ()
    """Numbers under which the names differ, where they are not the same names in another order."""


def match_names(own: Sequence[str], wanted: Sequence[str]) -> Match:
    """Compare two lists of one length; names that a list holds twice are compared by number alone."""
    renamed = tuple(number for number, pair in enumerate(zip(own, wanted)) if pair[0] != pair[1])
    if not renamed:
        return Match()
    places = {name: number for number, name in enumerate(own)}
    if len(places) == len(own) == len(set(wanted)) and places.keys() == set(wanted):
        return Match(tuple(places[name] for name in wanted))
    displaced = [name for number, name in enumerate(wanted) if name in places and own[number] != name]
    times, times_wanted = Counter(own), Counter(wanted)
    unique = next((name for name in displaced if times[name] == times_wanted[name] == 1), None)
    return Match(None, unique, renamed)


def class_order(own: Sequence[str], wanted: ClassNames, where: object) -> tuple[int, ...] | None:
    """Where each class of ``wanted`` stands in ``own``, the names found at ``where``; None where the numbers agree.

    Says so when the order is another one, and when names differ, which are then matched by number. Raises ConfigError
    when that gives a name to another class, which new names may. Another number of names is the caller's to refuse.
    """
    if len(own) != len(wanted.names):
        return None
    match = match_names(own, wanted.names)
    if match.order is not None:
        logger.info("%s: has the classes of %s in another order; they are matched by name", where, wanted.where)
    elif match.displaced is not None:
        numbers = list(own).index(match.displaced), wanted.names.index(match.displaced)
        what = f"{brief(match.displaced)} is class {numbers[0]} here and class {numbers[1]} in {wanted.where}"
        if not wanted.new:
            hint = "the same names in both, in any order, are matched by name"
            raise ConfigError(f"{what}, and other names differ", where=where, hint=hint)
        logger.warning("%s: %s; classes are matched by number", where, what)
    elif match.renamed and not wanted.new:
        first, count = match.renamed[0], len(match.renamed)
        some = f"{count} of {len(own)} class names" if count > 1 else "a class name"
        pair = f"{brief(own[first])} here, {brief(wanted.names[first])} in {wanted.where}"
        logger.warning("%s: %s differ%s (%d is %s); matched by number", where, some, "s" * (count == 1), first, pair)
    return match.order


def class_channels(channels: int, order: Sequence[int]) -> NDArray[np.int64]:
    """Indices of a raw head's channels, ``na * (5 + nc)``, that give class ``order[i]`` the number i."""
    columns = np.concatenate((np.arange(5), 5 + np.asarray(order)))
    return np.arange(channels).reshape(-1, 5 + len(order))[:, columns].reshape(-1)
