"""Backbones: where the encoder of a text model comes from."""
