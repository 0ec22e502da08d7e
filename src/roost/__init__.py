"""Roost: scale-out email from ordinary, autonomous servers."""
