"""Data sets of the tests of streams."""

import datasets
import numpy as np

WORDS = ("cat", "old dog", "it", "a bird that sings", "")
N_ROWS = 150


def texts_of(n_rows, seed=0):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(0, 4))) for _ in range(n_rows)]


def as_parquet_files(frame, folder):
    frame[:70].to_parquet(folder / "a.parquet", row_group_size=20)
    frame[70:].to_parquet(folder / "b.parquet")
    return folder


def as_csv(frame, folder):
    frame.to_csv(folder / "texts.csv", index=False)
    return folder / "texts.csv"


def as_zipped_csv(frame, folder):
    frame.to_csv(folder / "texts.csv.gz", index=False)
    return [str(folder / "texts.csv.gz")]


def as_dataset(frame, folder):
    datasets.Dataset.from_pandas(frame).save_to_disk(folder / "dataset")
    return datasets.load_from_disk(folder / "dataset")
