"""A LightningModule that knows nothing of the package, and its inverse gradient form."""

import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from invlightning import InverseGradientMixin

USERS, ITEMS = 11, 13


def at_least_float32(logits):
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


class Network(nn.Module):
    def __init__(self, dropout=0.0):
        super().__init__()
        self.user = nn.Embedding(USERS, 4)
        self.item = nn.Embedding(ITEMS, 4)
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(4, 1)

    def forward(self, users, items):
        return self.head(self.drop(self.user(users) * self.item(items))).squeeze(-1)


class Plain(pl.LightningModule):
    """Automatic optimization; the training step returns the labeled loss."""

    def __init__(self, optimizer=torch.optim.Adam, lr=0.05, scheduler=None, dropout=0.0):
        super().__init__()
        torch.manual_seed(5)
        self.net = Network(dropout)
        self.optimizer, self.lr, self.scheduler = optimizer, lr, scheduler
        self.lrs = []

    def labeled_loss(self, batch):
        users, items, labels, _ = batch
        logits = at_least_float32(self.net(users, items))
        return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))

    def unlabeled_loss(self, batch):
        users, _, _, drawn = batch
        logits = at_least_float32(self.net(users, drawn))
        return F.softplus(logits).square().mean() - 0.3 * logits.mean()

    def training_step(self, batch, batch_idx):
        return self.labeled_loss(batch)

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.labeled_loss(batch))

    def on_train_batch_end(self, outputs, batch, batch_idx):
        self.lrs.append(self.trainer.optimizers[0].param_groups[0]["lr"])

    def configure_optimizers(self):
        optimizer = self.optimizer(self.parameters(), lr=self.lr)
        if self.scheduler is None:
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": self.scheduler(self, optimizer)}


class Manual(InverseGradientMixin, Plain):
    """The same module with inverse gradients by the mixin."""

    def __init__(self, *args, direction="adam", outer_state="persistent", **kwargs):
        super().__init__(*args, **kwargs)
        self.inner_lr = 0.05
        self.direction = direction
        self.outer_state = outer_state


def loader(rows=70, batch_size=8):
    generator = torch.Generator().manual_seed(2)
    users = torch.randint(USERS, (rows,), generator=generator)
    items, drawn = torch.randint(ITEMS, (2, rows), generator=generator)
    labels = torch.randint(2, (rows,), generator=generator)
    return DataLoader(TensorDataset(users, items, labels, drawn), batch_size=batch_size)
