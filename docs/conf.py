"""How Sphinx builds the site: ``sphinx-build -W docs build/docs``."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import torch
from sphinx.util.inspect import signature, stringify_signature

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import generate  # noqa: E402

project = "invlightning"
author = "the authors of invlightning"
release = version = version_of("invlightning")
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "mathml",
]
exclude_patterns = ["README.md"]

html_math_renderer = "mathml"
html_theme = "furo"
html_title = "invlightning"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_merge_streams = True
suppress_warnings = ["mystnb.unknown_mime_type"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_numpy_docstring = False
napoleon_use_ivar = True
python_use_unqualified_type_names = True


def arguments_of_class(app: Any, what: str, name: str, obj: Any, *_: Any) -> Any:
    """The arguments of a class; its ``__new__``, which notes them, takes any."""
    if what != "class":
        return None
    if obj.__init__ is torch.nn.Module.__init__:
        return "()", None
    arguments = signature(obj.__init__, bound_method=True)
    return stringify_signature(
        arguments, unqualified_typehints=True, show_return_annotation=False
    ), None


def setup(app: Any) -> None:
    """Writes the pages that are made from the package before Sphinx reads the others."""
    app.connect("autodoc-process-signature", arguments_of_class)
    app.connect("builder-inited", lambda app: generate.write_all(HERE / "generated"))
