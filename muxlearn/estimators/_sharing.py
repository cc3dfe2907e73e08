"""Fitted estimators on the Hugging Face hub, and in folders that look like there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from sklearn.utils.validation import check_is_fitted

from muxlearn._docs import fill_docs
from muxlearn._version import __version__
from muxlearn._warnings import warn
from muxlearn.estimators._model_card import CARD, Scores, is_generated, model_card
from muxlearn.estimators._saving import write_estimator
from muxlearn.persistence import (
    CONFIG,
    FormatError,
    file_names,
    find_folder,
    new_folder,
    read_config,
)

if TYPE_CHECKING:
    from huggingface_hub import HfApi, ModelCard

__all__ = ["from_pretrained", "push_to_hub", "save_pretrained"]


# `huggingface_hub.ModelHubMixin` has methods of these names and leading arguments, but is no base
# class for an estimator of scikit-learn: its `__new__` keeps a second copy of the parameters in
# each one, which `set_params` does not reach and pickles carry along, and its `save_pretrained`
# deletes the configuration in the folder before it asks whether there is a model to save. What
# stands here is built from the parts that it is built from.
def save_pretrained(
    self: Any,
    folder: str | os.PathLike,
    *,
    scores: Scores | None = None,
    dataset: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Save the fitted estimator to a folder, with a model card.

    Parameters
    ----------
    folder : str or path
        The folder for the files of `save` and for ``README.md``, the card: task, labels,
        parameters, scores, how to load the model, and its limits. An existing ``README.md`` is
        only replaced if it is a card that still has its first comment.

    scores : mapping or muxlearn.inspection.TradeoffDisplay, default=None
        Measurements for the card, by `n_mux` and by name, such as
        ``{10: {"accuracy": 0.91, "rows_per_second": 4100}, 1: {…}}``. None shows
        `measured_points_`, if there are any; these do not enter the hub's index.

    dataset : str, default=None
        The data set that `scores` were measured on. The hub shows the scores in its index of
        models if this is the data set's name on the hub.

    metadata : mapping of str to object, default=None
        More entries of the card's front matter, as `huggingface_hub.ModelCardData` takes
        them: ``{"license": "mit", "language": "en"}``.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        There is nothing to save.
    TypeError, ValueError
        A label or the module cannot be saved (see `save`), or `scores`, `dataset` or `metadata`
        is not valid. Nothing is written in either case.
    """
    check_is_fitted(self)
    path = new_folder(folder)
    name = path.resolve().name
    card = model_card(self, name, scores=scores, dataset=dataset, metadata=metadata)
    write_estimator(self, path, _card_file(card, path))


@fill_docs()
def from_pretrained(
    cls: Any,
    name_or_folder: str | os.PathLike,
    *,
    revision: str | None = None,
    cache_dir: str | os.PathLike | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
    **moved: Any,
) -> Any:
    """Load an estimator from the hub or from a folder; nothing is unpickled.

    Parameters
    ----------
    name_or_folder : str or path
        A folder that `save` or `save_pretrained` has written, or the name of a repository on
        the hub, such as ``"user/name"``, that `push_to_hub` has uploaded to.

    {hub.revision}

    {hub.cache_dir}

    {hub.local_files_only}

    token : str or bool, default=None
        A token for a private repository. None takes the one of ``hf auth login``.

    {load.moved}

    Returns
    -------
    estimator
        The fitted estimator, on the device that its `device` parameter names if there is one.

    Raises
    ------
    OSError
        There is no such folder, locally or on the hub.
    muxlearn.persistence.FormatError
        It holds something else, a newer format, another estimator, or damaged files.
    """
    find = partial(
        find_folder,
        name_or_folder,
        parameter="name_or_folder",
        cache_dir=cache_dir,
        local_files_only=local_files_only,
        token=token,
    )
    folder = find([CONFIG], revision=revision)
    if folder == Path(name_or_folder):
        return cls.load(folder, **moved)
    try:
        # Weights of any size are not fetched for a model that is of another kind.
        names = file_names(read_config(folder, cls.__name__))
        # A snapshot is called after its commit; the branch may be at another one by now.
        return cls.load(find(names, revision=folder.name), **moved)
    except FormatError as error:
        raise FormatError(f"`name_or_folder` {str(name_or_folder)!r}: {error}") from None


def push_to_hub(
    self: Any,
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | bool | None = None,
    commit_message: str = "Push a model with muxlearn",
    branch: str | None = None,
    create_pr: bool = False,
    scores: Scores | None = None,
    dataset: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> str:
    """Upload the fitted estimator to the hub, with a model card.

    Parameters
    ----------
    repo_id : str
        The repository, such as ``"user/name"``, which is created if needed. An existing card is
        only replaced if it still has its first comment, as by `save_pretrained`.

    private : bool, default=None
        Whether a new repository is private. None leaves it to the hub's settings.

    token : str or bool, default=None
        A token with write access. None takes the one of ``hf auth login``.

    commit_message : str, default="Push a model with muxlearn"
        The message of the commit.

    branch : str, default=None
        The branch to upload to, which must exist. None stands for the main branch.

    create_pr : bool, default=False
        Whether to propose the upload as a pull request.

    scores, dataset, metadata
        For the card, as in `save_pretrained`.

    Returns
    -------
    str
        The address of the commit or pull request.

    Raises
    ------
    sklearn.exceptions.NotFittedError
        There is nothing to upload.
    TypeError, ValueError
        `repo_id` is no valid name of a repository, the estimator cannot be saved, or `scores`,
        `dataset` or `metadata` is not valid. Nothing is uploaded.
    OSError
        The hub cannot be reached, or refuses.
    """
    from huggingface_hub import CommitOperationAdd, HfApi, constants

    check_is_fitted(self)
    _check_repo_id(repo_id)
    card = partial(model_card, self, scores=scores, dataset=dataset, metadata=metadata)
    card(repo_id)  # raises before there is anything on the hub
    with TemporaryDirectory() as folder:
        self.save(folder)
        api = HfApi(token=token, library_name="muxlearn", library_version=__version__)
        try:
            # The hub completes a name without a user.
            repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
            _fetch_card(api, repo_id, branch, folder)
            for name, data in _card_file(card(repo_id), Path(folder)).items():
                Path(folder, name).write_bytes(data)
            # `upload_folder` may spread a model's files over several commits.
            commit = api.create_commit(
                repo_id,
                [
                    CommitOperationAdd(path_in_repo=file.name, path_or_fileobj=file)
                    for file in sorted(Path(folder).iterdir())
                    if file.is_file()
                ],
                commit_message=commit_message,
                revision=branch,
                create_pr=create_pr,
            )
        except Exception as error:  # of the network and the hub: of many libraries
            if isinstance(error, ValueError) and not isinstance(error, OSError):
                raise  # the hub's objection to an entry of `metadata`
            reason = " ".join(str(error).split())
            raise OSError(
                f"`repo_id` {repo_id!r} cannot be written on {constants.ENDPOINT} "
                f"({type(error).__name__}: {reason}). That takes a network, HF_HUB_OFFLINE "
                "unset, and the right to write there: give a `token`, or log in by "
                "`hf auth login`; save_pretrained keeps the model in a folder meanwhile"
            ) from None
    return str(commit.pr_url or commit.commit_url)


def _check_repo_id(repo_id: object) -> None:
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    if not isinstance(repo_id, str):
        raise TypeError(
            f"`repo_id` must be a name such as 'user/name', got {repo_id!r} "
            f"({type(repo_id).__name__})"
        )
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise ValueError(
            f"`repo_id` {repo_id!r} is no name for a repository, such as 'user/name': {error}"
        ) from None


def _fetch_card(api: HfApi, repo_id: str, branch: str | None, folder: str) -> None:
    """Fetch the card that a repository has already, if it has one."""
    if api.file_exists(repo_id, CARD, revision=branch):
        api.hf_hub_download(repo_id, CARD, revision=branch, local_dir=folder)


def _card_file(card: ModelCard, folder: Path) -> dict[str, bytes]:
    """Return a card by the name of its file; nothing where an existing one is to be kept."""
    file = folder / CARD
    if file.is_file() and not is_generated(file):
        warn(
            f"the existing {CARD} lacks the comment by which muxlearn knows its own cards; it is "
            "kept, and what it says about the model may be out of date",
        )
        return {}
    return {CARD: str(card).encode()}
