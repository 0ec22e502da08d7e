"""The error tree keeps its promises."""

from __future__ import annotations

import inspect

from roost.domain import errors


def test_codes_are_stable_and_unique() -> None:
    """A script may test them, so a change of this list is a change of the interface."""
    codes = [kind.code for kind in errors.every_error() if "code" in vars(kind)]
    assert len(codes) == len(set(codes))
    assert {"error", "not-found", "already-exists", "alias-loop", "bad-import", "controller-away"} <= set(codes)


def test_every_error_is_drawn_in_the_tree() -> None:
    """The picture at the top of the file is whole."""
    drawn = inspect.getdoc(errors) or ""
    for kind in errors.every_error():
        if kind.__module__ == errors.__name__:
            assert kind.__name__ in drawn, kind


def test_temporary_errors_answer_503() -> None:
    """Trying again helps exactly where the API says so."""
    for kind in errors.every_error():
        assert kind.permanent == (kind.status != 503)
