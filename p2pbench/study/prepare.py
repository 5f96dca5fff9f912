"""What all cells of a study need, done once before any of them starts: data decoded, networks fetched and trained."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from p2pbench.config.metrics import FCN_SCORES, METRICS
from p2pbench.config.schema import RunConfig
from p2pbench.data.cache import decoded
from p2pbench.data.dataset import DataSet, left_out, open_dataset
from p2pbench.errors import WeightsError
from p2pbench.scoring import weights
from p2pbench.system.console import escape
from p2pbench.system.progress import counted


def check_devices(configs: Sequence[RunConfig]) -> None:
    """Check that this machine has the devices on which cells are to be trained, before anything else takes time.

    Raises:
        ConfigError: it has not.
    """
    named = {config.training.device for config in configs} - {"cpu"}
    # Where auto finds a GPU that cannot be used, the first cell says so as soon: torch takes seconds to be imported.
    if not any(set(FCN_SCORES) & set(config.scoring.wanted) for config in configs):
        named -= {"auto"}
    if not named:
        return
    from p2pbench.training.device import available_device

    for device in sorted(named):
        available_device(device)


def decode_data(configs: Sequence[RunConfig], console: Console) -> None:
    """Decode the pairs of ``configs`` into the cache.

    Raises:
        DataError: an image cannot be read, or the two of a pair differ in size.
    """
    curves = {config.data for config in configs if config.scoring.every}
    for data in dict.fromkeys(config.data for config in configs):
        dataset = open_dataset(data)
        say_left_out(dataset, console)
        if data in curves and "val" not in dataset.names:
            console.print(
                f"[yellow]no scores while training:[/yellow] {escape(data.source)} has no validation split for "
                "scoring.every",
                soft_wrap=True, highlight=False,
            )  # fmt: skip
        for split in dataset.names:
            with counted(console, f"decode {split}", "pairs") as progress:
                decoded(dataset, split, progress)


def say_left_out(dataset: DataSet, console: Console) -> None:
    """Warn of images and files in the folder of the data set that are in no pair."""
    if words := left_out(dataset):
        console.print(f"[yellow]warning:[/yellow] {escape(words)}", soft_wrap=True, highlight=False)


def fetch_weights(configs: Sequence[RunConfig], weights_dir: Path | None, console: Console) -> bool:
    """Have the pretrained networks here that the scores and trainings of ``configs`` need; returns whether any was
    fetched."""
    asked = (name for config in configs for name in (*config.scoring.wanted, config.training.select))
    names = dict.fromkeys(name for name in asked if name in METRICS)
    of_trainings = dict.fromkeys(net for config in configs for net in config.pretrained)
    fetched, problems = False, []
    for net in dict.fromkeys((*of_trainings, *(net for name in names if (net := METRICS[name].net)))):
        absent = weights.locate(net, weights_dir) is None
        try:
            with counted(console, f"fetch {weights.NETS[net].about}", "MB") as progress:
                weights.obtain(net, weights_dir, progress=progress)
            fetched = fetched or absent
        except WeightsError as error:
            if net in of_trainings:
                lacking = f"[yellow]missing for training:[/yellow] {escape(str(error))}"
                console.print(lacking, soft_wrap=True, highlight=False)
            scores, (reason, *_) = [name for name in names if METRICS[name].net == net], str(error).split(";")
            problems += [f"{', '.join(scores)}: {reason}"] if scores else []
    if problems:  # each score keeps its reason in full
        console.print(
            f"[yellow]not measured:[/yellow] {escape('; '.join(problems))}. `p2pbench weights list` says which files "
            "to put where, and `ablate` again adds the scores",
            soft_wrap=True, highlight=False,
        )  # fmt: skip
    return fetched


def train_segmentation(configs: Sequence[RunConfig], console: Console) -> None:
    """Train the segmentation networks that FCN-scores look through, and say what they make of the real photographs."""
    asked = [config for config in configs if set(FCN_SCORES) & set(config.scoring.wanted)]
    if not asked:
        return
    import torch

    from p2pbench.scoring.segmentation import NoReader, find_reader

    said: dict[str, None] = {}
    for config in {(c.data, c.scoring.palette): c for c in asked}.values():
        with counted(console, "segmentation network", "steps") as progress:
            # On the CPU: a CUDA context would stay in this process, which trains nothing.
            reader = find_reader(open_dataset(config.data), config.scoring.palette, torch.device("cpu"), progress)
        if isinstance(reader, NoReader):
            said[f"[yellow]not measured:[/yellow] {', '.join(FCN_SCORES)}: {escape(reader.reason)}"] = None
        elif ceilings := reader.ceilings:
            values = ", ".join(f"{METRICS[name].label} {value:.3f}" for name, value in ceilings.items())
            said[f"the real photos, by the segmentation network: {values}"] = None
    for line in said:
        console.print(line, soft_wrap=True, highlight=False)
