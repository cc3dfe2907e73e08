import os
import threading

import pytest

from muxlearn.prediction._ahead import prepare_ahead


def test_windows_come_in_order_with_what_was_made_of_them():
    assert list(prepare_ahead(range(5), lambda n: n * n)) == [(n, n * n) for n in range(5)]


def test_the_next_window_is_prepared_while_this_one_is_used():
    prepared = threading.Event()

    def prepare(number):
        if number == 1:
            prepared.set()
        return number

    results = prepare_ahead(range(3), prepare)
    next(results)
    assert prepared.wait(30)
    results.close()


def test_a_single_window_needs_no_thread():
    (result,) = prepare_ahead([1], lambda _: threading.current_thread())
    assert result == (1, threading.main_thread())


def test_windows_are_read_in_the_thread_of_the_caller():
    threads = []

    def windows():
        for number in range(4):
            threads.append(threading.current_thread())
            yield number

    list(prepare_ahead(windows(), str))
    assert set(threads) == {threading.main_thread()}


def test_what_was_read_before_an_error_is_given_first():
    def windows():
        yield from (1, 2)
        raise OSError("the disk is gone")

    given = []
    with pytest.raises(OSError, match="is gone"):
        given.extend(number for number, _ in prepare_ahead(windows(), str))
    results = prepare_ahead(windows(), str)
    assert [next(results), next(results)] == [(1, "1"), (2, "2")]
    with pytest.raises(OSError, match="is gone"):
        next(results)


def test_an_error_of_prepare_is_raised_in_its_place():
    results = prepare_ahead([1, 2, 0, 4], lambda n: 1 / n)
    assert [next(results), next(results)] == [(1, 1), (2, 0.5)]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_an_abandoned_stream_leaves_no_thread():
    results = prepare_ahead(range(100), str)
    next(results)
    results.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("muxlearn-prepare")]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_stream_that_a_child_goes_on_with_is_refused_and_the_parents_goes_on():
    results = prepare_ahead(range(5), str)
    assert next(results) == (0, "0")
    child = os.fork()
    if not child:
        try:
            next(results)
        except RuntimeError as error:
            os._exit(7 if "begun in another process" in str(error) else 1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert [number for number, _ in results] == [1, 2, 3, 4]
