"""Folders of checkpoints."""

import pytest

from tests.estimators.published_checkpoints import (
    VARIANTS,
    make_checkpoint,
    make_tokenizer,
    write_folder,
)


@pytest.fixture(scope="session")
def checkpoints():
    """Configuration and tensors of every variant, made once."""
    made = {}

    def make(variant):
        if variant not in made:
            made[variant] = make_checkpoint(*VARIANTS[variant])
        config, tensors = made[variant]
        return dict(config), dict(tensors)

    return make


@pytest.fixture
def folder_of(checkpoints, tmp_path):
    """Write a variant's folder; keyword arguments change the configuration."""

    def write(variant, tokenizer=True, tensors=None, **config):
        said, own = checkpoints(variant)
        own = own if tensors is None else tensors
        reader = make_tokenizer() if tokenizer else None
        return write_folder(tmp_path / variant, {**said, **config}, own, reader)

    return write
