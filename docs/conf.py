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
templates_path = ["_templates"]
# Tables that a page includes are no pages.
exclude_patterns = ["_templates", "site", "paper/*.md"]
autosummary_generate = ["reference.rst"]
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_type_aliases = {"ArrayLike": "ArrayLike"}
autodoc_member_order = "bysource"
napoleon_google_docstring = False
# The words of a shape, as (images, classes), are names of attributes too: of no matter which.
suppress_warnings = ["ref.python"]
