"""The README's code runs as it stands."""

import warnings

import pytest

from tests.docs.test_documented_code import ROOT, code_blocks


@pytest.mark.slow
def test_all_blocks_of_the_readme_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ran = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the score of n_mux=")
        for block in code_blocks(ROOT / "README.md"):
            exec(compile(block, "README.md", "exec"), ran)
    assert len(ran["cascade"].predict(ran["X"][:7])) == 7
    scores = [ran["clf"].score(ran["X_new"], ran["y_new"], n_mux=n) for n in ((1, 1), "words")]
    assert min(scores) > 0.6
    assert len(ran["images"].predict(ran["digits"].images[:5])) == 5


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) < 150
