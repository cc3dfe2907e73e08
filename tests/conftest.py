from functools import partial

import pytest
import torch
from hypothesis import settings

from muxlearn import MuxTextClassifier, MuxTokenTagger

# The same examples on every machine, and no verdict that hangs on its speed.
settings.register_profile("muxlearn", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("muxlearn")

# The models are tiny: more threads only wait for each other, the more so under `pytest -n`.
torch.set_num_threads(1)

TINY = {
    "n_mux": 2,
    "backbone": "scratch",
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 300,
    "max_length": 16,
    "max_epochs": 1,
    "warm_up_epochs": 1,
    "batch_size": 8,
    "random_state": 0,
}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def tiny_classifier():
    """Make a text classifier of the least size; other parameters as given."""
    return partial(MuxTextClassifier, **TINY)


@pytest.fixture(scope="session")
def tiny_tagger():
    """Make a token tagger of the least size; other parameters as given."""
    return partial(MuxTokenTagger, lexical_size=8, **TINY)
