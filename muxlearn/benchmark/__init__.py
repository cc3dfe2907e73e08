"""Commands that print the figures behind every claim of speed and accuracy.

Run ``python -m muxlearn.benchmark --help`` for a list.
"""
