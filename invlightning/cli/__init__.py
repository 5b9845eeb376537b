"""The command line: LightningCLI with our classes known by name, and what stands behind it."""

from invlightning.cli.command import InverseLearningCLI, main, run

__all__ = ["InverseLearningCLI", "main", "run"]
