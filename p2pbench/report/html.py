"""One HTML text from a template, self-contained and escaped: what reports and explorations share."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any


def render(template: Path, **values: Any) -> str:
    """``template`` filled with ``values``, escaped; a value that it names and that is not given is an error."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    return environment.get_template(template.name).render(**values)


def data_url(path: Path) -> str:
    """The picture at ``path`` as an address that needs no file beside the page."""
    return address(path.read_bytes(), {".svg": "svg+xml", ".jpg": "jpeg"}.get(path.suffix, "png"))


def address(content: bytes, kind: str) -> str:
    """Likewise of a picture's bytes; ``kind`` is of the MIME type ``image/KIND``."""
    return f"data:image/{kind};base64," + base64.b64encode(content).decode()
