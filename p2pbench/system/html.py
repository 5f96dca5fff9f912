"""Texts and self-contained HTML pages from templates, for reports and explorations."""

import base64
from pathlib import Path
from typing import Any
from urllib.parse import quote


def render(template: Path, **values: Any) -> str:
    """``template`` filled with ``values``, which are escaped in HTML; a value that is missing is an error."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=jinja2.select_autoescape(["html"]),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template.name).render(**values)


def data_url(path: Path) -> str:
    """The picture at ``path`` as an address that holds it, so that the page needs no file beside it."""
    if path.suffix == ".svg":  # as text: a third shorter than in base64
        return "data:image/svg+xml," + quote(path.read_text(encoding="utf-8"), safe=" /:;=,.-_~!*()[]{}|^@$+?")
    return address(path.read_bytes(), {".jpg": "jpeg"}.get(path.suffix, "png"))


def address(content: bytes, kind: str) -> str:
    """The address that holds a picture, given its bytes and the ``kind`` of its MIME type, ``image/KIND``."""
    return f"data:image/{kind};base64," + base64.b64encode(content).decode()
