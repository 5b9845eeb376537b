"""Callbacks: inverse gradients over automatic modules, and monitors."""

from invlightning.callbacks.annotation_monitor import AnnotationMonitor
from invlightning.callbacks.direction_monitor import DirectionMonitor
from invlightning.callbacks.inverse_gradient import InverseGradientCallback

__all__ = ["AnnotationMonitor", "DirectionMonitor", "InverseGradientCallback"]
