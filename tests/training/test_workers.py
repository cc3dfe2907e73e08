"""Which worker a process is. That GPUs are shared out needs a machine with several: the number
of a worker is tested in real workers, and the share of a number by itself."""

import joblib
import pytest

from muxlearn.training.workers import share_of, worker_number


def test_the_main_process_is_no_worker():
    assert worker_number() is None


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_workers_of_joblib_have_numbers_that_share_out_two_devices():
    def slow_number():  # not of this module, which a worker cannot import
        import time

        from muxlearn.training.workers import worker_number

        time.sleep(0.2)
        return worker_number()

    with joblib.parallel_config("loky", n_jobs=2):
        numbers = joblib.Parallel()(joblib.delayed(slow_number)() for _ in range(8))
    assert None not in numbers
    assert {share_of(number, 2) for number in numbers} == {0, 1}


def test_workers_take_turns():
    assert [share_of(number, 3) for number in range(5)] == [0, 1, 2, 0, 1]


@pytest.mark.parametrize(("number", "n_devices"), [(None, 4), (3, 1), (3, 0)])
def test_without_a_choice_torch_has_it(number, n_devices):
    assert share_of(number, n_devices) is None
