import datasets
import numpy as np
import pytest
from PIL import Image

from muxlearn.datasets import fetch_lra_image, fetch_lra_retrieval, fetch_lra_text

REVIEWS = {"train": ["good\nfilm", "bad film", "so-so"], "test": ["caf\u00e9 film"]}
LABELS = {"train": [1, 0, 0], "test": [1]}


@pytest.fixture(autouse=True)
def _quiet():
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def review_data():
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    )
    return datasets.DatasetDict(
        {
            split: datasets.Dataset.from_dict(
                {"text": REVIEWS[split], "label": LABELS[split]}, features=features
            )
            for split in REVIEWS
        }
    )


def as_parquet(data, folder):
    (folder / "data").mkdir(parents=True)
    for split, part in data.items():
        part.to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")


def as_disk(data, folder):
    data.save_to_disk(folder)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("write", [as_parquet, as_disk])
def test_texts_come_from_a_folder(write, split, tmp_path, cache):
    write(review_data(), tmp_path / "imdb")
    texts, y = fetch_lra_text(tmp_path / "imdb", split=split, cache_dir=cache)
    assert texts == REVIEWS[split]
    assert y.tolist() == LABELS[split]
    assert y.dtype == np.int64


def test_texts_come_in_parts(tmp_path, cache):
    as_parquet(review_data(), tmp_path / "imdb")
    texts, _ = fetch_lra_text(tmp_path / "imdb", split="train[1:]", cache_dir=cache)
    assert texts == REVIEWS["train"][1:]


def test_a_split_that_is_not_there_is_an_error(tmp_path, cache):
    as_parquet(review_data(), tmp_path / "imdb")
    with pytest.raises(ValueError, match="validation"):
        fetch_lra_text(tmp_path / "imdb", split="validation", cache_dir=cache)


def test_a_column_that_is_not_there_is_an_error(tmp_path, cache):
    as_parquet(review_data().rename_column("text", "review"), tmp_path / "imdb")
    with pytest.raises(ValueError, match=r"'review', 'label'.* needs 'text'; rename"):
        fetch_lra_text(tmp_path / "imdb", cache_dir=cache)


def test_a_folder_without_data_is_an_error(tmp_path, cache):
    with pytest.raises(FileNotFoundError, match=r"is not found .* give its path as `source`"):
        fetch_lra_text(tmp_path, cache_dir=cache)


def test_a_folder_that_is_not_there_is_an_error(tmp_path, cache):
    with pytest.raises(FileNotFoundError, match=r"nowhere.* is not found"):
        fetch_lra_text(tmp_path / "nowhere", cache_dir=cache)


@pytest.mark.parametrize(
    ("fetch", "name"),
    [(fetch_lra_text, "stanfordnlp/imdb"), (fetch_lra_image, "uoft-cs/cifar10")],
)
def test_offline_the_error_says_what_to_do(fetch, name, monkeypatch, cache):
    # What the library sets for HF_HUB_OFFLINE=1 or HF_DATASETS_OFFLINE=1 when it is imported.
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_OFFLINE", True)
    command = f"hf download {name} --repo-type dataset --local-dir FOLDER"
    with pytest.raises(ConnectionError, match=f"'{name}' can't be fetched .*{command}"):
        fetch(cache_dir=cache)


@pytest.mark.parametrize("params", [{"source": ""}, {"split": ""}])
def test_parameters_of_a_fetch_are_checked(params):
    with pytest.raises(ValueError, match=f"`{next(iter(params))}` must be"):
        fetch_lra_text(**params)


def pictures(n, size=4, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), np.uint8)


def picture_data(images, column):
    features = datasets.Features(
        {column: datasets.Image(), "label": datasets.ClassLabel(num_classes=10)}
    )
    rows = {column: [Image.fromarray(image) for image in images], "label": range(len(images))}
    return datasets.DatasetDict({"train": datasets.Dataset.from_dict(rows, features=features)})


@pytest.mark.parametrize("column", ["img", "image"])
def test_pictures_become_sequences_of_grey(column, tmp_path, cache):
    images = pictures(5)
    as_parquet(picture_data(images, column), tmp_path / "cifar")
    X, y = fetch_lra_image(tmp_path / "cifar", cache_dir=cache)
    assert X.shape == (5, 16)
    assert X.dtype == np.uint8
    assert y.tolist() == [0, 1, 2, 3, 4]
    red, green, blue = images.reshape(5, 16, 3).transpose(2, 0, 1) / 255
    grey = 255.5 * (0.2989 * red + 0.587 * green + 0.114 * blue)
    np.testing.assert_array_equal(X, np.floor(grey))


def test_pictures_in_folders_by_class_are_read(tmp_path, cache):
    images = pictures(2)
    for image, name in zip(images, ["cat", "dog"], strict=True):
        folder = tmp_path / "cifar" / "train" / name
        folder.mkdir(parents=True)
        Image.fromarray(image).save(folder / "0.png")
    X, y = fetch_lra_image(tmp_path / "cifar", cache_dir=cache)
    assert X.shape == (2, 16)
    assert y.tolist() == [0, 1]


def test_black_white_and_primary_colours_are_what_tensorflow_makes_of_them(tmp_path, cache):
    colours = [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255)]
    images = np.array(colours, np.uint8)[:, None, None]
    as_parquet(picture_data(images, "img"), tmp_path / "cifar")
    X, _ = fetch_lra_image(tmp_path / "cifar", cache_dir=cache)
    # The whole part of 255.5 times 0, 0.9999, 0.2989, 0.587 and 0.114.
    assert X.ravel().tolist() == [0, 255, 76, 149, 29]


def test_pictures_of_different_sizes_are_an_error(tmp_path, cache):
    images = [pictures(1)[0], pictures(1, size=5)[0]]
    as_parquet(picture_data(images, "img"), tmp_path / "cifar")
    with pytest.raises(ValueError, match=r"picture 1 of .* has 25 pixels and picture 0 16"):
        fetch_lra_image(tmp_path / "cifar", cache_dir=cache)


def write_pairs(folder, lines, name="new_aan_pairs.train.tsv"):
    (folder / name).write_bytes("".join(line + "\n" for line in lines).encode())


PAIRS = [
    '1.0\tA00-1001\tA00-1002\tthe "first" text\tanother',
    "0.0\tA00-1001\tA00-1003\tthe first text\tcaf\u00e9\u2028noir",
    "0\ta\tb\t\tx",
    "0\ta\tb\ty\t\r",
]


def test_pairs_of_papers_are_read(tmp_path):
    write_pairs(tmp_path, PAIRS)
    pairs, y = fetch_lra_retrieval(tmp_path)
    assert pairs == [
        ('the "first" text', "another"),
        ("the first text", "caf\u00e9\u2028noir"),
        ("", "x"),
        ("y", ""),
    ]
    assert y.tolist() == [1, 0, 0, 0]
    assert y.dtype == np.int64


@pytest.mark.parametrize(
    ("split", "name"),
    [("validation", "new_aan_pairs.eval.tsv"), ("test", "new_aan_pairs.test.tsv")],
)
def test_pairs_have_splits(split, name, tmp_path):
    write_pairs(tmp_path, PAIRS[:1], name)
    assert fetch_lra_retrieval(tmp_path, split=split)[1].tolist() == [1]


def test_papers_are_cut_by_bytes_between_characters(tmp_path):
    write_pairs(tmp_path, PAIRS)
    pairs, _ = fetch_lra_retrieval(tmp_path, max_length=4)
    assert pairs[:2] == [("the ", "anot"), ("the ", "caf")]  # the letter has two bytes


@pytest.mark.parametrize(("params", "length"), [({}, 4000), ({"max_length": None}, 200_000)])
def test_papers_are_whole_on_demand_alone(tmp_path, params, length):
    write_pairs(tmp_path, ["1\ta\tb\t" + "x" * 200_000 + "\ty"])
    pairs, _ = fetch_lra_retrieval(tmp_path, **params)
    assert len(pairs[0][0]) == length


def test_bytes_that_are_no_character_are_marked(tmp_path):
    (tmp_path / "new_aan_pairs.train.tsv").write_bytes(b"1\ta\tb\tcaf\xe9 noir\tx\n")
    assert fetch_lra_retrieval(tmp_path)[0] == [("caf\ufffd noir", "x")]


def test_pairs_that_are_not_there_are_an_error_with_their_address(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"train\.tsv'; download https://storage.*lra_release"
    ):
        fetch_lra_retrieval(tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1\ta\tb\tonly one text", "line 2 of .* has 4 columns and begins with b'1'"),
        ("label\tid1\tid2\ttext1\ttext2", "line 2 of .* has 5 columns and begins with b'label'"),
    ],
)
def test_a_line_of_another_form_is_an_error(line, message, tmp_path):
    write_pairs(tmp_path, [PAIRS[0], line])
    with pytest.raises(ValueError, match=message):
        fetch_lra_retrieval(tmp_path)


def test_an_empty_file_of_pairs_is_an_error(tmp_path):
    write_pairs(tmp_path, [])
    with pytest.raises(ValueError, match=r"train\.tsv' is empty"):
        fetch_lra_retrieval(tmp_path)


@pytest.mark.parametrize("params", [{"split": "eval"}, {"max_length": 0}])
def test_parameters_of_the_pairs_are_checked(params, tmp_path):
    with pytest.raises(ValueError, match=f"`{next(iter(params))}` must be"):
        fetch_lra_retrieval(tmp_path, **params)
