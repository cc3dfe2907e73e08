"""Commands that print what the library claims: ``python -m muxlearn.benchmark --help``."""
