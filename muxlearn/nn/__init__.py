"""Multiplexed networks in pure torch; knows no scikit-learn, no skorch, no strings."""
