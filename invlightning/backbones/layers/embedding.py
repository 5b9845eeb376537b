"""Embedding tables of users and items."""

from torch import nn

from invlightning.memory import check_memory, empty_table


def check_sizes(num_users: int, num_items: int, embedding_dim: int) -> None:
    """Refuses sizes below one.

    Raises:
        ValueError: If a size is below one.
    """
    sizes = {"num_users": num_users, "num_items": num_items, "embedding_dim": embedding_dim}
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"{name} is {size}, but a backbone needs at least 1.")


def embedding_table(rows: int, dim: int, sparse: bool, std: float = 0.01) -> nn.Embedding:
    """Makes a table of embeddings drawn from N(0, std^2).

    Args:
        rows: Number of users or items.
        dim: Length of an embedding.
        sparse: Whether the gradient holds the looked-up rows only.
        std: Standard deviation; 0 gives a table of zeros.

    Raises:
        MemoryError: If it does not fit into memory; says what is needed and what is there.
    """
    check_memory(rows, dim)
    # from_pretrained fills the table once; nn.Embedding would draw N(0, 1) for all of it before.
    values = empty_table(rows, dim)
    values = values.zero_() if std == 0 else values.normal_(0, std)
    table: nn.Embedding = nn.Embedding.from_pretrained(values, freeze=False, sparse=sparse)
    return table
