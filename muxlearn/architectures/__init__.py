"""Architectures: everything that one network needs to be trained and rebuilt."""
