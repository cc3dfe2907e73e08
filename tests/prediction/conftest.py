import numpy as np
import pandas as pd
import pytest

from muxlearn import MuxTextClassifier
from tests.prediction.streams import N_ROWS, texts_of


@pytest.fixture(scope="module")
def fitted(tiny_classifier):
    texts = texts_of(60)
    return tiny_classifier(batch_size=2, warm_up=None, lr=3e-3).fit(texts, ["x", "y", "z"] * 20)


@pytest.fixture
def small_windows(set_window_rows):
    """Windows of 8 * batch_size * n_mux = 32 rows."""
    set_window_rows(MuxTextClassifier, 1)


@pytest.fixture
def frame():
    tenants = np.random.default_rng(1).integers(3, size=N_ROWS)
    return pd.DataFrame({"id": range(N_ROWS), "text": texts_of(N_ROWS, 1), "tenant": tenants})


@pytest.fixture
def parquet(frame, tmp_path):
    frame.to_parquet(tmp_path / "texts.parquet", row_group_size=40)
    return tmp_path / "texts.parquet"
