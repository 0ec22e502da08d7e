"""Measurements on real daemons: ``python -m bench.NAME`` from the top of the checkout, as root."""
