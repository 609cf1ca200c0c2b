"""What several processes can do together, and what one can do alone."""

from __future__ import annotations

from yolo.config.commands import TrainConfig
from yolo.data.layout import QUAD
from yolo.distributed.ranks import Ranks
from yolo.errors import ConfigError


def refuse_ranks(config: TrainConfig, ranks: Ranks) -> None:
    """Raise ConfigError for options that do not fit the number of processes."""
    if ranks.alone:
        _refuse_alone(config)
        return
    unit = ranks.count * (QUAD if config.quad else 1)
    if config.batch_size % unit:
        images = f"{config.batch_size} images" + (", four of which make one," if config.quad else "")
        raise ConfigError(
            f"{images} do not divide among {ranks.count} ranks",
            where="--batch-size",
            hint=f"give a multiple of {unit}, such as {max(config.batch_size // unit, 1) * unit}: it is the total",
        )
    if config.evolve:
        raise ConfigError(
            "a search runs in one process, which starts its trainings itself",
            where="--evolve",
            hint="start it without the launcher; --parallel N trains side by side",
        )


def _refuse_alone(config: TrainConfig) -> None:
    if config.sync_bn:
        raise ConfigError(
            "SyncBatchNorm needs several processes, and this run is a single one",
            where="--sync-bn",
            hint="leave it out, the results are the same",
        )
    if config.local_rank > 0:
        raise ConfigError(
            "this run is a single process, and its number can only be 0",
            where=f"--local_rank {config.local_rank}",
            hint="start one process, without a launcher",
        )
