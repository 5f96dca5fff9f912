"""The demo's API over Flask's own client: what it answers, and what it refuses."""

from __future__ import annotations

import io
import json
import threading
import zlib
from pathlib import Path
from typing import Any

import flask.testing
import numpy as np
import pytest
from PIL import Image
from reading import read_image
from trained_run import train_run

from p2pbench.api import load
from p2pbench.data.images import Stored
from p2pbench.data.pairs import find_folder
from p2pbench.demo.app import create_app
from p2pbench.demo.queue import QUEUE, Queue
from p2pbench.demo.upload import NAME, Refused
from p2pbench.inference.generator import Model
from p2pbench.inference.tiling import output_of


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Model]:
    folder = tmp_path_factory.mktemp("demo")
    return [load(train_run(folder)), load(train_run(folder, "second", objective__name="l1"))]


@pytest.fixture
def client(models: list[Model]) -> flask.testing.FlaskClient:
    return create_app(models).test_client()


def file_of(image: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, kind, **options)
    return stream.getvalue()


PICTURE = np.random.default_rng(0).integers(0, 256, (21, 34, 3), dtype=np.uint8)


def post(client: flask.testing.FlaskClient, content: bytes, **fields: str) -> Any:
    return client.post("/api/translate", data={"image": (io.BytesIO(content), "../../etc/passwd"), **fields})


def pixels(response: Any) -> np.ndarray:
    assert response.mimetype == "image/png", response.text
    return np.asarray(Image.open(io.BytesIO(response.data)))


def test_an_output_is_the_models_at_the_pictures_own_size(
    client: flask.testing.FlaskClient, models: list[Model]
) -> None:
    for name, model in zip(("first", "second"), models, strict=True):
        expected = output_of(model, Stored(NAME, PICTURE), seed=7)
        assert np.array_equal(pixels(post(client, file_of(PICTURE), model=name, seed="7")), expected)
    by_default = pixels(post(client, file_of(PICTURE)))
    assert np.array_equal(by_default, output_of(models[0], Stored(NAME, PICTURE), seed=0))


def test_noise_follows_the_seed_and_the_mode(client: flask.testing.FlaskClient) -> None:
    def drawn(**fields: str) -> np.ndarray:
        return pixels(post(client, file_of(PICTURE), **fields))

    assert not np.array_equal(drawn(seed="1"), drawn(seed="2"))
    still = [drawn(seed=seed, mode="statistics") for seed in "12"]
    assert np.array_equal(still[0], still[1])
    assert not np.array_equal(still[0], drawn(mode="eval"))


def test_examples_are_the_test_pairs_and_their_outputs_are_scored(client: flask.testing.FlaskClient) -> None:
    about: Any = client.get("/api/models").json
    assert [one["name"] for one in about["models"]] == ["first", "second"]
    assert about["models"][0]["label"] == "unet · l1+cgan · 16 px"
    assert [one["size"] for one in about["examples"]] == [[16, 16]] * 3
    condition, target = (client.get(f"/api/examples/1/{side}.png") for side in ("condition", "target"))
    assert np.abs(pixels(condition).astype(int) + pixels(target) - 255).max() <= 1  # B is A's negative
    answer = post(client, condition.data)
    scores = json.loads(answer.headers["X-Scores"])
    assert scores["l1"] == pytest.approx(np.abs(pixels(answer) - pixels(target).astype(float)).mean() / 255, abs=1e-3)
    assert set(scores) == {"l1", "psnr", "ssim"}
    assert "X-Scores" not in post(client, file_of(PICTURE)).headers
    assert client.get("/api/examples/3/target.png").status_code == 404


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_other_kinds_are_taken_and_a_photograph_is_turned_upright(client: flask.testing.FlaskClient, kind: str) -> None:
    exif = Image.Exif()
    exif[274] = 6
    assert pixels(post(client, file_of(PICTURE, kind, exif=exif))).shape == (34, 21, 3)


def test_of_a_pair_the_condition_is_translated_and_said(client: flask.testing.FlaskClient, models: list[Model]) -> None:
    pair = read_image(find_folder(models[0].config.data.source) / "test" / "000.png")
    whole, half = (post(client, file_of(pixels)) for pixels in (pair, pair[:, :20]))
    assert np.array_equal(pixels(whole), pixels(half))
    assert "holds a pair" in whole.headers["X-Note"]
    assert "X-Note" not in half.headers


def test_tiles_are_said_in_the_mode_that_is_asked_for(
    client: flask.testing.FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("p2pbench.inference.tiling.TILE", 20)
    monkeypatch.setattr("p2pbench.inference.tiling.OVERLAP", 8)
    paper, plain = (post(client, file_of(PICTURE), mode=mode).headers["X-Note"] for mode in ("paper", "eval"))
    assert "in the mode paper each is normalised by itself" in paper
    assert "tiles of 20x20" in plain
    assert "normalised by itself" not in plain


def bomb() -> bytes:
    """A small PNG whose header promises 60000x60000 pixels."""
    content = file_of(np.zeros((1, 1), np.uint8))
    header = b"IHDR" + (60000).to_bytes(4, "big") * 2 + content[24:29]
    return content[:12] + header + zlib.crc32(header).to_bytes(4, "big") + content[33:]


LARGE = file_of(np.zeros((2049, 2048), np.uint8))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(
    ("content", "fields", "status", "message"),
    [
        (b"", {}, 400, "zero bytes"),
        (b"no picture", {}, 415, "none of PNG, JPEG"),
        (file_of(PICTURE, "PCX"), {}, 415, "none of PNG, JPEG"),
        (file_of(PICTURE)[:200], {}, 422, "cannot be read"),
        (bomb(), {}, 413, "pixels"),
        (LARGE, {}, 413, "2048x2049"),
        (file_of(PICTURE), {"model": "../first"}, 404, "unknown model '../first'"),
        (file_of(PICTURE), {"mode": "train"}, 400, "unknown mode 'train'"),
        (file_of(PICTURE), {"seed": "-1"}, 400, "seed is a whole number"),
        (file_of(PICTURE), {"seed": "9" * 40}, 400, "seed is a whole number"),
    ],
    ids=["empty", "text", "pcx", "cut off", "bomb", "large", "model", "mode", "negative", "long seed"],
)
def test_bad_input_is_answered_in_json_and_the_server_lives_on(
    client: flask.testing.FlaskClient, content: bytes, fields: dict[str, str], status: int, message: str
) -> None:
    answer = post(client, content, **fields)
    assert answer.status_code == status
    assert list(answer.json) == ["error"]
    assert message in answer.json["error"]
    assert "Traceback" not in answer.text
    assert "/" not in answer.json["error"].replace("../first", "")
    assert post(client, file_of(PICTURE)).status_code == 200


def test_what_is_no_form_is_refused(client: flask.testing.FlaskClient) -> None:
    assert client.post("/api/translate", json={"image": "x"}).status_code == 415
    assert client.post("/api/translate", data=b"x", content_type="image/png").status_code == 415
    assert client.post("/api/translate", data={"other": (io.BytesIO(b"x"), "x")}).json == {
        "error": "the form has no file in its field 'image'"
    }
    assert client.get("/api/translate").json == {"error": "this address does not take this method"}
    assert client.get("/nothing").json == {"error": "there is nothing at this address"}


def test_a_model_of_other_channels_says_so(tmp_path: Path, client: flask.testing.FlaskClient) -> None:
    grey = load(train_run(tmp_path, data__channels="[1, 3]"))
    assert post(create_app([grey]).test_client(), file_of(PICTURE)).status_code == 200
    bands = grey.config.data.model_copy(update={"channels": (4, 3)})
    four = Model("four", grey.config.model_copy(update={"data": bands}), grey.generator, None)
    answer = post(create_app([four]).test_client(), file_of(PICTURE))
    assert answer.status_code == 422
    assert "has 3 channels, where data.channels asks for 4" in answer.json["error"]


def test_pages_of_other_sites_are_kept_out(client: flask.testing.FlaskClient) -> None:
    page = client.get("/")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert "http://" not in page.text.replace("http://www.w3.org", "")
    assert "https://" not in page.text
    for name in ("localhost:5000", "127.0.0.1", "[::1]:5000"):
        assert client.get("/healthz", headers={"Host": name}).status_code == 200
    led_here: Any = client.get("/healthz", headers={"Host": "evil.example"})
    assert led_here.status_code == 400
    assert "another name" in led_here.json["error"]
    asked = client.post("/api/translate", headers={"Sec-Fetch-Site": "cross-site"})
    assert (asked.status_code, asked.json) == (403, {"error": "a page of another site asked; only this one may"})


def test_a_defect_is_not_told_to_whoever_asked(
    models: list[Model], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("p2pbench.demo.app.output_of", lambda *_, **__: 1 / 0)
    answer = post(create_app(models).test_client(), file_of(PICTURE))
    assert (answer.status_code, answer.json) == (500, {"error": "the server failed on this request; its log says why"})
    assert "ZeroDivisionError" in caplog.text


def test_a_full_queue_sends_away_and_then_serves_again(models: list[Model]) -> None:
    queue = Queue()
    app = create_app(models, queue=queue)
    places = []
    for _ in range(QUEUE + 1):
        place = queue.place()
        place.__enter__()
        places.append(place)
    answer = post(app.test_client(), file_of(PICTURE))
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert app.test_client().get("/healthz").status_code == 200
    for place in places:
        place.__exit__(None, None, None)
    assert post(app.test_client(), file_of(PICTURE)).status_code == 200


def test_a_job_that_is_late_or_unwanted_is_dropped() -> None:
    queue = Queue(seconds=0.05)
    release = threading.Event()

    def slow(still_wanted: Any) -> None:
        release.wait(10)
        still_wanted()
        raise AssertionError("it goes on")

    with pytest.raises(Refused, match=r"more than 0\.05 s") as late:
        queue.run(slow, lambda: False)
    assert late.value.status == 504
    release.set()
    with pytest.raises(Refused, match="has disconnected"):
        Queue().run(lambda _wanted: 1, lambda: True)
