"""A mean over users, kept as a sum so that parts of the data can be added up."""

from typing import NamedTuple

from torch import Tensor


class UserSum(NamedTuple):
    """The sum of a metric over users.

    Attributes:
        total: Scalar, the sum over the users counted.
        num_users: Scalar, the number of users counted.
        num_skipped: Scalar, the number of users for whom the metric is not defined.
    """

    total: Tensor
    num_users: Tensor
    num_skipped: Tensor

    @property
    def mean(self) -> Tensor:
        """The mean over the users counted, a float64 scalar; nan if there is none."""
        return self.total.double() / self.num_users
