"""Hooks of the documentation site (``mkdocs.yml``)."""

import html
import re
from dataclasses import fields
from typing import Any

from latex2mathml.converter import convert

from labelemb.losses.method import Method
from labelemb.methods import METHODS

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', flags=re.S)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill in the tables of methods from the registry."""
    tables = {"methods": _methods, "capabilities": _capabilities}
    return re.sub(r"<!-- table: (\w+) -->", lambda match: tables[match[1]](), markdown)


def on_page_content(content: str, **_: Any) -> str:
    """Render formulas as MathML, which browsers show without a script or a font from the network."""
    return FORMULA.sub(_to_mathml, content)


def _to_mathml(formula: re.Match[str]) -> str:
    display = "block" if formula[1] == "div" else "inline"
    mathml: str = convert(html.unescape(formula[2]), display=display)
    return f'<div class="formula">{mathml}</div>' if formula[1] == "div" else mathml


def _methods() -> str:
    rows = [
        [
            f"`{method.name}`<br>{method.title}",
            f"{html.escape(method.formula)}<br><small>{method.citation}</small>",
            _options(method),
        ]
        for method in METHODS.values()
    ]
    return _table(["`--method`<br>name in reports", "loss of an example, source", "options"], rows)


def _capabilities() -> str:
    def mark(value: bool) -> str:
        return "yes" if value else "–"

    rows = [
        [
            f"`{method.name}`",
            {"always": "yes", "from file": "with `--embedding`", "never": "–"}[method.mixed_targets],
            mark(method.needs_index),
            mark(method.has_state),
            mark(method.large_vocabulary),
            mark(method.chunked),
        ]
        for method in METHODS.values()
    ]
    head = [
        "`--method`",
        "mixup, CutMix",
        "sample indices",
        "keeps state",
        "large vocabulary",
        "`impl` other than eager",
    ]
    return _table(head, rows)


def _options(method: Method) -> str:
    """Return the options with their defaults; required ones have none."""
    texts = (
        f"`{one.name}`" if one.default is None else f"`{one.name}` {one.default:g}" for one in fields(method.options)
    )
    return "<br>".join(texts)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '&#124;') for cell in line)} |" for line in lines)
