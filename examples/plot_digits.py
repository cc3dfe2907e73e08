"""
Recognise digits at several speeds
==================================

Train one image classifier that takes four, two or one image in a pass with the same weights, and
choose the speed at prediction. Compare it with the plain network of the same size. Half a minute on
one core.
"""

# sphinx_gallery_parallel = False

# %%
# The data come with scikit-learn: 1,797 digits of 8x8 pixels. Images are arrays of shape
# (n_images, height, width), and labels may be of any type. One image in four is kept for the test.

import statistics
import time

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from muxlearn import MuxImageClassifier

digits = load_digits()
X_train, X_test, y_train, y_test = train_test_split(
    digits.images, digits.target, test_size=0.25, random_state=0, stratify=digits.target
)

# %%
# ``operating_points=(1, 2, 4)`` trains one set of weights for all three numbers of images in a
# pass, each in its share of the steps. ``n_mux=1`` is the plain network.

models = {
    "plain network": MuxImageClassifier(n_mux=1, max_epochs=4, random_state=0),
    "one model for 1, 2 and 4": MuxImageClassifier(
        n_mux=4, operating_points=(1, 2, 4), max_epochs=8, random_state=0
    ),
}
for model in models.values():
    model.fit(X_train, y_train)

# %%
# Measure the speed from arrays to labels. The models take turns, and the median counts.

settings = [("plain network", 1), *(("one model for 1, 2 and 4", n_mux) for n_mux in (1, 2, 4))]
accuracy = {
    (name, n_mux): models[name].score(X_test, y_test, n_mux=n_mux) for name, n_mux in settings
}
seconds = {setting: [] for setting in settings}
for _ in range(15):
    for name, n_mux in settings:
        start = time.perf_counter()
        models[name].predict(X_test, n_mux=n_mux)
        seconds[name, n_mux].append(time.perf_counter() - start)

rate = {setting: len(X_test) / statistics.median(times) for setting, times in seconds.items()}
pd.DataFrame(
    {
        "accuracy": accuracy,
        "images/s": rate,
        "speed-up": {at: rate[at] / rate["plain network", 1] for at in settings},
    }
).rename_axis(["", "n_mux"]).round({"accuracy": 3, "images/s": 0, "speed-up": 1})

# %%
# Points to the right are faster, and points higher up are better.

figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
for name in models:
    dial = [setting for setting in settings if setting[0] == name]
    axes.plot([rate[at] for at in dial], [accuracy[at] for at in dial], marker="o", label=name)
for at in settings[1:]:
    where = rate[at], accuracy[at]
    axes.annotate(f"n_mux={at[1]}", where, textcoords="offset points", xytext=(6, 6))
axes.set(title="Digits of 8x8 pixels", xlabel="images/s", ylabel="test accuracy")
axes.margins(x=0.2, y=0.2)
axes.legend(frameon=False)
plt.show()
