"""Pieces of HTML. Text that comes from anywhere else is escaped here, and nowhere forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Literal

How = Literal["measured", "predicted", "estimated", "by formula", "asked for", "recorded", "derived"]
"""How a figure was obtained."""


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: object) -> Html:
    """Escaped, unless it is HTML already."""
    return value if isinstance(value, Html) else Html(escape(str(value)))


def joined(parts: Iterable[object]) -> Html:
    """One after the other."""
    return Html("".join(text(part) for part in parts))


def element(name: str, *parts: object, **attributes: object) -> Html:
    """An element; `class_` stands for `class`, `_` in a name for `-`, True for an attribute without a value."""
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(str(value))}"')
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return Html(f"<{name}{written}>{joined(parts)}</{name}>")


def paragraph(*parts: object, class_: str | None = None) -> Html:
    """A paragraph."""
    return element("p", *parts, class_=class_)


def how(*obtained: How) -> Html:
    """The mark that says how figures were obtained."""
    marks = [element("span", word, class_=f"how {word.replace(' ', '-')}") for word in obtained]
    return Html(" ".join(marks))


def section(identifier: str, title: str, *parts: object) -> Html:
    """A section with its heading."""
    return element("section", element("h2", title), *parts, id=identifier)


def definitions(rows: Iterable[tuple[object, object]]) -> Html:
    """Terms and what they are."""
    return element("dl", *(element("div", element("dt", term), element("dd", value)) for term, value in rows))


def table(
    headings: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    groups: Sequence[tuple[object, int]] = (),
    marked: Sequence[bool] = (),
    caption: object | None = None,
) -> Html:
    """A table that scrolls sideways where it is too wide; its first column stays.

    Args:
        headings: Of the columns.
        rows: Cells; the first of each is its heading.
        groups: A row of headings above, each with the number of columns that it spans.
        marked: Which rows stand out.
        caption: Below the table.
    """
    top = element("tr", *(element("th", name, colspan=span, scope="colgroup") for name, span in groups))
    head = element("tr", *(element("th", heading, scope="col") for heading in headings))
    flags = [*marked]
    body = [
        element(
            "tr",
            element("th", row[0], scope="row"),
            *(element("td", cell) for cell in row[1:]),
            class_="marked" if index < len(flags) and flags[index] else None,
        )
        for index, row in enumerate(rows)
    ]
    whole = element("table", element("thead", top if groups else "", head), element("tbody", *body))
    note = element("p", caption, class_="caption") if caption is not None else ""
    return joined([element("div", whole, class_="wide", tabindex="0"), note])


def figure(identifier: str, caption: object, *controls: object, label: str) -> Html:
    """Room for a figure that the page draws, with its caption.

    Args:
        identifier: By which the page's data names it.
        caption: Below it.
        controls: Above it.
        label: What it shows, for those who cannot see it.
    """
    return element(
        "figure",
        *([element("div", *controls, class_="controls")] if controls else []),
        element("div", id=identifier, class_="plot", role="img", aria_label=label),
        element("figcaption", caption),
    )
