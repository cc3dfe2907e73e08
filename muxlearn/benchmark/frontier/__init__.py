"""Accuracy and rows/s of multiplexed models beside honest neighbours, and which of them are beaten.

One task, from files: labelled texts, pairs of texts or tagged sentences. Linear models on TF-IDF
and on static token vectors, the words alone, plain encoders that are shallower, narrower or in
int8, and multiplexed models learn from the same rows. All are timed from strings to labels, in
turn with the plain encoder. A model is beaten where another one is at least as accurate and as
fast, and better in one of them; the others are the frontier.
"""

from muxlearn.benchmark.frontier._command import add_arguments as add_arguments
from muxlearn.benchmark.frontier._command import main as main
from muxlearn.benchmark.frontier._data import Part as Part
from muxlearn.benchmark.frontier._data import Task as Task
from muxlearn.benchmark.frontier._data import beside as beside
from muxlearn.benchmark.frontier._data import read_task as read_task
from muxlearn.benchmark.frontier._estimators import as_backbone as as_backbone
from muxlearn.benchmark.frontier._estimators import as_given as as_given
from muxlearn.benchmark.frontier._estimators import describe as describe
from muxlearn.benchmark.frontier._estimators import kind_of as kind_of
from muxlearn.benchmark.frontier._estimators import parse_backbone as parse_backbone
from muxlearn.benchmark.frontier._linear import FEATURES as FEATURES
from muxlearn.benchmark.frontier._linear import PairFeatures as PairFeatures
from muxlearn.benchmark.frontier._linear import StaticVectors as StaticVectors
from muxlearn.benchmark.frontier._linear import choose_penalty as choose_penalty
from muxlearn.benchmark.frontier._plot import draw_frontier as draw_frontier
from muxlearn.benchmark.frontier._tags import MostFrequentTag as MostFrequentTag
