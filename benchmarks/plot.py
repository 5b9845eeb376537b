"""Step time against the size of the catalogue, as a picture."""

from pathlib import Path


def plot(curve: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Draws one line a kind of tables.

    Args:
        curve: What ``benchmarks.scale.curve`` returned.
        path: The PNG file.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.5, 4), layout="constrained")
    for name, points in curve.items():
        x = [point["rows"] for point in points]
        axes.plot(x, [point["milliseconds"] for point in points], marker="o", label=name)
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="users + items",
        ylabel="milliseconds a step",
        title="Inverse gradient step, GMF d=16, batch 4,096, one thread",
    )
    axes.grid(which="major", alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)
