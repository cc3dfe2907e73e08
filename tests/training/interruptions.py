"""A training that is interrupted, as by Ctrl-C."""

from skorch.callbacks import Callback


class StopAfter(Callback):
    """Interrupts a training after some steps."""

    def __init__(self, n_steps):
        self.n_steps = n_steps

    def on_batch_end(self, net, training=False, **kwargs):
        self.n_steps -= training
        if self.n_steps <= 0:
            raise KeyboardInterrupt
