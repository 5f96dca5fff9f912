"""The commands that only show something: ``grids``, ``settings``, ``describe`` and ``doctor``."""

from typing import Annotated, Any

from p2pbench.cli import render
from p2pbench.cli.options import Json, ProtocolOrNone, Sets, WeightsDir, answer, layers_of, parameter
from p2pbench.errors import ConfigError
from p2pbench.system.console import out


def grids(name: Annotated[str | None, parameter("grids", "name")] = None, as_json: Json = False) -> None:
    """List the grids and protocols that come with p2pbench, or show one grid: factors, levels, settings."""
    from p2pbench.config.shipped import shipped_files
    from p2pbench.study.grid import read_grid, read_protocol

    if name is not None:
        document = _grid_document(name)
        answer(document, as_json)
        render.show_grid(document)
        return
    rows = []
    for shipped in shipped_files(""):
        grid = read_grid(shipped)
        about = {"question": grid.question, "variants": len(grid.variants())}
        rows.append({"name": shipped, **about, "published": grid.published, "protocol": grid.protocol})
    protocols = [{"name": shipped, "about": read_protocol(shipped).about} for shipped in shipped_files("protocols")]
    answer({"grids": rows, "protocols": protocols}, as_json)
    render.show_grids(rows, protocols)


def _grid_document(name: str) -> dict[str, Any]:
    from p2pbench.config.shipped import published_tables
    from p2pbench.study.grid import read_grid

    grid = read_grid(name)
    table = published_tables()[grid.published] if grid.published else None
    return {
        "name": grid.name,
        "question": grid.question,
        "variants": len(grid.variants()),
        "published": grid.published,
        "published_title": f"{table.title} ({table.source})" if table else None,
        "protocol": grid.protocol,
        "seeds": grid.seeds,
        "baseline": grid.baseline,
        "factors": {
            factor: [
                {"label": level.label, "settings": level.settings, "source": level.source or None} for level in levels
            ]
            for factor, levels in grid.factors.items()
        },
        "settings": grid.settings,
    }


def settings(key: Annotated[str | None, parameter("settings", "key")] = None, as_json: Json = False) -> None:
    """List every setting with its meaning, its default and the values it takes."""
    from p2pbench.config.resolve import unknown_setting
    from p2pbench.config.setting_docs import setting_docs

    chosen = [about for about in setting_docs() if key in (None, about.key, about.key.split(".")[0])]
    if not chosen:
        raise ConfigError(unknown_setting(str(key)))
    answer({"settings": [about.to_json() for about in chosen]}, as_json)
    render.show_settings(chosen)


def describe(protocol: ProtocolOrNone = None, sets: Sets = None, as_json: Json = False) -> None:
    """Show the layers of both networks: shapes, parameters, FLOPs, receptive field."""
    from p2pbench.config.resolve import resolve

    config = resolve(layers_of(protocol, sets)).config

    from p2pbench.models.describe import describe as describe_networks

    document = describe_networks(config)
    answer(document, as_json)
    render.show_networks(document, config)


def doctor(weights_dir: WeightsDir = None, as_json: Json = False) -> None:
    """Show what this machine has (versions, device, precision, weights, disk), and what is untested on it."""
    from p2pbench.cli.doctor import examine

    document = examine(weights_dir)
    answer(document, as_json)
    for title, rows in document.items():
        out.print(f"[bold]{title}[/bold]")
        out.print(render.facts_table(rows))
