"""The papers' experiments, each one command: ``reproduce NAME --scale paper|small|tiny``.

"paper" is the paper's recipe from random weights to the table, on a GPU. "small" runs the same code
on files of ``--data``: a seed takes minutes to an hour of one core, and two of DataMUX on texts.
"tiny" only shows that all of it runs, on made-up rows. What differs from the paper stands below
each table. A run that is killed goes on where it was: finished models and states of unfinished ones
are kept in ``--state``.
"""

from muxlearn.benchmark.reproduce._command import RECIPES as RECIPES
from muxlearn.benchmark.reproduce._command import add_arguments as add_arguments
from muxlearn.benchmark.reproduce._command import main as main
from muxlearn.benchmark.reproduce._plot import draw_scores as draw_scores
