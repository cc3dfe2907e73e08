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
    assert ran["clf"].score(ran["X"][300:400], ran["y"][300:400]) > 0.5
    assert len(ran["images"].predict(ran["digits"].images[:5])) == 5


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) < 150
