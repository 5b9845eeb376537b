"""Callbacks: inverse gradients over automatic modules, and monitors."""

from invlightning.callbacks.inverse_gradient import InverseGradientCallback
from invlightning.callbacks.monitors import AnnotationMonitor, DirectionMonitor

__all__ = ["AnnotationMonitor", "DirectionMonitor", "InverseGradientCallback"]
