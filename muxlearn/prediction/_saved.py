"""The parts of a predictor that a folder keeps beside the module."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from muxlearn.persistence import TOKENIZER, decode_labels, encode_labels
from muxlearn.prediction._planner import Planner
from muxlearn.prediction._predictor import Predictor
from muxlearn.prediction._runner import Runner
from muxlearn.prediction._schema import check_entries
from muxlearn.rows import load_reader
from muxlearn.tasks import TASKS, ClassesTask, LabelsTask, TagsTask, Task

__all__ = ["complete_config", "predictor_config", "restore_predictor", "restore_task"]

#: The tasks whose answers are labels.
_LABELLED = (ClassesTask.name, LabelsTask.name, TagsTask.name)


def predictor_config(predictor: Predictor) -> dict[str, Any]:
    """Return what JSON keeps of a predictor.

    `Reader.files` and `Task.arrays` are the rest.

    Parameters
    ----------
    predictor : Predictor

    Returns
    -------
    dict
    """
    classes, planner = predictor.task.classes, predictor.planner
    return {
        "reader": predictor.reader.to_config(),
        "task": predictor.task.to_config(),
        "labels": None if classes is None else encode_labels(classes),
        "plan_seed": planner.seed,
        "planner": {"in_order": planner.in_order, "window_rows": planner.window_rows},
    }


def restore_predictor(
    runner: Runner,
    config: Mapping[str, Any],
    files: Mapping[str, str],
    arrays: Mapping[str, NDArray],
) -> Predictor:
    """Build a predictor that a folder has kept around its module.

    Parameters
    ----------
    runner : Runner
    config : mapping of str to object
        From `complete_config`.
    files : mapping of str to str
        The reader's files by name.
    arrays : mapping of str to ndarray
        The task's arrays by name.

    Returns
    -------
    Predictor
    """
    reader = load_reader(config["reader"], files)
    n_tokens, n_known = getattr(reader, "vocab_size", 0), config.get("vocab_size")
    if n_known is not None and n_tokens > n_known:
        raise ValueError(f"{n_tokens} tokens are read, but `vocab_size` is {n_known}")
    return Predictor(
        runner,
        reader,
        restore_task(config, arrays),
        Planner(config["plan_seed"], **config["planner"]),
        batch_size=config["params"]["batch_size"],
        verbose=bool(config["params"].get("verbose")),
    )


def restore_task(config: Mapping[str, Any], arrays: Mapping[str, NDArray]) -> Task:
    """Build the task that a folder has kept.

    Parameters
    ----------
    config : mapping of str to object
        From `complete_config`.
    arrays : mapping of str to ndarray

    Returns
    -------
    Task
    """
    labels, task = config["labels"], config["task"]
    classes = None if labels is None else decode_labels(labels)
    return TASKS[task["name"]].from_saved(task, classes, arrays)


def complete_config(config: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, Any]:
    """Return a configuration with all entries of today, though the folder be of an earlier version.

    Parameters
    ----------
    config : mapping of str to object
    files : mapping of str to str
        The reader's files by name.

    Returns
    -------
    dict

    Raises
    ------
    KeyError, TypeError, ValueError
        An entry is missing or invalid; the message names it.
    """
    check_entries(config)
    if not {"planner", "task", "reader"} <= config.keys():
        config = {**_of_earlier_version(config, files), **config}
    config = dict(config)
    reader = config["reader"]
    if "kind" not in reader:  # only images had an entry of that name
        if config["estimator"] != "MuxImageClassifier":
            raise ValueError("`reader` lacks kind")
        config["reader"] = {"kind": "images", **reader}
    if config.get("labels") is None and config["task"].get("name") in _LABELLED:
        raise ValueError("`labels` is missing")
    check_entries(config)
    return config


def _of_earlier_version(config: Mapping[str, Any], files: Mapping[str, str]) -> dict[str, Any]:
    """Return the entries that folders did not have when an estimator knew its reader and task."""
    params, name = config["params"], config["estimator"]
    planner = {"in_order": "reference" in config, "window_rows": 8192}
    task: dict[str, Any] = {"name": "classes"}
    reader: dict[str, Any] = {"kind": "texts", "pairs": None, "apart": False}
    if name == "MuxTokenTagger":
        planner["window_rows"] = 2048
        # Of an exported model, whose parameters nothing has renewed, the steps stand apart.
        viterbi = params["decode"] == "viterbi"
        decode = params.get("transitions", "legal") if viterbi else params["decode"]
        task = {"name": "tags", "decode": decode}
        reader = {"kind": "sentences", "all_pieces": params["label_pieces"] == "all"}
    elif name == "MuxTextPretrainer":
        task, reader["pairs"] = {"name": "vectors"}, False
    elif "max_integers" in config:
        reader = {
            "kind": "integers",
            "vocab_size": config["vocab_size"],
            "max_length": config["max_integers"],
        }
    elif "n_texts" in config:
        reader["pairs"] = reader["apart"] = config["n_texts"] == 2
    elif TOKENIZER in files:
        n_read = json.loads(files[TOKENIZER])["truncation"]["max_length"]
        reader["pairs"] = False if n_read > config["structure"]["max_length"] else None
    return {"planner": planner, "task": task, "reader": reader}
