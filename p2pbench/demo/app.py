"""The demo's pages and API, as a Flask application over models that are loaded already."""

import io
import json
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import flask
import numpy as np
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge, SecurityError

from p2pbench.config.renamed import VALUES
from p2pbench.data.images import Stored, as_rgb8, picture_of
from p2pbench.demo.examples import Example, find_examples, palette_of
from p2pbench.demo.queue import QUEUE, Queue
from p2pbench.demo.upload import MAX_BYTES, MAX_PIXELS, Refused, decode, encode
from p2pbench.errors import DataError, unknown
from p2pbench.inference.generator import Model
from p2pbench.inference.inputs import condition_in
from p2pbench.inference.tiling import is_tiled, output_of, seams
from p2pbench.scoring.paired import l1, psnr, ssim

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
LOOPBACK = ["127.0.0.1", "localhost", "::1"]
"""The names by which a browser on this machine may call the server; another name is a page that was led here."""

PLAIN: dict[type[HTTPException], str] = {
    SecurityError: "the server was called by another name than its own; open the address that it was started at",
    RequestEntityTooLarge: f"the request is larger than {MAX_BYTES // 2**20} MiB; send a smaller file",
    NotFound: "there is nothing at this address",
    MethodNotAllowed: "this address does not take this method",
}
"""What is said of an error that Flask raises."""


class _Request(flask.Request):
    """A request whose files stay in memory."""

    def _get_file_stream(self, *_: Any, **__: Any) -> io.BytesIO:
        return io.BytesIO()


def create_app(
    models: Sequence[Model], *, hosts: Sequence[str] | None = LOOPBACK, queue: Queue | None = None
) -> flask.Flask:
    """The application over ``models``, each on the device that it runs on.

    Args:
        hosts: the names by which the server may be called; None for any.
        queue: the queue that runs the models; a new one by default.
    """
    app = flask.Flask(__name__)
    app.request_class = _Request
    app.config.update(MAX_CONTENT_LENGTH=MAX_BYTES)
    app.json.sort_keys = False  # type: ignore[attr-defined]
    shown = name_models(models)
    examples = find_examples(models)
    line = queue or Queue()
    about = {
        "models": [_described(name, *one) for name, one in shown.items()],
        "examples": [{"name": e.name, "size": list(e.condition.shape[:2])} for e in examples],
        "palette": palette_of(examples),
        "limits": {"bytes": MAX_BYTES, "pixels": MAX_PIXELS, "seconds": line.seconds, "queue": QUEUE},
    }

    @app.get("/")
    def page() -> str:
        return flask.render_template(
            "index.html", models=about["models"], limits=about["limits"], version=version("p2pbench")
        )

    @app.get("/healthz")
    def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/api/models")
    def list_models() -> dict[str, Any]:
        return about

    @app.get("/api/examples/<int:number>/<side>.png")
    def example(number: int, side: str) -> flask.Response:
        if number >= len(examples) or side not in ("condition", "target"):
            raise Refused(404, f"there is no such example; there are {len(examples)}, from 0 on")
        return _png(getattr(examples[number], side))

    @app.post("/api/translate")
    def translate() -> flask.Response:
        if flask.request.headers.get("Sec-Fetch-Site") == "cross-site":
            raise Refused(403, "a page of another site asked; only this one may")
        with line.place():
            picture, job, note = _job(shown)
            gone = flask.request.environ.get("waitress.client_disconnected", lambda: False)
            start = time.perf_counter()
            output = as_rgb8(line.run(job, gone))
            response = _png(output)
            response.headers["Server-Timing"] = f"translate;dur={1000 * (time.perf_counter() - start):.1f}"
            if note:
                response.headers["X-Note"] = note
            if scores := _scores(picture, output, examples):
                response.headers["X-Scores"] = json.dumps(scores)
            return response

    @app.after_request
    def guard(response: flask.Response) -> flask.Response:
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers |= {
            "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
            "Cross-Origin-Resource-Policy": "same-origin",
        }  # fmt: skip
        return response

    @app.before_request
    def called_by_its_own_name() -> None:
        # Flask's TRUSTED_HOSTS would do, but takes no IPv6 address.
        if hosts is not None and urlsplit(f"//{flask.request.host}").hostname not in hosts:
            raise SecurityError("another name")

    @app.errorhandler(Refused)
    def refused(error: Refused) -> tuple[dict[str, str], int, dict[str, str]]:
        headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
        return {"error": str(error)}, error.status, headers

    @app.errorhandler(HTTPException)
    def not_served(error: HTTPException) -> tuple[dict[str, str], int]:
        said = PLAIN.get(type(error), f"the request was not understood ({error.name})")
        return {"error": said}, error.code or 500

    @app.errorhandler(Exception)
    def defect(error: Exception) -> tuple[dict[str, str], int]:
        app.logger.error("a defect of p2pbench", exc_info=error)  # for whoever runs it, not for whoever asked
        return {"error": "the server failed on this request; its log says why"}, 500

    return app


def _described(name: str, label: str, model: Model) -> dict[str, Any]:
    """What the page is told of a model."""
    data = model.config.data
    return {
        "name": name, "label": label, "size": list(data.crop_shape), "channels": list(data.stored),
        "modes": list(model.modes), "noise": model.has_noise,
    }  # fmt: skip


def name_models(models: Sequence[Model]) -> dict[str, tuple[str, Model]]:
    """The models by the last part of their names, numbered where these are equal, each with a label of what differs."""
    trees = [model.config.model_dump(mode="json") for model in models]
    keys = ["generator.name", "objective.name", "data.crop_size"]
    for section in ("generator", "discriminator", "objective", "training"):
        for key in trees[0][section]:
            if len({str(tree[section][key]) for tree in trees}) > 1 and key not in ("threads", "device"):
                keys.append(f"{section}.{key}")
    found: dict[str, tuple[str, Model]] = {}
    for model, tree in zip(models, trees, strict=True):
        base = name = Path(model.name).name.removesuffix(".onnx") or "model"
        number = 1
        while name in found:
            number += 1
            name = f"{base}-{number}"
        values = dict.fromkeys(_said(key, tree) for key in keys)
        onnx = ["ONNX"] if Path(model.name).suffix == ".onnx" else []
        found[name] = (" · ".join([*values, *onnx]), model)
    return found


def _said(dotted: str, tree: dict[str, Any]) -> str:
    section, key = dotted.split(".")
    value = tree[section][key]
    if key == "crop_size":
        return "x".join(map(str, value)) if isinstance(value, list) else f"{value} px"
    word = "training seed" if key == "seed" else key.replace("_", " ")  # the noise has a seed of its own
    return str(value) if key == "name" else f"{word} {value}"


def _job(shown: dict[str, tuple[str, Model]]) -> tuple[Stored, Callable[[Callable[[], None]], np.ndarray], str]:
    """The picture that the current request brings, what makes the output of it that it asks for, and a note on it.

    Raises:
        Refused: something is wrong with the request.
    """
    request = flask.request
    if request.mimetype != "multipart/form-data":
        raise Refused(415, "send a form (multipart/form-data) with the file in its field 'image'")
    file = request.files.get("image")
    if file is None:
        raise Refused(400, "the form has no file in its field 'image'")
    name = request.form.get("model") or next(iter(shown))
    if name not in shown:
        raise Refused(404, unknown("model", name[:80], shown))
    _, model = shown[name]
    mode = request.form.get("mode") or model.config.scoring.inference
    mode = VALUES["scoring.inference"].get(mode, mode)
    if mode not in model.modes:
        raise Refused(400, unknown("mode", mode[:80], model.modes))
    seed = request.form.get("seed") or "0"
    if not (seed.isascii() and seed.isdigit() and int(seed[:12]) < 2**31) or len(seed) > 10:
        raise Refused(400, "seed is a whole number from 0 to 2147483647")
    picture, notes = decode(file.stream.read()), []
    half = None if request.form.get("whole") == "1" else condition_in(picture, model.config.data)
    if half is not None:
        picture = half
        notes.append(
            "the picture holds a pair, as the files that the model was trained on: its condition is translated"
        )
    if is_tiled(picture.pixels):
        notes.append(f"the picture goes in {seams(model, mode)}")

    def job(still_wanted: Callable[[], None]) -> np.ndarray:
        try:
            return output_of(model, picture, mode=mode, seed=int(seed), before_each=still_wanted)
        except DataError as error:
            raise Refused(422, f"{error}; this model was trained on {model.config.data.stored[0]}") from None

    return picture, job, "; ".join(notes)


def _scores(picture: Stored, output: np.ndarray, examples: Sequence[Example]) -> dict[str, float]:
    """The scores of ``output`` against its target, where ``picture`` is an example's unchanged condition; else none."""
    given = picture_of(picture.opaque("white"))
    for example in examples:
        if np.array_equal(example.condition, given):
            pair = output[None], example.target[None]
            measured = {"l1": l1(*pair)[0], "psnr": psnr(*pair)[0]}
            if min(output.shape[:2]) >= 11:
                measured["ssim"] = ssim(*pair)[0]
            return {name: round(float(value), 4) for name, value in measured.items() if np.isfinite(value)}
    return {}


def _png(image: np.ndarray) -> flask.Response:
    return flask.Response(encode(image), mimetype="image/png")
