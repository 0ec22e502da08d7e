"""Roost: scale-out email from ordinary, autonomous servers."""

__version__ = "0.1.0"
