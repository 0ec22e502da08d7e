"""Pictures of figures: as lines of text for a terminal, and as SVG for a page. Pure: values in, text out.

``bars`` and ``svg_bars`` show what each node has before and after something; ``curves`` and ``svg_curves`` show
figures over time. Levels are parts of what a node has: 0.5 is half full.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_WIDTH = 50
_HEIGHT = 10
_COLOURS = ("#b0b7c3", "#2563eb", "#d97706", "#059669")


def bars(words: tuple[str, str], names: Sequence[str], before: Sequence[float], after: Sequence[float]) -> list[str]:
    """Return two bars for each node, above each other; ``words`` says what they are."""
    longest = max([*before, *after, 0.01])
    wide, said = max((len(name) for name in names), default=0), max(map(len, words))
    lines = []
    for name, old, new in zip(names, before, after, strict=True):
        lines.append(f"{name:<{wide}}  {words[0]:<{said}} {_bar(old / longest)} {old:6.1%}")
        lines.append(f"{'':<{wide}}  {words[1]:<{said}} {_bar(new / longest)} {new:6.1%}")
    return lines


def _bar(part: float) -> str:
    eighths = round(max(0.0, min(part, 1.0)) * _WIDTH * 8)
    whole, rest = divmod(eighths, 8)
    return f"{'█' * whole}{_EIGHTHS[rest] if rest else ''}".ljust(_WIDTH)


def curves(series: Mapping[str, Sequence[float]], marks: str = "o*+x") -> list[str]:
    """Return a plot of several curves over the same days, each with a mark of its own; where two meet the later one
    is seen."""
    values = [value for curve in series.values() for value in curve]
    if not values:
        return []
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    grid = [[" "] * _WIDTH for _ in range(_HEIGHT)]
    for mark, curve in zip(marks, series.values(), strict=False):
        for column in range(_WIDTH):
            value = curve[min(column * len(curve) // _WIDTH, len(curve) - 1)]
            grid[_HEIGHT - 1 - round((value - low) / span * (_HEIGHT - 1))][column] = mark
    lines = [f"{high - span * row / (_HEIGHT - 1):6.1%} │{''.join(grid[row])}" for row in range(_HEIGHT)]
    lines.append(f"{'':6} └{'─' * _WIDTH}")
    lines.append(f"{'':8}{'   '.join(f'{mark} {name}' for mark, name in zip(marks, series, strict=False))}")
    return lines


def svg_curves(title: str, series: Mapping[str, Sequence[float]]) -> str:
    """Return an SVG document with curves over days; its axis begins at nothing."""
    highest = max((value for curve in series.values() for value in curve), default=1.0) or 1.0
    count = max((len(curve) for curve in series.values()), default=1)
    parts = [_grid(highest)]
    for place, (name, curve) in enumerate(series.items()):
        places = (
            (60 + 600 * day / max(count - 1, 1), 260 - 220 * value / highest) for day, value in enumerate(curve)
        )
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        colour = _COLOURS[place % len(_COLOURS)]
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points}"/>')
        parts.append(_legend(place, name, colour))
    parts.append(_text(60, 282, "day 1") + _text(660, 282, f"day {count}", "end"))
    return _document(title, 680, 330, parts)


def svg_bars(title: str, names: Sequence[str], before: Sequence[float], after: Sequence[float]) -> str:
    """Return an SVG document with two bars for each node."""
    highest = max([*before, *after, 0.01])
    wide = 600 / max(len(names), 1)
    parts = [_grid(highest)]
    for place, (name, old, new) in enumerate(zip(names, before, after, strict=True)):
        left = 60 + place * wide
        for shift, value, colour in ((0.1, old, _COLOURS[0]), (0.5, new, _COLOURS[1])):
            tall = 220 * value / highest
            at = f'x="{left + shift * wide:.1f}" y="{260 - tall:.1f}" width="{0.4 * wide:.1f}" height="{tall:.1f}"'
            parts.append(f'<rect {at} fill="{colour}"><title>{escape(name)}: {value:.1%}</title></rect>')
        if len(names) <= 16:
            parts.append(_text(left + wide / 2, 276, name.partition(".")[0], "middle"))
    parts += [_legend(place, name, _COLOURS[place]) for place, name in enumerate(("before", "after"))]
    return _document(title, 680, 330, parts)


def _grid(highest: float) -> str:
    lines = []
    for quarter in range(5):
        y = 260 - 55 * quarter
        lines.append(f'<line x1="60" x2="660" y1="{y}" y2="{y}" stroke="#8884"/>')
        lines.append(_text(54, y + 4, f"{highest * quarter / 4:.0%}", "end"))
    return "".join(lines)


def _legend(place: int, name: str, colour: str) -> str:
    left = 60 + 200 * place
    return f'<rect x="{left}" y="300" width="12" height="12" fill="{colour}"/>' + _text(left + 18, 311, name)


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _document(title: str, width: int, height: int, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        f'font-size="12" fill="#555" role="img"><title>{escape(title)}</title>'
        + _text(60, 22, title)
        + "\n".join(parts)
        + "</svg>\n"
    )
