"""How Sphinx builds the manual."""

import importlib.metadata

from sphinx.application import Sphinx

project = "taskrt"
author = copyright = "The taskrt authors"  # noqa: A001 - the name that Sphinx reads
release = version = importlib.metadata.version("taskrt")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build", "changes"]
html_theme = "furo"

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
autodoc_member_order = "bysource"
autodoc_docstring_signature = False
# Pages link to sources, READMEs beside the code among them, that are not in the manual.
suppress_warnings = ["myst.xref_missing"]


def show_as_written(
    app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]
) -> None:
    """Set a docstring as plain text, which is what docstrings here are."""
    lines[:] = ["::", "", *(f"    {line}" for line in lines), ""]


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", show_as_written)
