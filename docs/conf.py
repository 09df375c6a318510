"""Sphinx configuration. Build the pages with ``sphinx-build -W docs build/site``."""

from importlib.metadata import version as version_of

project = "neuroattack"
author = "The neuroattack developers"
version = release = version_of("neuroattack")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
html_theme = "furo"
html_title = "neuroattack"
myst_enable_extensions = ["deflist"]
# Anchors for headings, as on GitHub: pages link to headings of other pages.
myst_heading_anchors = 4
nb_execution_mode = "off"
templates_path = ["_templates"]
# The tables in paper/ are included by paper.md.
exclude_patterns = ["_templates", "site", "paper/*.md"]
autosummary_generate = ["reference.rst"]
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_type_aliases = {"ArrayLike": "ArrayLike"}
autodoc_member_order = "bysource"
napoleon_google_docstring = False
# Words in array shapes such as (images, classes) are also attribute names, which is ambiguous.
suppress_warnings = ["ref.python"]
