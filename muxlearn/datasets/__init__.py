"""The data sets of the Long Range Arena: two that are generated and three that are read."""

from muxlearn.datasets._listops import make_listops
from muxlearn.datasets._lra import fetch_lra_image, fetch_lra_retrieval, fetch_lra_text
from muxlearn.datasets._pathfinder import make_pathfinder

__all__ = [
    "fetch_lra_image",
    "fetch_lra_retrieval",
    "fetch_lra_text",
    "make_listops",
    "make_pathfinder",
]
