"""How a module is trained on mixtures: what is minimised, and by what."""
