"""What documents list is what the program has. To write ``ablations/settings.md`` anew, on purpose:
``P2PBENCH_WRITE_GOLDEN=1 pytest tests/test_documents.py``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from p2pbench.config.setting_docs import setting_docs
from p2pbench.config.shipped import shipped_files
from p2pbench.config.yaml12 import text_of
from p2pbench.study.grid import read_grid

ROOT = Path(__file__).parents[1]
HEAD = """# Every setting

A grid, a protocol and `--set` take these; `p2pbench settings KEY` shows one. The program made this page from its
schema.
"""


def settings_page() -> str:
    lines = [HEAD]
    section = ""
    for about in setting_docs():
        if (begins := about.key.split(".")[0]) != section:
            section = begins
            lines += ["", f"## {section}", "", "| setting | meaning | default | values |", "| --- | --- | --- | --- |"]
        defaults = [text_of(value) if value is not None else "null" for value in about.defaults.values()]
        shown = f"`{defaults[0]}`" + ("" if defaults[0] == defaults[1] else f"; preset `pytorch`: `{defaults[1]}`")
        cells = [f"`{about.key}`", about.meaning, shown, about.values]
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def test_the_page_of_settings_is_what_the_schema_says() -> None:
    file = ROOT / "ablations" / "settings.md"
    if os.environ.get("P2PBENCH_WRITE_GOLDEN"):
        file.write_text(settings_page(), encoding="utf-8")
    assert file.read_text(encoding="utf-8") == settings_page()


def test_the_index_of_grids_and_protocols_has_each_with_its_question() -> None:
    text = (ROOT / "ablations" / "README.md").read_text(encoding="utf-8")
    for name in shipped_files(""):
        (row,) = re.findall(rf"^\| \[`{name}`\]\({name}\.yaml\) \| (.*?) \|.*\(`(.*?)`\) \|$", text, re.MULTILINE)
        grid = read_grid(name)
        assert grid.question.startswith(row[0].split(" (")[0])
        assert row[1] == grid.protocol
    for name in shipped_files("protocols"):
        assert f"`{name}`" in text


def test_links_between_documents_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CHANGELOG.md", *ROOT.glob("ablations/*.md"), ROOT / "tests/README.md"]
    for page in [*pages, ROOT / "reports/README.md", ROOT / "reports/benchmarks/README.md"]:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if not link.startswith("http"):
                assert (page.parent / link).exists(), f"{page.name}: {link}"
