"""
Complete the lower half of digits
=================================

Predict several numbers for each image with `MuxImageRegressor`: the 32 pixels of the lower half
from the 32 pixels of the upper half, for two digits in one pass. Half a minute on one core.
"""

# %%
# The digits come with scikit-learn: 1,797 images of 8x8 pixels. The upper half is the input, and
# the pixels of the lower half are the targets, one row of 32 numbers for each image.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split

from muxlearn import MuxImageRegressor

images = load_digits().images
upper, lower = images[:, :4], images[:, 4:].reshape(len(images), -1)
X_train, X_test, y_train, y_test = train_test_split(upper, lower, test_size=400, random_state=0)

# %%
# The regressor standardises each target, and `score` is the mean of their R².
# ``architecture="mlp"`` is the small network of DataMUX, and ``operating_points=(1, 2)`` trains for
# one and for two digits in a pass. Ridge regression learns from the same pixels.

reg = MuxImageRegressor(
    n_mux=2, architecture="mlp", operating_points=(1, 2), max_epochs=30, random_state=0
).fit(X_train, y_train)
ridge = Ridge().fit(X_train.reshape(len(X_train), -1), y_train)

print(f"one digit in a pass:  R² {reg.score(X_test, y_test, n_mux=1):.2f}")
print(f"two digits in a pass: R² {reg.score(X_test, y_test, n_mux=2):.2f}")
print(f"ridge regression:     R² {ridge.score(X_test.reshape(len(X_test), -1), y_test):.2f}")

# %%
# Each column is a digit: the original, completed at both speeds, and completed by ridge regression.

shown = X_test[:8]
completed = {
    "true": y_test[:8],
    "one in a pass": reg.predict(shown, n_mux=1),
    "two in a pass": reg.predict(shown, n_mux=2),
    "ridge": ridge.predict(shown.reshape(8, -1)),
}
fig, axes = plt.subplots(len(completed), 8, figsize=(8, 4.4), layout="constrained")
for row, (name, halves) in zip(axes, completed.items(), strict=True):
    for ax, top, half in zip(row, shown, halves, strict=True):
        ax.imshow(np.vstack([top, half.reshape(4, 8)]), cmap="gray_r", vmin=0, vmax=16)
        ax.set(xticks=[], yticks=[])
        ax.axhline(3.5, color="tab:red", linewidth=0.8)
    row[0].set_ylabel(name, rotation=0, ha="right", va="center")
