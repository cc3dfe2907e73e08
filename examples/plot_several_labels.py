"""
Several labels for each sentence
================================

Say of each sentence which kinds of words it holds: names, numbers, pronouns, questions. A sentence may
have several of these labels, or none. Half a minute on one core.
"""

# %%
# The Turkish Web Treebank marks each token of its sentences. The labels of a sentence are a set, and
# the set may be empty.

from importlib.metadata import distribution

import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MultiLabelBinarizer

from muxlearn import MuxTextClassifier
from muxlearn.backbones import Scratch

folder = distribution("turkish-treebanks").locate_file("data")
tokens, labels = [[]], [set()]
for name in ("web.conllu", "wiki.conllu"):
    for line in (folder / name).read_text(encoding="utf-8").splitlines():
        columns = line.split("\t")
        if len(columns) == 10:
            tokens[-1].append(columns[1])
            found = {
                "name": "Proper=True" in columns[5],
                "number": columns[3] == "NUM",
                "pronoun": columns[3] == "PRON",
                "question": columns[1] == "?",
            }
            labels[-1] |= {label for label, is_there in found.items() if is_there}
        elif tokens[-1]:
            tokens.append([])
            labels.append(set())
texts = [" ".join(sentence) for sentence in tokens if sentence]
labels = [of_sentence for of_sentence, sentence in zip(labels, tokens, strict=True) if sentence]
X_train, X_test, y_train, y_test = train_test_split(
    texts, labels, train_size=3000, test_size=800, random_state=0
)
pd.DataFrame({"text": X_train[:4], "labels": y_train[:4]})

# %%
# `fit` takes the sets as they are, and `predict` returns sets. An indicator, a matrix of 0 and 1, is
# as good, and comes back as one.

clf = MuxTextClassifier(
    n_mux=2,
    patch_size=1,
    backbone=Scratch(hidden_size=64, num_hidden_layers=2, num_attention_heads=2, vocab_size=2000),
    operating_points=(1, 2),
    max_length=48,
    warm_up=1,
    max_epochs=6,
    random_state=0,
).fit(X_train, y_train)
pd.DataFrame({"text": X_test[:4], "true": y_test[:4], "predicted": clf.predict(X_test[:4])})

# %%
# scikit-learn's measures read an indicator. The linear neighbour has one logistic regression for
# each label.

binarizer = MultiLabelBinarizer(classes=clf.classes_).fit(labels)
Y_train, Y_test = binarizer.transform(y_train), binarizer.transform(y_test)
linear = make_pipeline(TfidfVectorizer(), OneVsRestClassifier(LogisticRegression(C=10)))
linear.fit(X_train, Y_train)
predicted = {
    "one sentence in a pass": binarizer.transform(clf.predict(X_test, n_mux=1)),
    "two sentences in a pass": binarizer.transform(clf.predict(X_test, n_mux=2)),
    "TF-IDF, one for each label": linear.predict(X_test),
}
pd.DataFrame(
    {
        name: {
            **dict(zip(clf.classes_, f1_score(Y_test, Y, average=None), strict=True)),
            "all labels": f1_score(Y_test, Y, average="micro"),
        }
        for name, Y in predicted.items()
    }
).T.round(3)

# %%
# `predict_proba` has a column for each label, whose probabilities do not add up to 1.

proba = pd.DataFrame(clf.predict_proba(X_test[:4]).round(2), columns=clf.classes_)
proba
