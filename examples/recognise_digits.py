"""
Recognise digits with a speed dial
==================================

Trains one image classifier that takes four images in a pass, or two, or one: the same weights, the
speed chosen at prediction. The plain network of the same size stands beside it. Under a minute on
two cores.
"""

# %%
# scikit-learn brings the data: 1,797 digits of 8x8 pixels. Images are arrays of shape
# (n_images, height, width), and labels are what you have. One image in four is kept for the test.

import statistics
import time

import matplotlib.pyplot as plt
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
    "plain network": MuxImageClassifier(n_mux=1, max_epochs=8, random_state=0),
    "one model for 1, 2 and 4": MuxImageClassifier(
        n_mux=4, operating_points=(1, 2, 4), max_epochs=16, random_state=0
    ),
}
for name, model in models.items():
    start = time.perf_counter()
    model.set_params(verbose=1).fit(X_train, y_train)
    print(f"{name}: fitted in {time.perf_counter() - start:.0f} s", flush=True)
    model.set_params(verbose=0)

# %%
# Speed is measured from arrays to labels, in turn, and the median counts.

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
print(f"\n{'':25}{'n_mux':>6}{'accuracy':>10}{'images/s':>10}{'speed-up':>10}")
for name, n_mux in settings:
    speed_up = rate[name, n_mux] / rate["plain network", 1]
    print(
        f"{name:25}{n_mux:6}{accuracy[name, n_mux]:10.3f}{rate[name, n_mux]:10.0f}{speed_up:9.1f}x"
    )

# %%
# The dial, drawn: to the right is faster, and up is better.

fig, axes = plt.subplots(figsize=(6, 4), layout="constrained")
for name in models:
    dial = [setting for setting in settings if setting[0] == name]
    axes.plot([rate[at] for at in dial], [accuracy[at] for at in dial], marker="o", label=name)
for at in settings[1:]:
    where = rate[at], accuracy[at]
    axes.annotate(f"n_mux={at[1]}", where, textcoords="offset points", xytext=(6, 6))
axes.set(xlabel="images/s", ylabel="test accuracy")
axes.margins(x=0.2, y=0.2)
axes.legend(frameon=False)
plt.show()
