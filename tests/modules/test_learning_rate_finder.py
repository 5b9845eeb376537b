"""The learning-rate finder of Lightning over both forms."""

from pytorch_lightning.callbacks import LearningRateFinder

from tests.helpers import foreign
from tests.helpers.trainers import make_trainer


class Rates(LearningRateFinder):
    """Looks for a learning rate and keeps what it saw."""

    def on_fit_start(self, trainer, pl_module):
        self.lr_find(trainer, pl_module)
        pl_module.found = self.optimal_lr.results


def test_learning_rate_finder(tmp_path):
    """Seen to fail (a constant rate) when schedulers are not read anew each step.

    Lightning takes all other callbacks away while it looks, so the sweep over an automatic module
    is one without inverse gradients; with the mixin they are part of it.
    """
    results = []
    for module in (foreign.Manual(), foreign.Plain()):
        finder = Rates(num_training_steps=12, update_attr=False)
        trainer = make_trainer(callbacks=[finder], default_root_dir=tmp_path)
        trainer.fit(module, foreign.loader(), foreign.loader())
        results.append(module.found)
    manual, automatic = results
    assert manual["lr"] == automatic["lr"]
    assert len(set(manual["lr"])) > 10
    assert manual["loss"] != automatic["loss"]
