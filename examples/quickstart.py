"""
Choose between accuracy and speed
=================================

Is a sentence about a film praise or blame? Its words alone do not always tell. This script fits
two linear models and one multiplexed classifier, asks the classifier at several operating points,
and joins the best of them to a cascade: many sentences get their answer from the linear model, and
the encoder reads the others. It needs no model hub, takes about three minutes on two cores
and saves its plot.
"""

# %%
# The sentences come from a package on PyPI. One part is for training, one for the thresholds of
# the cascade, and one for the test.

from functools import partial

import matplotlib.pyplot as plt
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer

from muxlearn import MuxTextClassifier, MuxTextEmbedder
from muxlearn.datasets import fetch_film_snippets
from muxlearn.inspection import TradeoffDisplay
from muxlearn.metrics import unbeaten
from muxlearn.model_selection import CascadeClassifier

X, y = fetch_film_snippets(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, test_size=1000, random_state=0)
X_train, X_learn, y_train, y_learn = train_test_split(
    X, y, train_size=4000, test_size=600, random_state=0
)
print(f"{len(X_train)} sentences to learn from, {len(X_test)} to test", flush=True)

# %%
# Two linear models are much faster than any encoder: one on TF-IDF, and one on TF-IDF and the
# embedder's vectors of the words alone, for which the encoder does not run.

words = MuxTextEmbedder().fit()
tfidf = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
vectors = FunctionTransformer(partial(words.transform, n_mux="words"))
linear = {
    "TF-IDF": make_pipeline(tfidf, LogisticRegression(C=30, max_iter=1000)),
    "TF-IDF + vectors": make_pipeline(
        make_union(tfidf, vectors), LogisticRegression(C=30, max_iter=1000)
    ),
}
for model in linear.values():
    model.fit(X_train, y_train)

# %%
# One classifier has several operating points: one, two or five tokens in a position of the encoder,
# and the words alone. Three of the encoder's six layers run by default, which are twice as fast as
# all and lose about a point.

classifier = MuxTextClassifier(
    operating_points=[(1, 1), (1, 2), (1, 5), "words"],  # (n_mux, patch_size)
    max_length=64,
    max_epochs=4,
    random_state=0,
    verbose=1,
).fit(X_train, y_train)
classifier.set_params(verbose=0)

# %%
# The cascade asks the linear model first. Where it is unsure, it asks the classifier with two
# tokens in a position, then with one. It learns when a stage is unsure; accuracy may drop by half a
# point.

cascade = CascadeClassifier(
    FrozenEstimator(classifier),
    stages=[("linear", FrozenEstimator(linear["TF-IDF + vectors"])), (1, 2), (1, 1)],
    max_drop=0.005,
    random_state=0,
).fit(X_learn, y_learn)

# %%
# Score all models on the test sentences, and time them in turn, from strings to labels. The
# frontier joins the models that no other one beats in both accuracy and speed.

display = TradeoffDisplay.from_estimator(
    classifier, X_test, y_test, others={**linear, "cascade": cascade}, repeats=1
)
display.figure_.savefig("quickstart.png", dpi=150)

names = [*map(str, display.n_mux), *display.others]
scores = [*display.scores, *(score for score, _ in display.others.values())]
rates = [*display.rows_per_second, *(rate for _, rate in display.others.values())]
best = unbeaten(scores, rates)
print(f"\n{'model':<18}{'accuracy':>8}{'rows/s':>9}{'speed':>8}  frontier")
for i in sorted(range(len(names)), key=rates.__getitem__):
    speed = rates[i] / min(rates)
    frontier = "yes" if best[i] else ""
    print(f"{names[i]:<18}{scores[i]:8.3f}{rates[i]:9.0f}{speed:7.1f}x  {frontier}")
print("\nThe plot is in quickstart.png. Next, your own texts: docs/guide/first_model.rst")
plt.show()
