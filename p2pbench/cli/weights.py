"""The commands of ``p2pbench weights``: list, fetch and verify the pretrained networks of scores and trainings."""

from typing import Annotated

import typer

from p2pbench.cli.options import Json, WeightsDir, answer, parameter
from p2pbench.system.console import err, escape, out

weights_app = typer.Typer(
    no_args_is_help=True, help="List, fetch and verify the pretrained networks of scores and trainings."
)


@weights_app.command("list")
def weights_list(weights_dir: WeightsDir = None, as_json: Json = False) -> None:
    """Show what each score and training needs, where it was found, whether it is right, and how to place it by hand."""
    from p2pbench.scoring.weights import inventory

    document = inventory(weights_dir)
    answer(document, as_json)
    for net in document["weights"]:
        colour = {"ready": "green", "wrong": "red", "missing": "yellow"}[net["state"]]
        out.print(f"[bold]{net['name']}[/bold]  [{colour}]{net['state']}[/{colour}]  {escape(net['about'])}")
        out.print(f"  for {', '.join(net['scores'])}")
        for setting in net["trainings"]:
            out.print(f"  for trainings with {setting}")
        if net["path"]:
            out.print(escape(f"  {net['path']}"), soft_wrap=True)
            out.print(f"  SHA-256 begins {net['sha256'][:12]}" if net["sha256"] else "  it cannot be read")
        if net["state"] != "ready":
            for word, (file, sha256) in zip(("wanted", "or"), net["files"].items(), strict=False):
                out.print(f"  {word}: {escape(file)}, SHA-256 begins {sha256[:12]}", soft_wrap=True)
                if word == "wanted":
                    out.print(f"  {net['megabytes']} MB, {escape(net['url'])}", soft_wrap=True)
    out.print("\nLooked for in these folders, in order (--weights-dir puts one before them):")
    for folder in document["search"]:
        out.print(escape(f"  {folder}"), soft_wrap=True)
    out.print("\nFetch one: p2pbench weights fetch NAME. Without a network: download the file")
    out.print("elsewhere and put it, under one of its names, into one of these folders; then")
    out.print("p2pbench weights verify.")


@weights_app.command("fetch")
def weights_fetch(
    names: Annotated[list[str], parameter("weights fetch", "names")],
    weights_dir: WeightsDir = None,
    as_json: Json = False,
) -> None:
    """Fetch pretrained networks that are not on this machine, and verify them."""
    from p2pbench.scoring import weights
    from p2pbench.system.progress import counted

    rows = []
    for name in weights.networks_of(names):
        title = f"fetching {name}" + ", MB" * err.is_terminal
        if weights.locate(name, weights_dir) is None:
            err.print(f"{name}: {weights.NETS[name].about}, {weights.NETS[name].megabytes} MB", markup=False)
        with counted(err, title, "MB") as progress:
            rows.append(weights.fetch(name, weights_dir, progress))
    answer({"weights": rows}, as_json)
    for row in rows:
        if row["state"] == "failed":
            err.print(f"[red]failed:[/red] {row['name']}: {escape(row['reason'])}", soft_wrap=True)
        else:
            out.print(escape(f"{row['name']}: {row['state']}, {row['path']}"), soft_wrap=True)
    if any(row["state"] == "failed" for row in rows):
        raise typer.Exit(3)


@weights_app.command("verify")
def weights_verify(weights_dir: WeightsDir = None, as_json: Json = False) -> None:
    """Compare every file of weights that is found with its published hash; exit code 3 if one is wrong."""
    from p2pbench.scoring.weights import verify_all

    rows = verify_all(weights_dir)
    answer({"weights": rows}, as_json)
    for row in rows:
        colour = "green" if row["state"] == "ready" else "red"
        out.print(f"[{colour}]{row['state']}[/{colour}]  {row['name']}  {escape(row['path'])}", soft_wrap=True)
        if row["reason"]:
            err.print(f"[red]wrong:[/red] {escape(row['reason'])}", soft_wrap=True)
    if not rows:
        out.print("no file of weights was found; p2pbench weights list says where they are looked for")
    if any(row["reason"] for row in rows):
        raise typer.Exit(3)
