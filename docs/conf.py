"""Sphinx: ``sphinx-build -W -b html docs docs/_build/html``."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))

import inventories
import matplotlib
import plot_ink
from sphinx.application import Sphinx

import muxlearn

# Scripts of the gallery draw into files.
matplotlib.use("agg")

project = "muxlearn"
author = "The muxlearn developers"
copyright = f"2026, {author}"
version = release = muxlearn.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",
    "sphinx.ext.viewcode",
    "matplotlib.sphinxext.plot_directive",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "benchmark_table",
    "house_table",
    "own_members",
]
exclude_patterns = ["_build", "auto_examples/*.md5", "auto_examples/*.py"]
templates_path = ["_templates"]
# `name` in the docstrings is a link where the name is known, and code elsewhere.
default_role = "py:obj"

# What numpydoc lists is listed once, by autosummary.
autosummary_generate = True
autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
python_maximum_signature_line_length = 80
numpydoc_show_class_members = False
numpydoc_xref_param_type = True
numpydoc_xref_aliases = {"Tensor": "torch.Tensor"}
numpydoc_xref_ignore = {"of", "or", "default", "shape", "length", "optional", "type", "None"}

inventories.write(HERE / "_build" / "inventories")
# The file beside an address stands in where there is no network.
intersphinx_mapping = {
    name: (address, (None, str(HERE / "_build" / "inventories" / f"{name}.inv")))
    for name, (address, _) in inventories.PROJECTS.items()
}
intersphinx_timeout = 5

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"(^|/)(?!plot_)[^/]*\.py$",
    "within_subsection_order": "gallery_order.Position",
    "doc_module": ("muxlearn",),
    "reference_url": {"muxlearn": None},
    "backreferences_dir": "api/backreferences",
    "inspect_global_variables": False,
    "remove_config_comments": True,
    "show_memory": False,
    # Those that measure their own speed say so, and run alone before the others.
    "parallel": 2,
    "min_reported_time": 1,
    "matplotlib_animations": False,
    "image_srcset": ["2x"],
    "plot_gallery": "True",
    "reset_modules": ("plot_ink.set_ink", "seaborn"),
}

plot_basedir = "."
plot_formats = ["svg"]
plot_rcparams = plot_ink.PLOTS
plot_apply_rcparams = True
plot_html_show_formats = False
plot_html_show_source_link = False

html_theme = "pydata_sphinx_theme"
html_title = "muxlearn"
html_logo = "_static/logo.svg"
html_favicon = "_static/logo.svg"
html_static_path = ["_static"]
html_css_files = ["muxlearn.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "muxlearn"},
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
    "header_links_before_dropdown": 5,
}
html_sidebars = {"changelog": [], "benchmarks/index": [], "citing": [], "contributing": []}
copybutton_exclude = ".linenos, .gp, .go"


def setup(app: Sphinx) -> None:
    """Declare that an extension may run in several processes: it only copies files at the end."""
    mathjax = app.extensions["sphinx-mathjax-offline"]
    mathjax.parallel_read_safe = mathjax.parallel_write_safe = True
