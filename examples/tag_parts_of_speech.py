"""
Tag parts of speech, several sentences in one pass
==================================================

Train a small tagger from scratch on a real treebank, with and without multiplexing, and print the
accuracy and the speed-up. This needs no model hub and takes three to six minutes on two cores.
"""

# %%
# The sentences are those of the Turkish Web Treebank: 4,851 sentences from the web and from
# Wikipedia, with one part of speech for each token. One sentence in five is kept for the test.

import statistics
import time
from importlib.metadata import distribution

from sklearn.model_selection import train_test_split

from muxlearn import MuxTokenTagger
from muxlearn.architectures import TMUX
from muxlearn.backbones import Scratch

folder = distribution("turkish-treebanks").locate_file("data")
sentences, tags = [[]], [[]]
for name in ("web.conllu", "wiki.conllu"):
    for line in (folder / name).read_text(encoding="utf-8").splitlines():
        columns = line.split("\t")
        if len(columns) == 10:
            sentences[-1].append(columns[1])
            tags[-1].append(columns[3])
        elif sentences[-1]:
            sentences.append([])
            tags.append([])
X_train, X_test, y_train, y_test = train_test_split(sentences, tags, test_size=0.2, random_state=0)
print(f"{len(X_train)} sentences to learn from, {len(X_test)} to tag", flush=True)

# %%
# A token is a list item, a sentence is a list, and there is one tag for each token. ``n_mux=1`` is
# the plain encoder; ``n_mux=5`` folds five sentences into one pass. An epoch has the same number
# of steps whatever `n_mux` is.

epochs = {1: 6, 2: 4, 5: 3}
taggers = {}
for n_mux, max_epochs in epochs.items():
    start = time.perf_counter()
    taggers[n_mux] = MuxTokenTagger(
        backbone=Scratch(
            hidden_size=192, num_hidden_layers=3, num_attention_heads=6, vocab_size=4000
        ),
        architecture=TMUX(retrieval_weight=0.0),
        n_mux=n_mux,
        warm_up=None,
        max_epochs=max_epochs,
        batch_size=16,
        lr=1e-3,
        random_state=0,
        verbose=1,
    ).fit(X_train, y_train)
    print(f"n_mux={n_mux}: fitted in {time.perf_counter() - start:.0f} s", flush=True)

# %%
# ``decode="learned"`` learns from the training sentences which tag follows which, and takes the
# best sequence of tags instead of the best tag for each token.

for tagger in taggers.values():
    tagger.set_params(decode="learned", verbose=0)

# %%
# Measure the speed from tokens to tags. The models take turns, and the median counts.

seconds = {n_mux: [] for n_mux in taggers}
accuracy = {}
for _ in range(3):
    for n_mux, tagger in taggers.items():
        start = time.perf_counter()
        accuracy[n_mux] = tagger.score(X_test, y_test)
        seconds[n_mux].append(time.perf_counter() - start)

median = {n_mux: statistics.median(times) for n_mux, times in seconds.items()}
print(f"\n{'n_mux':>5}{'accuracy':>10}{'rows/s':>8}{'speed-up':>10}")
for n_mux in taggers:
    rows_per_second = len(X_test) / median[n_mux]
    speed_up = median[1] / median[n_mux]
    print(f"{n_mux:5}{accuracy[n_mux]:10.3f}{rows_per_second:8.0f}{speed_up:9.1f}x")
