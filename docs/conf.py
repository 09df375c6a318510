"""How Sphinx builds these pages: ``sphinx-build -W docs build/site``."""

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
# Pages link to each other and to their headings as on a code host.
myst_heading_anchors = 4
nb_execution_mode = "off"
autodoc_typehints = "description"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
