"""Data sets: those of the papers, film snippets, and files of labelled rows."""

from muxlearn.datasets._film import fetch_film_snippets
from muxlearn.datasets._labelled import load_conll, load_labelled, load_pairs
from muxlearn.datasets._listops import make_listops
from muxlearn.datasets._lra import fetch_lra_image, fetch_lra_retrieval, fetch_lra_text
from muxlearn.datasets._pathfinder import make_pathfinder
from muxlearn.datasets._public import (
    fetch_cifar,
    fetch_conll2003,
    fetch_glue,
    fetch_wikitext,
)

__all__ = [
    "fetch_cifar",
    "fetch_conll2003",
    "fetch_film_snippets",
    "fetch_glue",
    "fetch_lra_image",
    "fetch_lra_retrieval",
    "fetch_lra_text",
    "fetch_wikitext",
    "load_conll",
    "load_labelled",
    "load_pairs",
    "make_listops",
    "make_pathfinder",
]
