"""The guide's first page runs as it stands, on fewer rows."""

import pytest

from muxlearn import MuxTextClassifier
from tests.docs.test_documented_code import ROOT, code_blocks

PAGE = ROOT / "docs" / "guide" / "first_model.rst"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the score of n_mux=")
def test_the_first_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "\n".join(code_blocks(PAGE))
    for given, less in {"2_000": "60", "500": "40", "max_epochs=3": "max_epochs=1"}.items():
        assert given in code
        code = code.replace(given, less)
    ran = {}
    exec(compile(code, str(PAGE), "exec"), ran)
    assert isinstance(ran["clf"], MuxTextClassifier)
    assert list(ran["clf"].measured_points_) == [(1, 1), (1, 2), "words"]
    assert 0.3 < ran["tfidf"].score(ran["X_test"], ran["y_test"]) <= 1
