"""The page of a paper's method sets our numbers beside the paper's, or says that there are none."""

import re
from pathlib import Path

import pytest

METHODS = Path(__file__).parents[2] / "docs" / "methods"
PAPERS = ("datamux", "mux_plms", "mimoconv", "mimoformer", "revmux")


def table(page):
    """Return the rows of the table of a page, each as a list of cells."""
    text = (METHODS / f"{page}.rst").read_text(encoding="utf-8")
    found = re.search(r"^   \* - The paper\n(?:     .*\n|   \* .*\n)+", text, re.MULTILINE)
    assert found, "no table begins with the column 'The paper'"
    rows = re.split(r"^   \* ", found[0], flags=re.MULTILINE)[1:]
    return [
        [" ".join(cell.split()) for cell in re.split(r"^(?:     )?- ", row, flags=re.MULTILINE)[1:]]
        for row in rows
    ]


@pytest.mark.parametrize("page", PAPERS)
def test_a_table_has_the_papers_number_ours_the_command_and_what_differs(page):
    header, *rows = table(page)
    assert header == ["The paper", "Ours", "Command", "What differs"]
    assert all(len(row) == 4 and all(row) for row in rows)
    assert any("reproduce" in command for _, _, command, _ in rows)
    assert all(re.search(r"\d|not measured|below", ours) for _, ours, _, _ in rows)
