"""Every score that can be measured, a reason for every other one, and no number that lies."""

from __future__ import annotations

import json

import numpy as np
import pytest

from p2pbench.config.metrics import FCN_SCORES, METRICS, Metric, Score
from p2pbench.config.metrics import METRICS as CONFIG_METRICS
from p2pbench.errors import NotFinite
from p2pbench.scoring import images as module
from p2pbench.scoring import paired, weights
from p2pbench.scoring.evaluate import evaluate
from p2pbench.scoring.images import Images, LazyImages


def images(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)


def test_a_score_says_all_that_is_documented() -> None:
    found = evaluate(images(4), images(4, 1), list("abcd"), ["l1", "ssim"], fetch=False, settings={"inference": "x"})
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert document["n"] == 4
    for name in ("l1", "ssim"):
        score = document["scores"][name]
        assert set(score) >= {"value", "low", "high", "n", "unit", "better", "settings", "state", "reason"}
        assert score["state"] == "measured"
        assert score["low"] < score["value"] < score["high"]
        assert score["settings"]["inference"] == "x"
    assert document["scores"]["ssim"]["settings"]["sigma"] == 1.5
    rows = found.to_frame().to_csv(index=False).splitlines()
    assert rows[0] == "image,l1,ssim"
    assert len(rows) == 5
    assert np.mean([float(row.split(",")[1]) for row in rows[1:]]) == pytest.approx(document["scores"]["l1"]["value"])


def test_the_images_of_each_batch_are_counted() -> None:
    counts: list[tuple[int, int]] = []
    evaluate(images(70), images(70, 1), list(map(str, range(70))), ["l1"], progress=lambda *count: counts.append(count))
    assert counts == [(32, 70), (64, 70), (70, 70)]


def test_without_weights_the_rest_goes_on_and_says_why() -> None:
    found = evaluate(images(6), images(6, 1), list("abcdef"), list(METRICS), fetch=False, redraw=lambda k: images(6, k))
    assert list(found.scores) == list(METRICS)
    for name, score in found.scores.items():
        if name in FCN_SCORES:
            assert "label maps" in str(score.reason)
        elif METRICS[name].least_side > 32:
            assert score.reason == "needs images of 161 pixels a side or more; these have 32"
        elif METRICS[name].net is None:
            assert score.state == "measured"
        else:
            assert score.state == "not measured"
            assert score.value is None
            assert "--weights-dir" in str(score.reason)


def test_diversity_needs_a_model_to_draw_from() -> None:
    found = evaluate(images(4), images(4, 1), list("abcd"), ["diversity"], fetch=False)
    assert "needs a model" in str(found.scores["diversity"].reason)
    asked: list[int] = []

    def redraw(k: int) -> np.ndarray:
        asked.append(k)
        return images(4, k)

    found = evaluate(images(4), images(4, 1), list("abcd"), ["diversity"], fetch=False, redraw=redraw)
    assert asked == [0, 1, 2, 3]
    assert found.scores["diversity"].settings.items() >= {"draws": 4, "distance": "l1", "interval": "t"}.items()


def test_identical_images_have_no_psnr_and_say_so() -> None:
    same = images(3)
    found = evaluate(same, same, list("abc"), ["l1", "psnr", "ssim"])
    assert found.scores["psnr"].value is None
    assert found.scores["psnr"].reason == "3 of 3 images are identical to their targets"
    assert found.scores["l1"].value == 0.0
    assert found.scores["ssim"].value == 1.0
    assert found.to_frame().to_csv(index=False).splitlines()[1] == "a,0.0,,1.0"
    json.dumps(found.to_json(), allow_nan=False)


def test_an_image_without_a_finite_value_costs_that_image_alone() -> None:
    fakes, targets = images(4), images(4, 1)
    fakes[2] = targets[2]
    found = evaluate(fakes, targets, list("abcd"), ["psnr"])
    kept = evaluate(fakes[[0, 1, 3]], targets[[0, 1, 3]], list("abd"), ["psnr"])
    psnr = found.scores["psnr"]
    assert (psnr.value, psnr.low, psnr.n) == (kept.scores["psnr"].value, kept.scores["psnr"].low, 3)
    assert psnr.notes == ("1 of 4 images are identical to their targets and are left out",)
    assert np.isnan(found.to_frame()["psnr"]).tolist() == [False, False, True, False]


def test_one_image_has_a_value_but_no_interval() -> None:
    found = evaluate(images(1), images(1, 1), ["a"], ["l1", "fid"], fetch=False)
    assert found.scores["l1"].value is not None
    assert found.scores["l1"].low is None
    assert found.scores["l1"].reason == "one image has no interval"
    assert found.scores["fid"].reason == "needs 4 images or more; there are 1"


def test_images_too_small_for_a_score_are_said_to_be() -> None:
    small = images(4)[:, :8, :8]
    found = evaluate(small, images(4, 1)[:, :8, :8], list("abcd"), ["l1", "ssim", "lpips"], fetch=False)
    assert found.scores["l1"].value is not None
    assert found.scores["ssim"].reason == "needs images of 11 pixels a side or more; these have 8"
    assert found.scores["lpips"].reason == "needs images of 31 pixels a side or more; these have 8"


@pytest.mark.parametrize("fake", [images(2)[:, :8], images(3), images(2).astype(np.float32)])
def test_images_of_another_kind_are_refused(fake: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8 images of one shape"):
        evaluate(fake, images(2), ["a", "b"], ["l1"])


def test_scores_do_not_depend_on_the_order_of_images() -> None:
    a, b = images(6), images(6, 1)
    order = [4, 1, 5, 0, 3, 2]
    one = evaluate(a, b, list("abcdef"), ["l1", "psnr", "ssim"])
    other = evaluate(a[order], b[order], list("abcdef"), ["l1", "psnr", "ssim"])
    for name, score in one.scores.items():
        assert score.value == pytest.approx(other.scores[name].value, rel=1e-12)


def test_batches_give_the_bits_that_the_whole_set_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """And each image is asked for once."""
    a, b, draws = images(7), images(7, 1), [images(7, 2 + k) for k in range(4)]
    asked: list[tuple[str, int, int]] = []

    def made(name: str, whole: np.ndarray) -> Images:
        def make(start: int, stop: int) -> np.ndarray:
            asked.append((name, start, stop))
            return whole[start:stop]

        return LazyImages(whole.shape, make)

    monkeypatch.setattr(module, "BATCH_PIXELS", 3 * 32 * 32)
    found = evaluate(
        made("fakes", a), made("targets", b), list("abcdefg"), ["l1", "psnr", "ssim", "sharpness", "diversity", "swd"],
        fetch=False, redraw=lambda k: made(f"draw {k}", draws[k]),
    )  # fmt: skip
    for name in ("l1", "psnr", "ssim", "sharpness"):
        assert found.per_image[name].tolist() == getattr(paired, name)(a, b).tolist()
    assert found.per_image["diversity"].tolist() == paired.diversity(draws).tolist()
    sides = ("fakes", "targets", "draw 0", "draw 1", "draw 2", "draw 3")
    assert sorted(asked) == sorted((side, *rows) for side in sides for rows in ((0, 3), (3, 6), (6, 7)))


def test_a_generator_that_gives_nan_has_no_score_and_says_so() -> None:
    def broken(start: int, stop: int) -> np.ndarray:
        raise NotFinite("the generator gives NaN or infinity")

    found = evaluate(
        LazyImages((5, 32, 32, 3), broken), images(5), list("abcde"), ["l1", "swd", "absent:score"], fetch=False
    )
    assert {score.reason for score in found.scores.values()} == {"the generator gives NaN or infinity"}
    assert [score.state for score in found.scores.values()] == ["not measured"] * 3
    assert found.to_frame().columns.tolist() == ["image"]
    json.dumps(found.to_json(), allow_nan=False)


def test_every_measured_score_names_its_library() -> None:
    metrics = [name for name, metric in METRICS.items() if metric.net is None and metric.least_side <= 32]
    found = evaluate(images(4), images(4, 1), list("abcd"), metrics, fetch=False, redraw=lambda k: images(4, k))
    for name in set(metrics) - set(FCN_SCORES):
        assert found.scores[name].settings["library"].split()[0] in ("numpy", "scikit-image")


def test_every_net_that_a_metric_needs_is_known() -> None:
    assert CONFIG_METRICS is METRICS
    assert {metric.net for metric in METRICS.values()} - {None} <= set(weights.NETS)
    assert Score("l1", 3).state == "not measured"
    for name, interval, cut in (("ssim", (-1.4, 1.2), (-1.0, 1.0)), ("l1", (-0.1, 0.3), (0.0, 0.3))):
        found = Score(name, 3, 0.1, *interval).to_json()
        assert (found["low"], found["high"]) == cut
    own = Score("mine:gain", 3, -2.0, -3.0, -1.0, about=Metric("gain", "", "higher", least=None)).to_json()
    assert (own["low"], own["high"]) == (-3.0, -1.0)
