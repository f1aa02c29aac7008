"""How Sphinx builds the manual."""

import importlib.metadata

project = "taskrt"
author = copyright = "The taskrt authors"  # noqa: A001 - the name that Sphinx reads
release = version = importlib.metadata.version("taskrt")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build", "changes"]
html_theme = "furo"

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
autodoc_typehints = "description"
autodoc_member_order = "bysource"
# Pages link to sources, READMEs beside the code among them, that are not in the manual.
suppress_warnings = ["myst.xref_missing"]
