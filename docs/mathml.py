"""Formulas as MathML, which browsers draw themselves: no network and no script."""

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.util import logging

LOG = logging.getLogger(__name__)


def mathml(node: nodes.Element, display: str) -> str:
    """The MathML of a formula; what the converter leaves as it is, is warned of."""
    found: str = convert(node.astext(), display=display)
    if "\\" in found:
        LOG.warning("a formula holds what MathML lacks: %s", node.astext(), location=node)
    return found


def visit_inline(translator: Any, node: nodes.math) -> None:
    """Writes a formula within a line."""
    translator.body.append(mathml(node, "inline"))
    raise nodes.SkipNode


def visit_block(translator: Any, node: nodes.math_block) -> None:
    """Writes a formula of its own."""
    translator.body.append(mathml(node, "block"))
    raise nodes.SkipNode


def setup(app: Any) -> dict[str, bool]:
    """Registers it as the renderer ``mathml``."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True}
