"""A scan as one HTML page that loads nothing: findings with the code of their functions."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from avatar_optuna import __version__
from avatar_optuna.scan._findings import Place, ScanReport
from avatar_optuna.scan.renderers._text import heading, said, summary
from avatar_optuna.templates import environment_of

_SHOWN = 500
_LINES = 80
_PLACES = 12


def html(report: ScanReport) -> str:
    """The page; the code is read again from the files of the scanned folder."""
    folder = Path(report.folder)
    return (
        environment_of("avatar_optuna.scan.renderers", is_html=True)
        .get_template("scan.html")
        .render(
            report=report,
            findings=report.findings[:_SHOWN],
            most_places=_PLACES,
            summary=list(summary(report)),
            heading=heading,
            said=said,
            code=lambda place: _code(folder, place),
            version=__version__,
            written_utc=datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        )
    )


def _code(folder: Path, place: Place) -> str:
    """The first lines of a function as its file holds them now, nothing where it cannot be read."""
    try:
        lines = (folder / place.file).read_bytes().decode(errors="replace").split("\n")
    except OSError:
        return ""
    shown = lines[place.line - 1 : min(place.end_line, place.line - 1 + _LINES)]
    more = place.end_line - place.line + 1 - len(shown)
    return "\n".join([*(line.rstrip("\r") for line in shown), *([f"... {more:,} more lines"] if more > 0 else [])])
