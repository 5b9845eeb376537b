"""Digests of final weights: whether a change of the code changed the bits of training.

``python -m benchmarks.digests`` trains small models on the embedded data, one thread, and prints a
digest of each model's weights; ``--check`` compares them with ``tests/digests.json`` and names what
differs; ``--write`` records them. Bits depend on torch and on the processor: both are recorded.
"""

import argparse
import hashlib
import json
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytorch_lightning as pl
import torch

import invlightning as il

RECORD = Path(__file__).resolve().parents[1] / "tests" / "digests.json"
GMF = partial(il.backbones.GMF, embedding_dim=8)
NEUMF = partial(il.backbones.NeuMF, embedding_dim=8)
ADAM = partial(torch.optim.Adam, lr=0.01)

Built = tuple[pl.LightningModule, list[pl.Callback], dict[str, object]]


def plain(backbone: Callable[..., il.Backbone], **arguments: object) -> Built:
    """A Recommender without callbacks."""
    return il.Recommender(backbone, optimizer=ADAM, **arguments), [], {}


def ig(backbone: Callable[..., il.Backbone], **arguments: object) -> Built:
    """An InverseGradientRecommender without callbacks."""
    return il.InverseGradientRecommender(backbone, optimizer=ADAM, **arguments), [], {}


def ig_callback() -> Built:
    """The callback over a labeled-only Recommender."""
    callback = il.callbacks.InverseGradientCallback(
        1e-3, schedule="phased", unlabeled_loss=il.losses.InverseDualLoss()
    )
    return il.Recommender(GMF, optimizer=ADAM), [callback], {}


def hard(sampler: il.NegativeSampler) -> Built:
    """BPR over a hard sampler."""
    model = il.Recommender(GMF, optimizer=ADAM, joint_loss=il.losses.BPRLoss())
    return model, [], {"sampler": sampler}


NAIVE, IDL = il.losses.NaiveNegativeLoss, il.losses.InverseDualLoss
CASES: dict[str, Callable[[], Built]] = {
    "bce-gmf": lambda: plain(GMF),
    "naive-gmf": lambda: plain(GMF, unlabeled_loss=NAIVE()),
    "idl-gmf": lambda: plain(GMF, unlabeled_loss=IDL()),
    "ig-phased-gmf": lambda: ig(GMF),
    "ig-every-batch-gmf": lambda: ig(GMF, schedule="every_batch"),
    "ig-callback-gmf": ig_callback,
    "ig-per-example-gmf": lambda: ig(
        GMF, schedule="every_batch", decision=il.inverse.PerExampleSign()
    ),
    "bce-neumf": lambda: plain(NEUMF),
    "naive-neumf": lambda: plain(NEUMF, unlabeled_loss=NAIVE()),
    "idl-neumf": lambda: plain(NEUMF, unlabeled_loss=IDL()),
    "ig-every-batch-neumf": lambda: ig(NEUMF, schedule="every_batch"),
    "dns-gmf": lambda: hard(il.data.DynamicSampler(num_candidates=20)),
    "srns-gmf": lambda: hard(il.data.RobustSampler()),
}


def make_data(**arguments: object) -> il.SyntheticDataModule:
    """The embedded data without exposed rows, in batches that make an epoch short."""
    sizes = {"num_users": 300, "num_items": 200, "exposed_per_user": 0}
    return il.SyntheticDataModule(batch_size=256, **sizes, **arguments)


def digest(name: str) -> str:
    """Trains a case for two epochs and digests its weights."""
    torch.set_num_threads(1)
    pl.seed_everything(42, verbose=False)
    model, callbacks, arguments = CASES[name]()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = pl.Trainer(
        max_epochs=2, accelerator="cpu", callbacks=callbacks, enable_model_summary=False,
        limit_val_batches=0, **quiet,
    )  # fmt: skip
    trainer.fit(model, make_data(**arguments))
    found = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        if isinstance(value, torch.Tensor) and "extra_state" not in key:
            found.update(value.detach().contiguous().numpy().tobytes())
    return found.hexdigest()[:16]


def machine() -> dict[str, str]:
    """What bits depend on beside the code."""
    cpu = torch.backends.cpu.get_cpu_capability()
    return {"torch": torch.__version__.partition("+")[0], "cpu": cpu}


def main() -> int:
    """Prints, records or compares; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the record")
    parser.add_argument("--write", action="store_true", help="record")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    found = {}
    for name in CASES:
        found[name] = digest(name)
        print(name, found[name], flush=True)
    if arguments.write:
        RECORD.write_text(json.dumps({**machine(), "weights": found}, indent=1) + "\n")
    if not arguments.check:
        return 0
    record = json.loads(RECORD.read_text())
    changed = [name for name in found if record["weights"].get(name) != found[name]]
    print(f"{len(changed)} of {len(found)} differ from the record {changed}".rstrip(" []"))
    return bool(changed)


if __name__ == "__main__":
    sys.exit(main())
