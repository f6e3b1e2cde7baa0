"""Sphinx configuration: the Markdown pages as HTML, ``make docs``."""

from importlib.metadata import version as installed_version

project = "nnft"
author = "the nnft authors"
copyright = "2026, the nnft authors"
release = version = installed_version("nnft")
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "nnft"
