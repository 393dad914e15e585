"""Hooks of the documentation site (``mkdocs.yml``)."""

import html
import re

from latex2mathml.converter import convert

FORMULA = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', flags=re.S)


def on_page_content(content: str, **_: object) -> str:
    """Render formulas as MathML, which browsers show without a script or a font from the network."""
    return FORMULA.sub(_to_mathml, content)


def _to_mathml(formula: re.Match[str]) -> str:
    display = "block" if formula[1] == "div" else "inline"
    mathml: str = convert(html.unescape(formula[2]), display=display)
    return f'<div class="formula">{mathml}</div>' if formula[1] == "div" else mathml
