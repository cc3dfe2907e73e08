import pytest
import torch
from hypothesis import settings

# The same examples on every machine, and no verdict that hangs on its speed.
settings.register_profile("muxlearn", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("muxlearn")

# The models are tiny: more threads only wait for each other, the more so under `pytest -n`.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
