"""The training of the segmentation network of the FCN-scores, to the same bits on every machine.

Scores that two networks read are not compared, so a laptop's study can be compared with a GPU machine's only where
theirs is one network. A process of its own trains it on the CPU, with AVX2 instructions and with threads whose number
the size decides. Another number gives other bits, so does AVX-512, and a GPU gives others each time. With one version
of torch, Linux machines whose processors have AVX2 give the same.
"""

import os
import subprocess
import sys
import threading
from contextlib import suppress

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from p2pbench.data.batches import plan_epoch
from p2pbench.data.transforms import to_network
from p2pbench.errors import TrainingError
from p2pbench.models.unet import UNet
from p2pbench.system.hardware import has_avx2, keep_freed_memory, with_large_pages
from p2pbench.system.progress import Count

SEED = 0
STEPS = 1200
"""Tried on facades at 64x64, class IoU of the validation photographs: 0.159 after 600 steps, 0.192 after 1,200, 0.196
with what is read in the mirrored photographs averaged in; a second training gave 0.191, so less than 0.005 is chance.
Cutting and colouring them otherwise in each step (0.189) is no better, nor are twice the steps of half the batch
(0.185), which take 1.5 times as long. What three networks read, averaged, gave 0.006 more than the mean of one (0.009
at 128x128, where single ones lie 0.009 apart), in three times the time: not enough to make all scores by the one
network others."""
BATCH_SIZE = 8
WIDTH = 16
"""Channels after the first convolution, and of the class head's input."""
MOST_DEPTH = 6
LEARNING_RATE = 4e-3
"""The highest rate: it rises for a tenth of the steps and falls to nothing (one cycle, Smith and Topin 2018)."""

WEIGHT_DECAY = 1e-4
ONE_THREAD = 64 * 64
"""The most pixels that one thread learns from; for more there are two, whatever the machine. A second one saved a sixth
of the time at 64x64 and two fifths at 128x128. The networks of the committed studies were trained so."""
INSTRUCTIONS = {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}
"""What torch looks at when it is imported; on a processor without them these would end it."""
RECIPE = (SEED, STEPS, BATCH_SIZE, WIDTH, MOST_DEPTH, LEARNING_RATE, ONE_THREAD, *INSTRUCTIONS.values())
"""What decides the bits of a network, beside photographs and classes."""

WEIGHTS_FOLLOW = b"weights\n"


def build(n_classes: int, shape: tuple[int, int]) -> nn.Module:
    """The network, initialised from ``SEED``: (N, 3, H, W), float in [-1, 1], to class scores (N, K, H, W)."""
    depth = min(MOST_DEPTH, min(shape).bit_length() - 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)  # with PyTorch's own initialisation it learns faster than with the paper's 0.02
        body = UNet(
            3, WIDTH, ngf=WIDTH, depth=depth, skips=True, dropout="none", norm="batch", upsampling="transposed",
            bias=False,
        )  # fmt: skip
        return nn.Sequential(body, nn.Conv2d(WIDTH, n_classes, 1))


def train(photos: np.ndarray, classes: np.ndarray, n_classes: int, steps: int, progress: Count) -> nn.Module:
    """A network trained with cross-entropy, half of the photographs mirrored.

    Args:
        photos: (N, H, W, 3), uint8.
        classes: the true class of each pixel, (N, H, W), uint8; ``n_classes`` is void, which is ignored.
    """
    network = build(n_classes, photos.shape[1:3])
    optimiser = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps, pct_start=0.1)
    size = min(BATCH_SIZE, len(photos))
    steps_per_epoch = len(photos) // size
    for step in range(steps):
        epoch, position = divmod(step, steps_per_epoch)
        plan = plan_epoch(len(photos), seed=SEED, epoch=epoch, margin=(0, 0), mirror=True)
        now = slice(position * size, (position + 1) * size)
        chosen, mirrored = plan.pair[now], plan.mirror[now, None, None].astype(bool)
        shown, true = photos[chosen], classes[chosen]
        shown = np.where(mirrored[..., None], shown[:, :, ::-1], shown)
        true = np.where(mirrored, true[:, :, ::-1], true)
        scores = network(to_network(torch.from_numpy(shown).permute(0, 3, 1, 2).contiguous()))
        loss = cross_entropy(scores, torch.from_numpy(true).long(), ignore_index=n_classes)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        progress(step + 1, steps)
    return network.eval()


def read(network: nn.Module, images: np.ndarray, device: torch.device) -> np.ndarray:
    """The likeliest class of each pixel, in the mean of what is read in the image and in its mirror image.

    Takes (N, H, W, 3), uint8, and gives (N, H, W), uint8.
    """
    found = []
    with torch.inference_mode():
        for start in range(0, len(images), BATCH_SIZE):
            batch = torch.from_numpy(np.array(images[start : start + BATCH_SIZE])).to(device).permute(0, 3, 1, 2)
            shown = to_network(batch)
            likely = network(shown).softmax(dim=1) + network(shown.flip(3)).softmax(dim=1).flip(3)
            found.append(likely.argmax(dim=1).to(torch.uint8).cpu().numpy())
    return np.concatenate(found)


def train_apart(
    photos: np.ndarray, classes: np.ndarray, n_classes: int, test: np.ndarray, progress: Count
) -> tuple[dict[str, Tensor], np.ndarray]:
    """:func:`train` for ``STEPS`` steps and :func:`read` ``test``, in a process of its own, to the same bits.

    Args:
        photos, classes, n_classes: as :func:`train` takes them.
        test: (M, H, W, 3), uint8.
    Returns:
        The weights, and the class of each pixel of ``test``, (M, H, W), uint8.
    Raises:
        TrainingError: the process ended without them.
    """
    arrays = {"photos": photos, "classes": classes, "test": test}
    sent = save({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})
    command = [sys.executable, "-m", "p2pbench.scoring.segmenter_training", str(n_classes), str(STEPS)]
    environment = {
        **os.environ, **with_large_pages(), **(INSTRUCTIONS if has_avx2() else {}),
        "OMP_NUM_THREADS": "1" if photos[0, ..., 0].size <= ONE_THREAD else "2",
    }  # fmt: skip
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment,
        start_new_session=True,  # Ctrl-C reaches this process alone, which closes the input
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        with suppress(BrokenPipeError):  # it has ended already, and its exit code says so
            process.stdin.write(len(sent).to_bytes(8, "big"))
            process.stdin.write(sent)  # not joined: all photographs would be copied once more
            process.stdin.flush()
        for line in process.stdout:
            if line == WEIGHTS_FOLLOW:
                break
            progress(int(line), STEPS)
        received = process.stdout.read()
    if process.returncode != 0:
        raise TrainingError(
            f"the training of the segmentation network of FCN-scores ended with exit code {process.returncode}; run "
            "this again, or leave fcn-pixel, fcn-class and fcn-iou out of the scores"
        )
    weights = load(received)
    return weights, weights.pop("found").numpy()


def main() -> None:
    """Take arrays from the standard input; write each step, and then the weights and what was read, to the output."""
    n_classes, steps = map(int, sys.argv[1:])
    keep_freed_memory()
    given, said = sys.stdin.buffer, sys.stdout.buffer
    arrays = {name: t.numpy() for name, t in load(given.read(int.from_bytes(given.read(8), "big"))).items()}
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def progress(done: int, _of: int) -> None:
        said.write(b"%d\n" % done)
        said.flush()

    network = train(arrays["photos"], arrays["classes"], n_classes, steps, progress)
    found = torch.from_numpy(read(network, arrays["test"], torch.device("cpu")))
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    said.write(WEIGHTS_FOLLOW + save({**weights, "found": found}))
    said.flush()
    os._exit(0)  # a thread still waits for the input


def _end_with_parent() -> None:
    """End this process when its input ends, as it does with the process at the other end, however that went."""
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    main()
