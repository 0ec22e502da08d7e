"""How ``scripts/docs`` builds the documentation: Sphinx, Markdown by MyST, the theme furo; warnings are errors."""

from __future__ import annotations

import roost

project = "Roost"
author = "the authors of Roost"
copyright = "the authors of Roost"  # noqa: A001 - Sphinx's own name
version = release = roost.__version__

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"Roost {version}"
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
