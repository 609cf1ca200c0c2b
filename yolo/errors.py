"""The one exception family for what a user can mend."""

from __future__ import annotations


class YoloError(Exception):
    """A user's problem in one line: what is wrong, where, and how to mend it.

    Commands print ``str(error)`` on stderr and exit with ``code``. ``where`` is a file, ``file:line`` or an
    option; ``hint`` is an instruction. ``everywhere`` says that all ranks of a run raise it together, ``own`` that it
    is of one rank, which must say so itself.
    """

    everywhere = own = False
    code = 2
    """With which a command ends."""

    def __init__(self, what: str, *, where: object = None, hint: str | None = None) -> None:
        self.what, self.where, self.hint = what, where, hint
        line = f"{where}: {what}" if where is not None else what
        super().__init__(" ".join((f"{line}; {hint}" if hint else line).split()))


class Interrupted(KeyboardInterrupt):
    """A command stopped on request and in good order; commands print ``str(error)`` and exit with 128 + signal."""

    def __init__(self, what: str, *, signal: int = 2) -> None:
        self.code = 128 + signal
        super().__init__(what)


class ConfigError(YoloError):
    """A wrong option, hyperparameter or configuration file."""


class DataError(YoloError):
    """A data set, label file, image or video that cannot be used."""


class ModelError(YoloError):
    """A model YAML that cannot be built."""


class WeightsError(YoloError):
    """A weights or checkpoint file that cannot be read, trusted or written."""


class VerificationError(YoloError):
    """An exported file that does not give what the detector gives: nothing is wrong with what was asked for."""

    code = 1


class DownloadError(YoloError):
    """A file that cannot be fetched, or is not the one that was expected."""


class RuntimeSetupError(YoloError):
    """This machine or installation cannot run OneFlow or the compiled operators."""


class DeviceError(YoloError, RuntimeError):
    """What a GPU or its libraries refuse, as yolo._cuda says it."""


class DivergedError(YoloError):
    """The loss, the gradient or what is to be saved is no longer finite; all ranks find the same."""

    everywhere = True
    code = 3  # a search tells it from a mistake by that
