"""Keeps what users have met in the checkpoint."""

from typing import Any

import pytorch_lightning as pl
from typing_extensions import override

from invlightning.modules.history import KEY, history_of, history_state
from invlightning.modules.trainer_data import implicit_data


class KeepHistory(pl.Callback):
    """Keeps what every user is known to have met in each checkpoint, 4 bytes a pair.

    A loaded model then leaves it out of recommendations without being told: the rows of all parts,
    as ``predict`` does. Without this callback a checkpoint holds no rows of the data.
    """

    _state: dict[str, Any] | None = None

    @override
    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Looks at the data.

        Raises:
            ValueError: If the data module is not one of this package.
        """
        data = implicit_data(trainer)
        if data is None:
            raise ValueError(
                "KeepHistory finds no data module of invlightning: fit with one, or leave the "
                "callback out."
            )
        self._state = history_state(history_of(data))

    @override
    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds the history."""
        if self._state is not None:
            checkpoint[KEY] = self._state
