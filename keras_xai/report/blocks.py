"""Blocks of a page: statements in frames, and pictures or colored words below bars."""

import dataclasses
import html
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from keras_xai.data.checks import check_choice, check_instance, check_text, is_number
from keras_xai.report.colors import SIGNED
from keras_xai.report.words import word_html
from keras_xai.results.text import encodable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# How good something is, by a color.
_LEVELS = ("", "good", "fair", "poor")

BLOCK_STYLE = """
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(14rem, 100%), 1fr)); gap: .9rem; margin: 1.2rem 0 1.5rem; }
.card { border: 1px solid #e0e4e8; border-top: 4px solid #a9b1ba; border-radius: 8px; padding: .7rem 1rem .9rem; }
.card.good { border-top-color: #1b7f79; } .card.fair { border-top-color: #c98a1b; } .card.poor { border-top-color: #b3392f; }
.card .label { color: #474f58; font-size: .9rem; margin: 0; }
.card .value { font-size: 1.15rem; font-weight: 600; line-height: 1.35; margin: .1rem 0 .35rem; }
.card .note { font-size: .92rem; line-height: 1.45; margin: 0; }
.case { border: 1px solid #e0e4e8; border-radius: 8px; padding: .9rem 1.1rem 1rem; margin: 0 0 1rem; }
.case h3 { margin: 0 0 .2rem; } .case .note { font-size: .92rem; margin: 0 0 .6rem; } .case .note { color: #474f58; }
.case .note.good { color: #12645f; } .case .note.fair { color: #8a5a05; } .case .note.poor { color: #a12b22; font-weight: 600; }
.words { display: grid; grid-template-columns: 10rem 1fr; gap: .2rem 1rem; line-height: 1.8; margin: .3rem 0; }
.words b { font-size: .88rem; font-weight: 600; color: #474f58; padding-top: .1rem; line-height: 1.5; overflow-wrap: anywhere; }
@media (max-width: 40rem) { .words { grid-template-columns: 1fr; } }
.words span span { box-decoration-break: clone; -webkit-box-decoration-break: clone; }
.case figure { margin: .8rem 0 0; }
.case .bars { grid-template-columns: repeat(auto-fill, minmax(min(15rem, 100%), 1fr)); gap: .5rem 1.6rem; margin-bottom: .9rem; }
.bars { display: grid; gap: .5rem; font-size: .92rem; margin: .4rem 0; max-width: 52rem; }
.bars .bar { display: grid; grid-template-columns: 1fr auto; gap: 0 .8rem; }
.bars .track { grid-column: 1 / -1; height: .45rem; border-radius: .25rem; background: #e8ebee; overflow: hidden; }
.bars .fill { height: 100%; border-radius: .25rem; background: #8fa3b8; } .bars .bar:first-child .fill { background: #2f6fd0; }
.bars .amount { font-variant-numeric: tabular-nums; }
@media print { .card, .case { break-inside: avoid; } }
""".strip()


@dataclasses.dataclass(frozen=True)
class Card:
    """A short statement in a frame.

    Attributes:
        label: What it is about.
        value: The statement, in a few words.
        note: What it is based on.
        level: `"good"`, `"fair"` or `"poor"` for a colored edge; `""` for a gray one.
    """

    label: str
    value: str
    note: str = ""
    level: str = ""

    def __post_init__(self):
        for name in ("label", "value", "note"):
            check_text(name, getattr(self, name))
        check_choice("level", self.level, _LEVELS)


@dataclasses.dataclass(frozen=True)
class Case:
    """A picture, or colored words, below named bars, with a title.

    Attributes:
        title: The title.
        figure: A matplotlib figure; `None` for none.
        bars: Names, lengths from 0 to 1, and the amounts as text.
        words: Names, each with words and their values from -1 to 1, by which they are colored.
        note: A line below the title.
        level: `"good"`, `"fair"` or `"poor"` for a colored note; `""` for a gray one.
        caption: Description of the picture.
    """

    title: str
    figure: "Figure | None" = None
    bars: Sequence[tuple[str, float, str]] = ()
    words: Sequence[tuple[str, Sequence[tuple[str, float]]]] = ()
    note: str = ""
    level: str = ""
    caption: str = ""

    def __post_init__(self):
        for name in ("title", "note", "caption"):
            check_text(name, getattr(self, name))
        check_choice("level", self.level, _LEVELS)
        if self.figure is not None:
            check_figure("figure", self.figure)
        _check_bars(self.bars)
        for named in items("words", self.words):
            _, *several = cells("words", named)
            pairs = [cells("words", pair) for each in several for pair in items("words", each)]
            if len(several) != 1 or any(len(pair) != 2 or not is_number(pair[1]) for pair in pairs):
                raise ValueError(
                    f"Expected `words` to be pairs of a name, and of words with values. Received: words={self.words!r}"
                )


def card_html(card: Card) -> str:
    """A card as HTML."""
    parts = [("label", card.label), ("value", card.value), *([("note", card.note)] if card.note else [])]
    inner = "".join(f'<p class="{name}">{escaped(text)}</p>' for name, text in parts)
    return f'<section class="{f"card {card.level}".strip()}">{inner}</section>'


def case_html(case: Case, figure: Sequence[str]) -> str:
    """A case as HTML, with its figure as HTML."""
    note = [f'<p class="{f"note {case.level}".strip()}">{escaped(case.note)}</p>'] if case.note else []
    texts = ['<div class="texts">', *(_words(*named) for named in case.words), "</div>"] if case.words else []
    bars = [bars_html(case.bars)] if case.bars else []
    lines = ['<section class="case">', f"<h3>{escaped(case.title)}</h3>", *note]
    return "\n".join([*lines, *bars, *texts, *figure, "</section>"])


def items(name: str, value: Any) -> list:
    """A list of what an argument iterates over, which must not be a string."""
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise TypeError(f"Expected `{name}` to be a list. Received: {name}={value!r}")
    return list(value)


def cells(name: str, row: Any) -> tuple:
    """The cells of a row."""
    return tuple(items(name, row))


def check_figure(name: str, figure: Any) -> None:
    """Refuses what is not a matplotlib figure."""
    from matplotlib.figure import Figure

    check_instance(name, figure, Figure, "a matplotlib figure")


def escaped(text: Any) -> str:
    """Text in which HTML is escaped."""
    return html.escape(encodable(str(text)))


def _check_bars(bars):
    if any(len(cells("bars", bar)) != 3 or not is_number(bar[1]) for bar in items("bars", bars)):
        raise ValueError(f"Expected `bars` to be triples of a name, a length and an amount. Received: bars={bars!r}")


def bars_html(bars: Iterable[tuple[str, float, str]]) -> str:
    """Named bars as HTML, see `Case`."""
    bars = items("bars", bars)
    _check_bars(bars)
    lines = [
        f'<div class="bar"><span>{escaped(name)}</span><span class="amount">{escaped(amount)}</span><div class="track">'
        f'<div class="fill" style="width: {100 * min(max(float(length), 0), 1):.1f}%"></div></div></div>'
        for name, length, amount in bars
    ]
    return "\n".join(['<div class="bars">', *lines, "</div>"])


def _words(name, words):
    """A line of words on backgrounds in the colors of their values, which a pointer that rests on them tells."""
    spans = [word_html(str(word), value, SIGNED.of(value, 1.0)) for word, value in words]
    return f'<div class="words"><b>{escaped(name)}</b><span>{" ".join(spans)}</span></div>'
