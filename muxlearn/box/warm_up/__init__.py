"""Encoders of `transformers`, warmed up for mixtures by ``python -m muxlearn.box.warm_up``."""
