"""Where a training computes, and what it draws from."""

import gc
import threading
import weakref

import numpy as np
import torch

from muxlearn.rows._variants import vary
from muxlearn.training.devices import plain_torch, seeded

CPU = torch.device("cpu")


def test_no_gpu_is_seeded_for_the_cpu(monkeypatch):
    seeds = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    monkeypatch.setattr(torch.cuda, "manual_seed", seeds.append)
    with seeded(3, CPU):
        drawn = torch.rand(4)
    vary(np.zeros((1, 1, 2, 2), np.float32), lambda image: image + torch.rand(()), [0])
    assert seeds == []
    torch.manual_seed(3)
    assert torch.equal(torch.rand(4), drawn)


def test_generators_are_put_back():
    before = torch.random.get_rng_state()
    with seeded(3, CPU):
        torch.rand(4)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_default_type_is_set_aside_and_put_back():
    torch.set_default_dtype(torch.float64)
    try:
        with plain_torch():
            assert torch.get_default_dtype() == torch.float32
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_default_type_is_put_back_after_the_last_of_several_threads():
    begun, goes_on = threading.Event(), threading.Event()

    def beside():
        with plain_torch():
            begun.set()
            goes_on.wait()

    torch.set_default_dtype(torch.float64)
    try:
        thread = threading.Thread(target=beside)
        thread.start()
        begun.wait()
        with plain_torch():
            goes_on.set()
            thread.join()
            assert torch.get_default_dtype() == torch.float32
        assert torch.get_default_dtype() == torch.float64
    finally:
        goes_on.set()
        torch.set_default_dtype(torch.float32)


def test_a_module_lives_no_longer_than_its_estimator(tiny_classifier):
    clf = tiny_classifier().fit(["a b", "c d"] * 4, [0, 1] * 4)
    clf.predict(["a"])
    gc.collect()
    module = weakref.ref(clf.module_)
    gc.disable()
    try:
        del clf
        assert module() is None
    finally:
        gc.enable()
