"""The program: its commands, what is printed when one fails, and its exit code."""

import os
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from p2pbench.cli import bench, model, report, show
from p2pbench.cli.ablate import ablate
from p2pbench.cli.board import board
from p2pbench.cli.data import data_app
from p2pbench.cli.runs import runs_app
from p2pbench.cli.study import study_app
from p2pbench.cli.weights import weights_app
from p2pbench.errors import Interrupted, P2PBenchError
from p2pbench.system.console import err, escape, out

# Without this pydantic looks through every installed package for plugins of its own before the first model.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


class _Program(TyperGroup):
    """Prints what went wrong on one line and exits with its code; a defect of ours keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except P2PBenchError as error:
            err.print(f"[bold red]error:[/bold red] {escape(str(error))}", soft_wrap=True)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            err.print("[yellow]interrupted[/yellow]")
            raise typer.Exit(Interrupted.exit_code) from None
        finally:
            out.quiet = False


app = typer.Typer(
    cls=_Program,
    help="Benchmark and ablation toolkit for paired image-to-image translation (pix2pix).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _program(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say on standard error what is being done, and where logs are.")
    ] = False,
) -> None:
    if verbose:
        from p2pbench.system.console import logged_to

        context.with_resource(logged_to(None))
    if version:
        from importlib.metadata import version as version_of

        print(f"p2pbench {version_of('p2pbench')}")
        raise typer.Exit


# In the order in which --help lists them: a study, one model, the rest.
COMMANDS: tuple[Callable[..., None], ...] = (
    ablate, report.report, board, show.grids, show.settings, model.train, model.score, model.translate, model.export,
    model.demo, show.describe, bench.bench, show.doctor,
)  # fmt: skip
for command in COMMANDS:
    app.command()(command)
app.add_typer(study_app, name="study")
app.add_typer(data_app, name="data")
app.add_typer(runs_app, name="runs")
app.add_typer(weights_app, name="weights")


def main() -> None:
    """Run the command that was typed; ``p2pbench.__main__`` calls it once it handles signals."""
    app(prog_name="p2pbench")
