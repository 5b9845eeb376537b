"""A model remembers which rows, labels and split it was trained on."""

from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.trainer.states import TrainerFn
from typing_extensions import override

from invlightning.data.digests import row_digests
from invlightning.modules.trainer_data import implicit_data

_KEY = "trained_on"
_RISKS = {
    TrainerFn.FITTING: "rows that were held out would be trained on",
    TrainerFn.VALIDATING: "rows of the training would count as held out",
    TrainerFn.TESTING: "rows of the training would count as held out",
}


class RemembersData(pl.LightningModule):
    """Keeps digests of the training data in the checkpoint, and refuses other data.

    Refused are evaluation on other rows, labels or another split, and training that goes on with
    them, unless the data module says ``allow_other_data``. Predictions may be made for any data,
    and a new ``fit`` without ``ckpt_path`` may train on any.

    Attributes:
        trained_on: Digests by name, see :func:`invlightning.data.digests.row_digests`; None before
            training and for data modules of other packages.
    """

    trained_on: dict[str, str] | None = None

    @override
    def setup(self, stage: str) -> None:
        super().setup(stage)
        data = implicit_data(self.trainer)
        if stage == "fit" and data is not None:
            self.trained_on = row_digests(data.rows)
        else:
            self._check_data()

    @override
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        if self.trained_on is not None:
            checkpoint[_KEY] = dict(self.trained_on)

    @override
    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        now, self.trained_on = self.trained_on, checkpoint.get(_KEY)
        if self._trainer is None:
            return
        self._check_data()
        if self._trainer.state.fn == TrainerFn.FITTING:
            self.trained_on = now

    def _check_data(self) -> None:
        trainer = self.trainer
        data, risk = implicit_data(trainer), _RISKS.get(trainer.state.fn)  # type: ignore[arg-type]
        if data is None or risk is None or self.trained_on is None or data.allow_other_data:
            return
        digests = row_digests(data.rows)
        changed = [name for name, old in self.trained_on.items() if digests.get(name) != old]
        if changed:
            raise ValueError(
                f"the {' and the '.join(changed)} of {type(data).__name__} are not what the model "
                f"was trained with, so {risk}: give the same files, thresholds, fractions, split "
                "and seed, or allow it by allow_other_data=True of the data module "
                "(--data.allow_other_data true)."
            )
