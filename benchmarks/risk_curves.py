"""The labeled risk along the inner step of inverse gradients, for the pictures of the site."""

import itertools
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from torch.func import functional_call
from torch.nn.functional import binary_cross_entropy_with_logits

import invlightning as il
from invlightning.inverse.directions import adam

INNER_LR, NUM_BATCHES = 0.03, 40


def risk_curves(steps: torch.Tensor) -> list[list[float]]:
    """Labeled risk along the inner step of some batches of a model at work.

    Args:
        steps: Multiples of the inner step, 1 the direct and -1 the inverse step.

    Returns:
        For each batch the risk at every multiple, minus that at 0.
    """
    pl.seed_everything(0, verbose=False)
    data = il.SyntheticDataModule(batch_size=256, exposed_per_user=0)
    model = il.Recommender(
        partial(il.backbones.GMF, embedding_dim=16),
        unlabeled_loss=il.losses.InverseDualLoss(),
        optimizer=partial(torch.optim.Adam, lr=1e-2),
    )
    trainer = pl.Trainer(
        max_epochs=4,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, data)
    batches = itertools.islice(data.train_dataloader(), NUM_BATCHES)
    drawn = [batch._replace(unlabeled_items=data.draw_unlabeled(batch)) for batch in batches]
    return [_risks(model, batch, steps) for batch in drawn]


def _risks(model: il.Recommender, batch: Any, steps: torch.Tensor) -> list[float]:
    """The risks of one batch."""
    parameters = dict(model.backbone.named_parameters())
    gradients = torch.autograd.grad(model.unlabeled_loss(batch), list(parameters.values()))
    directions = {name: adam(g) for name, g in zip(parameters, gradients, strict=True)}
    found = []
    for step in steps:
        moved = {name: p - INNER_LR * step * directions[name] for name, p in parameters.items()}
        logits = functional_call(model.backbone, moved, (batch.users, batch.items)).detach()
        found.append(binary_cross_entropy_with_logits(logits, batch.labels).item())
    origin = found[int(steps.abs().argmin())]
    return [value - origin for value in found]
