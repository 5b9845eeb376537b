"""What a batch costs: forward passes over its rows and the losses of each kind."""

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from typing_extensions import override

from invlightning.losses import JointLoss, LabeledLoss, UnlabeledLoss
from invlightning.losses.base import Loss
from invlightning.modules.captured_module import CapturableModule
from invlightning.modules.checks import require_exposed, require_unlabeled
from invlightning.modules.evaluation import EvaluatedModule
from invlightning.sparse import clip_gradients, sparse_tables
from invlightning.types import JointRows, LabeledBatch, RowLogits


class TrainedModule(CapturableModule, EvaluatedModule):
    """A LightningModule that computes the losses of labeled, drawn and exposed rows.

    A *criterion* is a loss object of logits; a *loss* is what it gives for a batch.

    Attributes:
        labeled_criterion: Loss of labeled rows.
        unlabeled_criterion: Loss of drawn rows, which never met; None leaves them out.
        exposed_criterion: Loss of exposed rows, seen and judged by nobody; None leaves them out.
        joint_criterion: Loss of labeled and drawn rows together, in place of the first two.
        embedding_l2: Weight of the squared norm of the embeddings that a batch looks up.
        l2_in_risk: Whether ``labeled_loss`` holds that penalty, so that candidates are judged by it
            too.
    """

    labeled_criterion: LabeledLoss
    unlabeled_criterion: UnlabeledLoss | None
    exposed_criterion: UnlabeledLoss | None
    joint_criterion: JointLoss | None
    embedding_l2: float
    l2_in_risk: bool = False

    @override
    def criteria(self) -> list[Loss]:
        """The criteria that the module was built with."""
        found = (
            self.labeled_criterion,
            self.unlabeled_criterion,
            self.exposed_criterion,
            self.joint_criterion,
        )
        return [criterion for criterion in found if criterion is not None]

    def row_logits(self, batch: LabeledBatch, drawn: bool, exposed: bool) -> RowLogits:
        """Logits of several kinds of rows by one forward pass.

        A user's vector is looked up once for the labeled and the drawn items of a row, unless
        exposed rows or a mask are there; a dropout mask on it then covers all of them.

        Args:
            batch: The rows.
            drawn: Whether the drawn rows are asked for.
            exposed: Whether the exposed rows are asked for.

        Raises:
            ValueError: If the batch has none of a kind that is asked for.
        """
        if not (drawn or exposed):
            return RowLogits(self(batch.users, batch.items))
        if not exposed and batch.unlabeled_mask is None:
            items = torch.cat([batch.items.unsqueeze(1), require_unlabeled(batch)], 1)
            logits = self(batch.users.unsqueeze(1), items)
            return RowLogits(logits[:, 0], logits[:, 1:])
        pairs = [(batch.users, batch.items)]
        pairs += [drawn_pairs(batch)] if drawn else []
        pairs += [require_exposed(batch)] if exposed else []
        users, items = (torch.cat(columns) for columns in zip(*pairs, strict=True))
        kinds = list(self(users, items).split([len(rows) for rows, _ in pairs]))
        labeled, last = kinds[0], kinds[-1] if exposed else None
        return RowLogits(labeled, kinds[1] if drawn else None, last)

    def labeled_loss(self, batch: LabeledBatch) -> Tensor:
        """Mean loss on the labeled rows, with the L2 penalty if ``l2_in_risk``, a scalar."""
        loss = self._labeled(self(batch.users, batch.items), batch)
        return loss + self._penalty(batch) if self.l2_in_risk else loss

    def _labeled(self, logits: Tensor, batch: LabeledBatch) -> Tensor:
        return self.labeled_criterion.of_rows(logits, batch.labels, batch.users)

    def unlabeled_logits(self, batch: LabeledBatch) -> Tensor:
        """Logits of the drawn pairs.

        Args:
            batch: A batch with drawn items.

        Returns:
            ``(B, K)``; or ``(M,)``, without the pairs that do not exist, if the batch has a mask.

        Raises:
            ValueError: If the batch has no drawn items.
        """
        if batch.unlabeled_mask is None:
            logits: Tensor = self(batch.users.unsqueeze(1), require_unlabeled(batch))
        else:
            logits = self(*drawn_pairs(batch))
        return logits

    def exposed_logits(self, batch: LabeledBatch) -> Tensor:
        """Logits ``(E,)`` of the exposed pairs.

        Raises:
            ValueError: If the batch has none.
        """
        logits: Tensor = self(*require_exposed(batch))
        return logits

    def unlabeled_loss(self, batch: LabeledBatch) -> Tensor:
        """Mean loss of the drawn rows plus mean loss of the exposed rows, a scalar.

        Raises:
            ValueError: If the module was built with neither loss.
        """
        kinds = (
            (self.unlabeled_criterion, self.unlabeled_logits),
            (self.exposed_criterion, self.exposed_logits),
        )
        losses = [loss_of(c, logits(batch)) for c, logits in kinds if c is not None]
        if not losses:
            raise ValueError(
                f"{type(self).__name__} was built without an unlabeled_loss and an exposed_loss."
            )
        return losses[0] if len(losses) == 1 else losses[0] + losses[1]

    def joint_loss(self, batch: LabeledBatch) -> Tensor:
        """Mean joint loss on labeled and drawn rows, a scalar.

        Raises:
            ValueError: If the module was built without a joint loss or the batch has no drawn
                items.
        """
        if self.joint_criterion is None:
            raise ValueError(f"{type(self).__name__} was built without a joint_loss.")
        drawn = require_unlabeled(batch).clamp(min=0)  # -1 marks that there is no item
        items = torch.cat([batch.items.unsqueeze(1), drawn], 1)
        logits = self(batch.users.unsqueeze(1), items)
        labeled = (logits[:, 0], batch.labels, batch.items)
        rows = JointRows(*labeled, logits[:, 1:], drawn, batch.unlabeled_mask, batch.users)
        loss: Tensor = self.joint_criterion(rows)
        return loss

    def further_loss(self, batch: LabeledBatch) -> Tensor | None:
        """What training minimizes beside the losses above: the L2 penalty; None if nothing."""
        return self._penalty(batch) if self.embedding_l2 and not self.l2_in_risk else None

    def _penalty(self, batch: LabeledBatch) -> Tensor:
        return self.embedding_l2 * self.backbone.embedding_penalty(*self._looked_up(batch))

    def _looked_up(self, batch: LabeledBatch) -> tuple[Tensor, Tensor]:
        """Users and items of all rows that training looks at."""
        pairs = [(batch.users, batch.items)]
        if self.unlabeled_criterion is not None or self.joint_criterion is not None:
            pairs.append(drawn_pairs(batch))
        if self.exposed_criterion is not None:
            pairs.append(require_exposed(batch))
        users, items = (torch.cat(columns) for columns in zip(*pairs, strict=True))
        return users, items

    @override
    def training_step(self, batch: LabeledBatch, batch_idx: int) -> Tensor:
        """What the optimizer minimizes at a batch, a scalar; see :meth:`step_loss`."""
        captured = self.captured_gradients
        return self.step_loss(batch) if captured is None else captured(batch)

    @override
    def step_loss(self, batch: LabeledBatch) -> Tensor:
        """Loss of labeled, drawn and exposed rows, or the joint loss, from one forward pass."""
        loss = self._loss_of_rows(batch)
        further = self.further_loss(batch)
        return loss if further is None else loss + further

    def _loss_of_rows(self, batch: LabeledBatch) -> Tensor:
        drawn, exposed = self.unlabeled_criterion, self.exposed_criterion
        if self.joint_criterion is not None:
            loss = self.joint_loss(batch)
            return loss if exposed is None else loss + loss_of(exposed, self.exposed_logits(batch))
        logits = self.row_logits(batch, drawn is not None, exposed is not None)
        loss = self._labeled(logits.labeled, batch)
        if drawn is not None and logits.drawn is not None:
            loss = loss + loss_of(drawn, logits.drawn)
        if exposed is not None and logits.exposed is not None:
            loss = loss + loss_of(exposed, logits.exposed)
        return loss

    @override
    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: Any = None,
    ) -> None:
        """Clips as the Trainer says; torch alone would refuse row-sparse gradients."""
        if not gradient_clip_val or not sparse_tables(self):
            super().configure_gradient_clipping(
                optimizer, gradient_clip_val, gradient_clip_algorithm
            )
            return
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        # A string or an enumeration of strings; None means "norm" to Lightning.
        by_value = gradient_clip_algorithm == "value"
        clip_gradients(parameters, gradient_clip_val, "value" if by_value else "norm")


def drawn_pairs(batch: LabeledBatch) -> tuple[Tensor, Tensor]:
    """Users and items ``(M,)`` of the drawn pairs that exist.

    Raises:
        ValueError: If the batch has no drawn items.
    """
    items = require_unlabeled(batch)
    users = batch.users.unsqueeze(1).expand_as(items)
    if batch.unlabeled_mask is None:
        return users.flatten(), items.flatten()
    return users[batch.unlabeled_mask], items[batch.unlabeled_mask]


def loss_of(criterion: UnlabeledLoss, logits: Tensor) -> Tensor:
    """Mean loss of logits, a scalar; zero with a graph if there are none."""
    loss: Tensor = criterion(logits) if logits.numel() else logits.sum()
    return loss
