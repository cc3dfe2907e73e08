"""
Ask a slow model only where a fast one is unsure
================================================

One fitted model reads four, two or one image in a pass. A cascade predicts four in a pass first,
then fewer in a pass for the images that the model is unsure of. It is faster than the slowest
operating point, hardly less accurate, and more accurate than a single point of the same speed. Half
a minute on one core.
"""

# sphinx_gallery_parallel = False

# %%
# The data come with scikit-learn: 1,797 digits of 8x8 pixels. The model is fitted to one part of
# them, the thresholds are learned from a second part, and a third part is for the test.

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split

from muxlearn import MuxImageClassifier
from muxlearn.model_selection import CascadeClassifier

digits = load_digits()
X, X_test, y, y_test = train_test_split(
    digits.images, digits.target, test_size=450, random_state=0, stratify=digits.target
)
X_train, X_learn, y_train, y_learn = train_test_split(
    X, y, test_size=600, random_state=0, stratify=y
)
model = MuxImageClassifier(n_mux=4, operating_points=(1, 2, 4), max_epochs=8, random_state=0).fit(
    X_train, y_train
)

# %%
# The stages are the operating points of the model, from the fastest to the slowest. The model is
# fitted already and stays as it is: `fit` only learns when a stage is sure enough. Without
# `FrozenEstimator` it would fit the model as well, and set rows aside itself. A stage that no image
# reached is left out, since it would cost more than it saves at this `max_drop`.

frozen = FrozenEstimator(model)
cascade = CascadeClassifier(frozen, max_drop=0.01, random_state=0).fit(X_learn, y_learn)
pd.DataFrame(cascade.stage_report_).T.rename_axis("n_mux").round(
    {"reached": 2, "stopped": 2, "score": 3, "rows_per_second": 0}
)

# %%
# Compare the whole cascade with its last stage, on rows from which no threshold was learned:

pd.Series(cascade.cascade_report_).round(4)

# %%
# A larger `max_drop` gives a faster cascade. All accuracies in the plot are on the test rows. The
# speeds of the stages are given this time, so that the cascades differ only in `max_drop`.

points = {n_mux: model.score(X_test, y_test, n_mux=n_mux) for n_mux in cascade.stage_report_}
speeds = {n_mux: stage["rows_per_second"] for n_mux, stage in cascade.stage_report_.items()}
drops = [0.005, 0.01, 0.02, 0.05, 0.1]
cascades = [
    CascadeClassifier(frozen, max_drop=drop, rows_per_second=list(speeds.values()), random_state=0)
    for drop in drops
]
for each in cascades:
    each.fit(X_learn, y_learn)

figure, axes = plt.subplots(figsize=(6.4, 4), layout="constrained")
axes.plot(list(speeds.values()), list(points.values()), "o-", label="one point for all images")
axes.plot(
    [each.cascade_report_["rows_per_second"] for each in cascades],
    [each.score(X_test, y_test) for each in cascades],
    "s--",
    label="cascade, max_drop from 0.005 to 0.1",
)
for n_mux, speed in speeds.items():
    where = speed, points[n_mux]
    axes.annotate(f"n_mux={n_mux}", where, textcoords="offset points", xytext=(6, -12))
axes.set(title="Digits of 8x8 pixels", xlabel="images/s", ylabel="test accuracy")
axes.margins(x=0.2, y=0.2)
axes.legend()
plt.show()

# %%
# The model is least sure of these images at four in a pass. A title has the digit and the answer.

proba = model.predict_proba(X_test, n_mux=4)
order = proba.max(axis=1).argsort()
figure, axes = plt.subplots(1, 8, figsize=(7, 1.4), layout="constrained")
for panel, number in zip(axes, order[:8], strict=True):
    panel.imshow(X_test[number], cmap="gray_r")
    panel.set_title(f"{y_test[number]}, says {proba[number].argmax()}", fontsize=8)
    panel.axis("off")
plt.show()
