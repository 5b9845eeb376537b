"""Callbacks: inverse gradients over automatic modules, monitors, and what checkpoints keep."""

from invlightning.callbacks.annotation_monitor import AnnotationMonitor
from invlightning.callbacks.direction_monitor import DirectionMonitor
from invlightning.callbacks.inverse_gradient import InverseGradientCallback
from invlightning.callbacks.keep_history import KeepHistory

__all__ = ["AnnotationMonitor", "DirectionMonitor", "InverseGradientCallback", "KeepHistory"]
