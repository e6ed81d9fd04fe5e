"""Probabilistic programs that disentangle what stays from what moves, and which object from which."""

__version__ = "0.1.0"
