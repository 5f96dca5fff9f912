"""What a report says of differences: only what holds for other trainings, and how little that can be."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from report_records import study_of

from p2pbench.report.comparisons import Comparison, best, comparisons, with_baseline
from p2pbench.report.latex import to_latex
from p2pbench.report.notes import notes
from p2pbench.report.primary import foil_sentences, primary_metric, saturated
from p2pbench.report.records import StudyRecord
from p2pbench.report.summaries import summarise
from p2pbench.report.tables import printed, to_markdown, wide
from p2pbench.report.verdict import answer, by_score, headline, verdicts_json
from p2pbench.runs.records import Status
from p2pbench.statistics.comparison import holm
from p2pbench.statistics.trainings import over_trainings

IMAGES = np.random.default_rng(3).normal(0.4, 0.05, 30)


def scores(shift: float, seeds: int, key: int, spread: float = 0.01, n: int = 30) -> np.ndarray:
    """LPIPS of trainings whose recipe is ``shift`` worse; trainings of one recipe differ by ``spread``."""
    random = np.random.default_rng(key)
    of_seeds = random.normal(0, spread, (seeds, 1))
    return IMAGES[:n] + shift + of_seeds + random.normal(0, 0.01, (seeds, n))


def lpips(**variants: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    return {name: {"lpips": matrix} for name, matrix in variants.items()}


def judged(study: Any, variant: str, metric: str = "lpips") -> Comparison:
    found = with_baseline(study, variant, metric)
    assert found is not None
    return found


def test_five_trainings_of_one_recipe_are_not_told_apart() -> None:
    """Their images tell them apart: the test over images alone marked seven of ten such pairs."""
    study = study_of(lpips(a=scores(0, 5, 1), b=scores(0, 5, 2), c=scores(0, 5, 3)))
    for variant in "bc":
        found = judged(study, variant)
        assert (found.verdict, found.mark, found.p_images) == ("cannot tell", "", None)
        assert found.needed is not None and found.needed > 5
    assert best(study, "lpips") is None
    assert "cannot be told from a (about" in " ".join(answer(study))


def test_variants_that_cannot_be_told_share_a_clause_with_the_range_of_seeds_that_it_takes() -> None:
    study = study_of(lpips(a=scores(0, 5, 1), b=scores(0, 5, 2), c=scores(0, 5, 3), d=scores(0, 5, 4, spread=0.03)))
    b, c, d = (judged(study, variant).needed for variant in "bcd")
    assert b is not None and c is not None and d is None
    wanted = f"b, c and d cannot be told from a (about {min(b, c)} to more than 100 seeds would show a difference of"
    assert wanted in answer(study)[0]


def test_a_difference_of_recipes_is_marked_with_the_interval_that_it_stands_on() -> None:
    a, b = scores(0, 5, 1), scores(0.1, 5, 2)
    study = study_of(lpips(a=a, b=b))
    found, wanted = judged(study, "b"), over_trainings(b - a)
    assert (found.verdict, found.mark, found.better) == ("worse by more than the margin", "*", False)
    assert found.found is not None
    assert found.found[:3] == pytest.approx(wanted[:3])
    assert (found.found.low, found.found.high) == pytest.approx((wanted.low, wanted.high))
    assert found.p_raw == pytest.approx(wanted.p())
    assert found.p == found.p_raw  # one contrast: nothing to correct
    assert best(study, "lpips") == "a"
    assert "b is worse than a by more than the margin of 0.01; a is ahead of every other variant." in answer(study)[0]
    table: Any = printed(study).set_index("variant")
    assert "*" in table.loc["b", "LPIPS (alex) ↓"]
    document = json.loads(json.dumps(verdicts_json(study)))[0]
    assert document["p"] == document["p_raw"] == pytest.approx(wanted.p())
    assert (document["n_seeds"], document["n_images"], document["against"]) == (5, 30, "a")


def test_none_is_ahead_of_what_it_cannot_be_told_from() -> None:
    """Each pair by itself is below 0.05; corrected over nine contrasts none is, and the words are of those."""
    a = scores(0, 3, 1, spread=0) + np.array([[0.0], [0.02], [0.05]])
    others = {name: scores(0.13, 3, key, spread=0) for key, name in enumerate("bcdefghij", 2)}
    study = study_of(lpips(a=a, **others))
    assert all(judged(study, name).p_raw < 0.05 < judged(study, name).p for name in others)  # type: ignore[operator]
    assert best(study, "lpips") is None
    assert "ahead" not in " ".join(answer(study))
    two = study_of(lpips(a=a, b=others["b"]))
    assert best(two, "lpips") == "a"


@pytest.mark.parametrize("seeds", [1, 2])
def test_below_three_seeds_nothing_is_said_of_recipes(seeds: int) -> None:
    study = study_of(lpips(a=scores(0, seeds, 1), b=scores(0.1, seeds, 2)))
    found = judged(study, "b")
    assert (found.verdict, found.mark, found.p) == ("too few trainings", "†", None)
    assert best(study, "lpips") is None
    text = answer(study)[0]
    assert "there is no verdict" in text
    assert "it takes 3 or more" in text
    assert "these trainings of b are worse than those of a" in text
    assert "†" in to_markdown(study)
    assert "speaks of these trainings" in to_markdown(study)


def test_the_four_verdicts_and_their_families() -> None:
    variants = {
        "base": scores(0, 10, 1, 0.002), "far": scores(0.1, 10, 2, 0.002), "near": scores(0.005, 10, 3, 0.002),
        "same": scores(0.0001, 10, 4, 0.002), "wild": scores(0, 10, 5, 0.2), "beyond": scores(-0.013, 10, 6, 0.004),
    }  # fmt: skip
    study = study_of(lpips(**variants))
    verdicts = {c.variant: c.verdict for c in comparisons(study, "lpips")}
    assert verdicts == {
        "far": "worse by more than the margin",
        "near": "worse, by less than the margin",
        "same": "equal within the margin",
        "wild": "cannot tell",
        "beyond": "better",
    }
    raw = [over_trainings(matrix - variants["base"]).p() for name, matrix in variants.items() if name != "base"]
    adjusted = holm(p for p in raw if p is not None)
    assert [c.p for c in comparisons(study, "lpips")] == pytest.approx(adjusted.tolist())
    text = " ".join(answer(study))
    for clause in (
        "far is worse than base by more than the margin of 0.01",
        "near is worse than base, by less than the margin of 0.01",
        "same equals base within the margin of 0.01",
        "beyond is better than base",
        "wild cannot be told from base (to show a difference of 0.01 it would take more than 100 seeds)",
    ):
        assert clause in text


def test_a_grids_margin_replaces_the_scores_own() -> None:
    variants = lpips(a=scores(0, 10, 1, 0.002), b=scores(0.005, 10, 3, 0.002))
    assert judged(study_of(variants, margins={"lpips": 0.001}), "b").verdict == "worse by more than the margin"


def test_identical_variants_and_identical_values() -> None:
    same = scores(0, 5, 1)
    found = judged(study_of(lpips(a=same, b=same.copy())), "b")
    assert (found.verdict, found.p) == ("equal within the margin", 1)
    one_run = study_of(lpips(a=same, b=same.copy(), c=scores(0.1, 5, 2)), runs={"b": "a"})
    assert judged(one_run, "b").verdict == "one run"
    assert judged(one_run, "c").p == judged(one_run, "c").p_raw  # one run under two names is no test
    assert "b is the same run as a" in answer(one_run)[0]
    assert best(one_run, "lpips") == "a"


def test_one_outlier_among_the_seeds_makes_it_uncertain_and_no_winner() -> None:
    b = scores(0, 5, 2)
    b[3] += 0.4
    found = judged(study_of(lpips(a=scores(0, 5, 1), b=b)), "b")
    assert found.verdict == "cannot tell"


def test_what_an_unrelated_variant_lacks_changes_nothing_between_two_others() -> None:
    a, b, c = scores(0, 5, 1), scores(0.03, 5, 2), scores(0.05, 5, 3)
    whole = study_of(lpips(a=a, b=b, c=c))
    less = study_of(lpips(a=a, b=b, c=c[:4]), seeds={"c": [0, 1, 2, 3]}, failed={"c": [4]})
    one, other = judged(whole, "b"), judged(less, "b")
    assert one.found is not None and other.found is not None
    assert (one.found.value, one.p_raw) == (other.found.value, other.p_raw)
    assert best(whole, "lpips") == best(less, "lpips") == "a"
    found = judged(less, "c").found
    assert found is not None and found.n_seeds == 4


@pytest.mark.parametrize("left", [0, 1, 2, 4])
def test_a_contrast_that_lost_its_trainings_gives_the_others_no_mark(left: int) -> None:
    """Alone b's p would be below 0.05; it is one of two contrasts, whatever became of the other."""
    a, b, c = scores(0, 5, 1), scores(0.017, 5, 2), scores(0.002, 5, 3)
    whole = study_of(lpips(a=a, b=b, c=c))
    lost = list(range(left, 5))
    less = study_of(lpips(a=a, b=b, c=c[:left]), seeds={"c": list(range(left))}, failed={"c": lost})
    one, other = judged(whole, "b"), judged(less, "b")
    assert one.p_raw is not None and one.p is not None
    assert one.p_raw < 0.05 < one.p
    assert (other.p, other.verdict, other.mark, other.needed) == (one.p, one.verdict, "", one.needed)


def test_a_test_over_images_is_one_of_those_that_were_planned() -> None:
    study = study_of({**lpips(a=scores(0, 1, 1), b=scores(0.1, 1, 2)), "c": {}, "d": {}}, failed={"c": [0], "d": [0]})
    assert judged(study, "b").p_images == pytest.approx(3 / 10_001)


def test_a_baseline_with_fewer_seeds_is_compared_on_the_common_ones() -> None:
    a, b = scores(0, 3, 1), scores(0.1, 5, 2)
    found = judged(study_of(lpips(a=a, b=b), seeds={"a": [1, 3, 4]}), "b").found
    assert found is not None
    wanted = over_trainings(b[[1, 3, 4]] - a)
    assert found.n_seeds == 3
    assert (found.value, found.low) == pytest.approx((wanted.value, wanted.low))
    none = judged(study_of(lpips(a=a, b=b), seeds={"a": [7, 8, 9]}), "b")
    assert (none.verdict, none.reason) == ("not compared", "no seed in common")


def test_survivors_are_named_and_never_the_best() -> None:
    study = study_of(lpips(a=scores(0, 5, 1), b=scores(-0.1, 4, 2)), failed={"b": [4]})
    assert judged(study, "b").verdict == "better by more than the margin"
    assert best(study, "lpips") is None
    text = " ".join(answer(study))
    assert "1 of 10 cells failed (b, seed 4: failed)." in text
    assert "What is said of b is of the trainings that survived." in text
    for table in (to_markdown(study), to_latex(study)):
        assert "b (1 of 5 failed)" in table
    frame: Any = wide(study).set_index("variant")
    assert "seed 4 failed" in frame.loc["b", "state"]


def test_an_image_without_a_value_costs_that_image_alone() -> None:
    a, b = scores(0, 5, 1), scores(0.1, 5, 2)
    b[2, 7] = np.nan
    study = study_of(lpips(a=a, b=b))
    found = judged(study, "b").found
    assert found is not None
    kept = np.delete(np.arange(30), 7)
    assert found.n_images == 29
    assert found.value == pytest.approx((b - a)[:, kept].mean())
    assert "LPIPS (alex) (b, seed 2: 1 of 30) images have no finite value and are left out." in to_markdown(study)


@pytest.mark.parametrize(("n", "verdict"), [(1, "not compared"), (2, "worse by more than the margin")])
def test_one_image_says_nothing_and_two_say_little(n: int, verdict: str) -> None:
    study = study_of(lpips(a=scores(0, 5, 1, n=n), b=scores(0.3, 5, 2, n=n)))
    assert judged(study, "b").verdict == verdict


def test_a_test_that_cannot_reach_five_percent_says_so() -> None:
    study = study_of(lpips(a=scores(0, 1, 1, n=3), b=scores(0.3, 1, 2, n=3)))
    assert judged(study, "b").mark == ""
    assert "over 3 images no test can show anything" in answer(study)[0]


def test_all_failed() -> None:
    study = study_of({"a": {}, "b": {}}, failed={"a": [0, 1], "b": [0, 1]})
    assert answer(study)[:1] == ["There is no answer yet: no cell has a result."]
    assert "4 of 4 cells failed" in " ".join(answer(study))


def test_contrasts_are_those_that_the_grid_declares() -> None:
    a, b, c = scores(0, 5, 1), scores(0.1, 5, 2), scores(0.2, 5, 3)
    rungs = study_of(lpips(a=a, b=b, c=c), contrasts="previous")
    assert [(x.variant, x.against) for x in comparisons(rungs, "lpips")] == [("b", "a"), ("c", "b")]
    assert "c is worse than b by more than the margin" in answer(rungs)[0]
    pairs = study_of(lpips(a=a, b=b, c=c), contrasts=[["a", "c"]])
    assert [(x.variant, x.against) for x in comparisons(pairs, "lpips")] == [("a", "c")]


def test_closer_to_one_is_better_by_the_distance_of_each_image() -> None:
    """The mean of noise is 1 as well: it is the distance of each output that counts."""
    random = np.random.default_rng(0)
    even = {"sharpness": 0.9 + random.normal(0, 0.01, (5, 30))}
    noise = {"sharpness": 1 + random.choice([-0.5, 0.5], (5, 30))}
    found = judged(study_of({"even": even, "noise": noise}), "noise", "sharpness")
    assert found.verdict == "worse by more than the margin"


def test_reference_rows_speak_first() -> None:
    variants = {
        "a": {"l1": scores(0, 3, 1), "lpips": scores(0, 3, 1)},
        "b": {"l1": scores(0, 3, 2), "lpips": scores(0.2, 3, 2)},
    }
    study = study_of(
        variants, references={"mean image": {"l1": 0.1, "lpips": 0.7}, "untrained": {"l1": 0.5, "lpips": 0.5}}
    )
    assert answer(study)[0] == "No variant beats the mean image in L1: train longer before comparing by that."
    near = study_of(variants, references={"nearest neighbour": {"lpips": 0.5}})
    assert answer(near)[0] == "By LPIPS (alex), b does not beat the nearest neighbour."
    both = study_of(variants, references={"untrained": {"lpips": 0.5}, "condition": {"lpips": 0.5}})
    assert answer(both)[0] == "By LPIPS (alex), b does not beat the untrained generator and the condition."
    blurred = {variant: {**measured, "sharpness": scores(0, 3, 3) / 2} for variant, measured in variants.items()}
    noise = study_of(blurred, references={"untrained": {"lpips": 0.9, "sharpness": 1.0}})
    assert "untrained" not in " ".join(answer(noise))  # as sharp as a photograph, by chance


def test_a_saturated_score_is_not_the_primary_one() -> None:
    random = np.random.default_rng(0)
    fcn = {v: random.normal(0.5, 0.01, (3, 30)) for v in "ab"}
    variants = {v: {"fcn-pixel": fcn[v], "lpips": scores(0, 3, k)} for k, v in enumerate("ab")}
    low, high = (
        study_of(variants, primary=["fcn-pixel", "lpips"], settings={"real_photos": ceiling}) for ceiling in (0.4, 0.8)
    )
    assert (primary_metric(low), primary_metric(high)) == ("lpips", "fcn-pixel")
    assert saturated(high, "fcn-pixel") is None
    assert "per-pixel acc. is saturated and decides nothing" in " ".join(answer(low))
    foil = study_of(
        variants,
        primary=["fcn-pixel", "lpips"],
        settings={"real_photos": 0.8},
        references={"untrained": {"fcn-pixel": 0.9}},
    )
    assert primary_metric(foil) == "lpips"


def test_secondary_scores_are_called_so_and_the_opposite_is_named() -> None:
    up, down = scores(0, 5, 1), scores(0.1, 5, 2)
    study = study_of({"a": {"lpips": up, "l1": down}, "b": {"lpips": down, "l1": up}})
    assert "Of the secondary scores the opposite is shown by L1 of b." in answer(study)
    assert by_score(study)[0].startswith("LPIPS (alex) (primary): b is worse than a")


def test_intervals_stay_within_what_a_score_can_be() -> None:
    near = np.abs(np.random.default_rng(0).normal(0, 0.01, (3, 8))) + np.array([[0.0], [0.0], [0.05]])
    found = summarise(study_of({"a": {"l1": near}}), "a", "l1")
    assert found.low == 0
    assert over_trainings(near).low is not None and (over_trainings(near).low or 0) < 0


def test_scores_of_sets_are_compared_by_their_pseudo_values() -> None:
    """And shown with an interval around their own value, which a Frechet distance's bias may leave outside."""
    a, b = scores(0, 5, 1), scores(0.1, 5, 2)
    study = study_of({v: {"fcn-iou": m} for v, m in (("a", a), ("b", b))})
    for cell in study.cells:
        values = cell.per_image.copy()
        values.index = [f"{k:02d}" for k in range(30)]
        del cell.per_image["fcn-iou"]
        object.__setattr__(cell, "jackknife", values - 0.05)  # the score less its bias
    found = judged(study, "b", "fcn-iou")
    assert found.verdict == "better by more than the margin"
    assert found.found is not None
    assert found.found.value == pytest.approx((b - a).mean())
    shown = summarise(study, "a", "fcn-iou")
    assert shown.value is not None and shown.low is not None and shown.high is not None
    assert shown.low < shown.value < shown.high
    assert shown.value - shown.low == pytest.approx(shown.high - shown.value)


def test_an_older_record_of_a_set_is_said_to_be_one() -> None:
    study = study_of({v: {"fcn-iou": scores(0, 3, k)} for k, v in enumerate("ab")})
    for cell in study.cells:
        del cell.per_image["fcn-iou"]
    assert judged(study, "b", "fcn-iou").reason == (
        "an older record, without pseudo-values: ablate scores it again without training"
    )
    assert judged(study_of({v: {"kid": scores(0, 3, k)} for k, v in enumerate("ab")}), "b", "kid").mark == ""


def test_the_papers_order_is_compared_with_its_chance() -> None:
    order = ["l1+cgan", "l1+gan", "cgan", "l1", "gan"]
    variants = {v: {"fcn-iou": np.full((3, 4), 0.2 - 0.02 * k)} for k, v in enumerate(order)}
    text = to_markdown(study_of(variants, published="pix2pix-table1"))
    assert "class IoU: the paper's order of 5 variants and ours agree with Kendall's tau 0.80 (p = 0.042" in text
    assert "more than chance would" in text
    three = study_of({v: variants[v] for v in order[:3]}, published="pix2pix-table1")
    assert "no order of these 3 variants can be told from chance" in to_markdown(three)
    # Table 3 has patch16 and patch70 alike, so even the best order of four has p = 0.083.
    fields = ["patch70", "patch16", "image286", "pixel"]
    four = study_of(
        {v: {"fcn-iou": np.full((3, 4), 0.2 - 0.02 * k)} for k, v in enumerate(fields)}, published="pix2pix-table3"
    )
    assert "no order of these 4 variants can be told from chance" in to_markdown(four)


def made_by(study: Any, variant: str, **settings: Any) -> None:
    for cell in study.cells:
        if cell.variant == variant:
            cell.scores["lpips"].settings.update(settings)


def test_versions_of_a_library_may_differ_and_are_said() -> None:
    """Seeds that two machines trained are one study; their numpy or torchvision is seldom of one version."""
    study = study_of(lpips(a=scores(0, 3, 1), b=scores(0.1, 3, 2)), settings={"library": "numpy 2.4.6"})
    made_by(study, "b", library="numpy 2.5.2")
    assert judged(study, "b").differs
    assert "LPIPS (alex): some by numpy 2.4.6 and numpy 2.5.2." in to_markdown(study)


def test_what_a_network_pads_inside_itself_makes_its_outputs_no_others() -> None:
    """They are cropped back: at 96x96 a U-Net of six levels pads to 128, one of four does not, nor does a ResNet."""
    study = study_of(lpips(a=scores(0, 3, 1), b=scores(0.1, 3, 2)), settings={"size": 96})
    made_by(study, "b", padded_to=[128, 128])
    assert judged(study, "b").differs


def test_scores_of_other_targets_do_not_compare() -> None:
    """As where a variant resizes images by another filter: its outputs are scored against what that filter made."""
    same, study = (
        study_of(lpips(a=scores(0, 3, 1), b=scores(0.1, 3, 2)), settings={"targets_sha256": "1234"}) for _ in range(2)
    )
    assert judged(same, "b").differs
    made_by(study, "b", targets_sha256="5678")
    found = judged(study, "b")
    reason = "of other targets, as where variants resize images in different ways"
    assert (found.verdict, found.reason) == ("not compared", reason)
    assert f"LPIPS (alex) was {reason}, and is compared only where it was made alike." in to_markdown(study)


@pytest.mark.parametrize(
    ("other", "reason"), [({"library": "jax 2.4.6"}, "library: jax and numpy"), ({"window": 7}, "window: 7 and 11")]
)
def test_what_makes_two_scores_another_is_named(other: dict[str, Any], reason: str) -> None:
    study = study_of(lpips(a=scores(0, 3, 1), b=scores(0, 3, 2)), settings={"library": "numpy 2.4.6", "window": 11})
    made_by(study, "b", **other)
    found = judged(study, "b")
    assert found.verdict == "not compared"
    assert found.reason is not None and reason in found.reason


def test_what_one_training_shows_is_not_said_of_recipes_in_a_study_that_has_more() -> None:
    study = study_of({
        "a": {"lpips": scores(0, 5, 1), "l1": scores(0, 5, 2)},
        "b": {"lpips": scores(0.1, 5, 3), "l1": scores(0.1, 5, 4)},
        "c": {"lpips": scores(0.1, 1, 5), "l1": scores(-0.1, 1, 6)},
    })  # fmt: skip
    first, *others = answer(study)
    assert "over 1 to 5 trainings a variant" in first
    assert "these trainings of c are worse than those of a" in first
    assert "Of “these trainings” there is 1 a variant: of others they say nothing before there are 3." in first
    assert others[0] == "In these trainings alone the opposite is seen in L1 of c."
    assert headline(study) == "By LPIPS (alex), b is worse than a; c is of too few trainings to compare with it."


def test_the_opposite_is_shown_by_scores_that_show_something_of_recipes() -> None:
    study = study_of({
        "a": {"lpips": scores(0, 5, 1), "l1": scores(0, 5, 2)},
        "b": {"lpips": scores(0.1, 5, 3), "l1": scores(-0.1, 5, 4)},
    })  # fmt: skip
    assert "Of the secondary scores the opposite is shown by L1 of b." in answer(study)
    one = study_of({
        "a": {"lpips": scores(0, 1, 1), "l1": scores(0, 1, 2)},
        "b": {"lpips": scores(0.1, 1, 3), "l1": scores(-0.1, 1, 4)},
    })  # fmt: skip
    assert "In these trainings alone the opposite is seen in L1 of b." in answer(one)


def test_a_variant_of_several_contrasts_is_told_with_what_it_is_against() -> None:
    study = study_of(
        {
            "a": {"lpips": scores(0, 5, 1), "l1": scores(0, 5, 2)},
            "b": {"lpips": scores(0.1, 5, 3), "l1": scores(-0.1, 5, 4)},
            "c": {"lpips": scores(0.3, 5, 5), "l1": scores(-0.3, 5, 6)},
        },
        contrasts=[["b", "a"], ["c", "a"], ["c", "b"]],
    )
    assert (
        "Of the secondary scores the opposite is shown by L1 of b, L1 of c against a and L1 of c against b."
    ) in answer(study)


def test_bold_sharpness_goes_by_the_distance_of_each_image_as_the_verdict_does() -> None:
    """Half of a's images are blurred and half overdone, so that their mean is perfect and none of them is."""
    rows = np.random.default_rng(1).normal(0, 0.01, (5, 30))
    a, b = rows + np.where(np.arange(30) % 2, 0.5, 1.5), rows[::-1] + 0.9
    study = study_of({"a": {"sharpness": a}, "b": {"sharpness": b}})
    assert judged(study, "b", "sharpness").verdict == "better by more than the margin"
    assert best(study, "sharpness") == "b"


def test_tables_say_on_how_many_trainings_and_images_they_stand() -> None:
    study = study_of({name: {"lpips": scores(0, 3, key), "l1": scores(0, 3, key + 5)} for key, name in enumerate("ab")})
    assert "- Means over 3 trainings a variant and 30 test images." in to_markdown(study)
    lacking = study.cells[2]
    study.cells[2] = replace(lacking, scores={"lpips": lacking.scores["lpips"]}, per_image=lacking.per_image[["lpips"]])
    again = StudyRecord(study.about, study.cells, study.references)
    assert "- L1 of a is over 2 of its 3 trainings." in to_markdown(again)


def test_scores_that_look_through_imagenet_are_named_beside_what_was_trained_through_it() -> None:
    study = study_of(lpips(plain=scores(0, 3, 1), perceptual=scores(0, 3, 2), projected=scores(0, 3, 3)))
    trained = {
        "perceptual": {"objective": {"name": "l1", "perceptual": "vgg"}},
        "projected": {"objective": {"name": "l1+cgan"}, "discriminator": {"name": "projected"}},
    }
    for cell in study.about.cells:
        cell.config.update(trained.get(cell.variant, {}))
    told = [note for note in notes(study) if "ImageNet" in note]
    assert told == [
        f"{variant} was trained through a network that knows ImageNet ({net}); LPIPS (alex) looks through another such "
        "network, and may favour that."
        for variant, net in (("perceptual", "vgg"), ("projected", "squeeze"))
    ]


def test_the_seeds_that_would_do_are_more_than_there_are_and_where_images_limit_it_none() -> None:
    """Where so many seeds show the margin in four of five studies, the difference is perhaps a smaller one."""
    few = study_of(lpips(a=scores(0, 5, 1, spread=0.002), b=scores(0.006, 5, 5, spread=0.002)))
    found = judged(few, "b")
    assert (found.verdict, found.needed is not None and found.needed <= 5) == ("cannot tell", True)
    assert "so many seeds show a difference of 0.01 in four of five studies" in answer(few)[0]
    images = np.random.default_rng(0).normal(0, 0.1, 30)  # a difference that changes with the image
    limited = study_of(lpips(a=scores(0, 5, 1), b=scores(0, 5, 2) + images))
    assert judged(limited, "b").limited_by_images
    assert "(on 30 test images no number of seeds would show a difference of 0.01)" in answer(limited)[0]
    both = study_of(lpips(a=scores(0, 5, 1), b=scores(0, 5, 2) + images, c=scores(0, 5, 3)))
    assert "seeds would show a difference of 0.01; on 30 test images no number of seeds would for b)" in answer(both)[0]


def test_groups_of_images_are_counted_as_the_images_that_they_are() -> None:
    study = study_of({v: {"swd": scores(0.1 * k, 5, k)} for k, v in enumerate("ab")})
    for cell in study.cells:
        groups = cell.per_image["swd"].to_numpy().reshape(10, 3).mean(axis=1)
        del cell.per_image["swd"]
        table = pd.DataFrame({"swd": groups}, index=[f"group {k}" for k in range(10)])
        object.__setattr__(cell, "jackknife", table)
    assert "over 5 trainings a variant and 30 test images" in answer(study)[0]
    assert verdicts_json(study)[0]["n_images"] == 30


def test_nobody_is_asked_to_beat_photographs_in_scores_of_sets() -> None:
    """Nearest neighbours are photographs: by a set they are as good as a perfect generator."""
    variants = {v: {"kid-paired": scores(0.2 * k, 5, k), "lpips": scores(0.2 * k, 5, k)} for k, v in enumerate("ab")}
    rows = {"nearest neighbour": {"kid-paired": 0.0, "lpips": 0.0}, "mean image": {"kid-paired": 0.0}}
    text = answer(study_of(variants, references=rows, primary=["kid-paired"]))[0]
    assert "the nearest neighbour in LPIPS (alex)" in text
    assert "the mean image in paired KID" in text
    neighbour = study_of(variants, references={"nearest neighbour": {"kid-paired": 0.0}}, primary=["kid-paired"])
    assert headline(neighbour) == "By paired KID, a is ahead of every other variant."


def test_what_is_ahead_is_ahead_of_those_that_have_the_score_and_of_some_by_little() -> None:
    lacking = study_of({**lpips(a=scores(0, 5, 1), b=scores(0.1, 5, 2)), "c": {}}, failed={"c": [0, 1]})
    assert headline(lacking) == "By LPIPS (alex), a is ahead of every other variant that has it."
    little = study_of(lpips(a=scores(0, 10, 1, 0.002), b=scores(-0.005, 10, 3, 0.002)))
    assert judged(little, "b").verdict == "better, by less than the margin"
    assert headline(little) == "By LPIPS (alex), b is ahead of every other variant, of a by less than the margin."
    third = study_of(lpips(a=scores(0, 10, 1, 0.002), b=scores(-0.005, 10, 3, 0.002), c=scores(-0.005, 10, 4, 0.002)))
    assert "b and c are better, by less than the margin, than a" in headline(third)


def test_where_the_primary_score_shows_nothing_there_is_no_opposite() -> None:
    variants = {
        "a": {"lpips": scores(0, 5, 1), "l1": scores(0, 5, 1)}, "b": {"lpips": scores(0, 5, 2), "l1": scores(0.1, 5, 2)}
    }  # fmt: skip
    assert "Of the secondary scores a difference is shown by L1 of b." in answer(study_of(variants))
    alike = {v: {"lpips": scores(0, 5, k), "l1": scores(0, 5, k)} for k, v in enumerate("ab")}
    assert "No secondary score shows a difference." in answer(study_of(alike))


def test_sign_flips_that_cannot_reach_five_per_cent_after_correction_say_so() -> None:
    variants = {"base": scores(0, 1, 0, n=8), **{f"v{k}": scores(0.3, 1, k, n=8) for k in range(1, 11)}}
    assert "over 8 images no test of 10 contrasts can show anything" in answer(study_of(lpips(**variants)))[0]
    two = {name: variants[name] for name in ("base", "v1")}
    assert "no test" not in answer(study_of(lpips(**two)))[0]


def test_a_score_is_saturated_by_what_its_own_network_makes_of_the_real_photos() -> None:
    study = study_of({v: {"fcn-iou": np.full((3, 8), value)} for v, value in (("a", 0.45), ("b", 0.55))})
    ceilings = {"a": 0.5, "b": 0.65}
    for cell in study.cells:
        cell.scores["fcn-iou"].settings["real_photos"] = ceilings[cell.variant]
    assert saturated(study, "fcn-iou") is None
    ceilings["b"] = 0.54
    for cell in study.cells:
        cell.scores["fcn-iou"].settings["real_photos"] = ceilings[cell.variant]
    assert "b reaches 0.550 and the real photos 0.540" in str(saturated(study, "fcn-iou"))


def test_brackets_of_reference_rows_are_said_to_be_over_images() -> None:
    study = study_of(lpips(a=scores(0, 3, 1), b=scores(0.1, 3, 2)), references={"mean image": {"lpips": 0.9}})
    assert not any("reference rows over test images" in note for note in notes(study))
    row = study.references[0].scores["lpips"]
    study.references[0].scores["lpips"] = row.model_copy(update={"low": 0.8, "high": 1.0})
    assert any(
        "(crossed random effects; cut to what the score can be); of reference rows over test images." in n
        for n in notes(study)
    )
    assert "Brackets of reference rows: 95\\,\\% over images." in to_latex(study)


def test_scores_of_images_that_cannot_be_read_say_which_file_it_is() -> None:
    study = study_of(lpips(a=scores(0, 3, 1), b=scores(0.1, 3, 2)))
    broken = study.cells[-1]
    study.cells[-1] = replace(broken, per_image=pd.DataFrame())
    found = judged(study, "b")
    assert found.verdict == "not compared"
    assert found.reason == f"{broken.run.per_image_file} is missing or damaged; run ablate again to score it"


def test_noise_is_no_foil_of_diversity() -> None:
    study = study_of(
        {name: {"diversity": np.abs(scores(-0.3, 3, key))} for key, name in enumerate("ab")},
        references={"untrained": {"diversity": 0.9}},
    )
    assert not any("untrained" in sentence for sentence in answer(study))


def test_records_without_a_hash_of_targets_are_told_apart_by_what_makes_targets() -> None:
    study = study_of(lpips(a=scores(0, 3, 1), b=scores(0.1, 3, 2), c=scores(0.1, 3, 3)))
    made_by(study, "c", targets_sha256="5678")
    for cell in study.cells:
        cell.config["data"] = {"direction": "AtoB" if cell.variant == "a" else "BtoA", "resize_filter": ["box", "box"]}
    study.cells[-1].config["data"]["resize_filter"] = ["nearest", "box"]  # of A, its target
    assert (
        judged(study, "b").reason
        == judged(study, "c").reason
        == "of other targets, as where variants resize " + ("images in different ways")
    )


def test_no_foil_of_other_targets_is_held_against_a_variant() -> None:
    references = {"mean image": {"lpips": 0.1}}
    settings = {"targets_sha256": "1234"}
    study = study_of(lpips(a=scores(0, 3, 1), b=scores(0.1, 3, 2)), references=references, settings=settings)
    assert answer(study)[0] == "No variant beats the mean image in LPIPS (alex): train longer before comparing by that."
    study = study_of(lpips(a=scores(0, 3, 1), b=scores(0.1, 3, 2)), references=references, settings=settings)
    made_by(study, "b", targets_sha256="5678")
    assert foil_sentences(study)[0] == "By LPIPS (alex), a does not beat the mean image."
    study = study_of(lpips(a=scores(0, 3, 1), b=scores(0.1, 3, 2)), references=references)
    for cell in study.cells:
        cell.config["data"] = {"direction": {"a": "AtoB", "b": "BtoA"}[cell.variant]}
    assert foil_sentences(study)[0] == "By LPIPS (alex), a does not beat the mean image."  # of the baseline's targets
    study = study_of(lpips(a=scores(-0.35, 3, 1), b=scores(0.1, 3, 2)), references=references, settings=settings)
    made_by(study, "b", targets_sha256="5678")
    assert "mean image" not in " ".join(answer(study))


def test_what_was_trained_on_other_machines_alone_is_said() -> None:
    def trained_on(*processors: str) -> str:
        study = study_of(lpips(a=scores(0, 3, 1), b=scores(0.1, len(processors) - 3, 2)))
        for number, cell in enumerate(study.cells):
            content = {"schema_version": 1, "state": "finished", "machine": {"processor": processors[number]}}
            study.cells[number] = replace(cell, status=Status.model_validate(content))
        return " ".join(answer(study))

    said = "Compared across machines or versions, to which a difference may be due, too: b (with a)."
    assert said in trained_on("x", "x", "x", "y", "y", "y")
    assert said not in trained_on("x", "x", "y", "y", "y", "y")
    assert said in trained_on("x", "x", "x", "y", "y", "y", "x", "x")  # seeds that are not compared
