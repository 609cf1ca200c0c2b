"""What several processes would do, while a run is one process: refused instead of done wrongly."""

from __future__ import annotations

from yolo.config.commands import TrainConfig
from yolo.errors import ConfigError


def refuse_ranks(config: TrainConfig) -> None:
    """Raise ConfigError for options that mean something among several processes only."""
    if config.sync_bn:
        raise ConfigError(
            "batch norms have nobody to share with: this run is a single process",
            where="--sync-bn",
            mend="leave it out, the results are the same",
        )
    if config.local_rank > 0:
        raise ConfigError(
            "this run is a single process, and its number can only be 0",
            where=f"--local_rank {config.local_rank}",
            mend="start one process, without a launcher",
        )
