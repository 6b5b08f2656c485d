"""The server: right answers for all callers, 400 with the argument's name for whatever else."""

import asyncio
import base64
import io
import json
import threading

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfgen
from tfgen.app.serving import http
from tfgen.app.serving.batching import Batcher
from tfgen.app.serving.body import parsed
from tfgen.app.serving.http import Limits
from tfgen.app.serving.http import make_app
from tfgen.app.serving.served import Served
from tfgen.app.serving.sources import open_served
from tfgen.core.export_inputs import label_numbers
from tfgen.core.export_metadata import FILE
from tfgen.data import hints
from tfgen.data.rows import label_number

CLASSES = ["Boot", "Sneaker", "Bag"]
LIMITS = Limits(max_body=20_000, max_held=100_000, seconds=30)


class Answer:
    """What the application sends, to one request without a socket."""

    def __init__(self, app, method, path, body=b"", headers=()):
        self.status, self.body = None, b""
        unsent = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive():
            return unsent.pop() if unsent else {"type": "http.disconnect"}

        async def send(message):
            if message["type"] == "http.response.start":
                self.status = message["status"]
                self.headers = {k.decode(): v.decode() for k, v in message["headers"]}
            self.body += message.get("body", b"")

        scope = {
            "type": "http", "method": method, "path": path, "raw_path": path.encode(),
            "query_string": b"", "root_path": "", "http_version": "1.1", "scheme": "http",
            "headers": [(k.encode(), v.encode()) for k, v in headers], "client": None,
            "server": ("test", 80),
        }  # fmt: skip
        asyncio.run(app(scope, receive, send))

    def json(self):
        return json.loads(self.body)


class Ready:
    """A model behind the server's routes."""

    def __init__(self, served, limits=LIMITS, max_rows=16):
        self.served = served
        self.batcher = Batcher(max_rows, delay=0.001, max_queued=1000)
        self.app = make_app(served, self.batcher, limits)
        self.app.watch.state = "ready"

    def get(self, path):
        return Answer(self.app, "GET", path)

    def post(self, path, content, status=200, **headers):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        answer = Answer(self.app, "POST", path, body, headers.items())
        assert answer.status == status, answer.body[:500]
        is_json = "json" in answer.headers["content-type"]
        return answer.json() if is_json else answer.body

    def refused(self, path, content, words, status=400):
        error = self.post(path, content, status)["error"]
        assert words in error, error
        return error


@pytest.fixture(scope="module")
def flow_model():
    return tfgen.RealNVP(2, num_layers=2, hidden_units=(8,))


@pytest.fixture(scope="module")
def images_model():
    """Of grey images with labels; everything that it computes draws."""
    return tfgen.VAE(
        (4, 4, 1), latent_dim=2, encoder="mlp", decoder="mlp", data_kind="uint8", num_classes=3
    )


@pytest.fixture(scope="module")
def flow(flow_model):
    ready = Ready(Served.of("moons", flow_model, max_rows=40))
    yield ready
    ready.batcher.close()


@pytest.fixture(scope="module")
def images(images_model):
    ready = Ready(Served.of("shoes", images_model, CLASSES))
    yield ready
    ready.batcher.close()


def pixels(rows, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (rows, 4, 4, 1), np.uint8)


# ------------------------------------------------------------------------------- right answers


def test_answers_are_those_of_the_model(flow, flow_model):
    x = np.random.default_rng(0).normal(size=(21, 2)).astype("float32")
    answer = flow.post("/log_prob", {"x": x.tolist()})
    np.testing.assert_allclose(answer["log_prob"], flow_model.log_prob(x), rtol=1e-5)
    np.testing.assert_allclose(answer["bits_per_dim"], flow_model.bits_per_dim(x), rtol=1e-5)
    assert answer["likelihood"] == "exact"
    z = flow.post("/encode", {"x": x.tolist()})["z"]
    np.testing.assert_allclose(z, flow_model.encode(x), rtol=1e-4, atol=1e-5)
    back = flow.post("/decode", {"z": z})["x"]
    np.testing.assert_allclose(back, x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 0.5, 0])
@pytest.mark.parametrize("seed", [5, -1, 2**40, 2**64 - 1, [3, -4]])
def test_samples_are_those_of_the_seed(flow, flow_model, temperature, seed):
    asked = {"num_samples": 20, "temperature": temperature, "seed": seed}
    answer = flow.post("/sample", asked)
    expected = flow_model.sample(20, temperature=temperature, seed=seed)
    np.testing.assert_allclose(answer["samples"], expected, rtol=1e-5, atol=1e-6)
    assert answer["seed"] == seed


def test_samples_without_a_seed_tell_theirs(flow):
    first, second = (flow.post("/sample", {"num_samples": 3}) for _ in range(2))
    assert first["samples"] != second["samples"]
    again = flow.post("/sample", {"num_samples": 3, "seed": first["seed"]})
    assert again == first


def test_conditional_models_of_images(images, images_model):
    x, y = pixels(18), np.arange(18) % 3
    for given in ({"condition": y.tolist()}, {"label": [CLASSES[i].lower() for i in y]}):
        answer = images.post("/log_prob", {"x": x.tolist(), **given})
        expected = images_model.log_prob(x, y)
        np.testing.assert_allclose(answer["log_prob"], expected, rtol=1e-5)
    seeded = images.post("/log_prob", {"x": x.tolist(), "label": 1, "seed": 7})["log_prob"]
    np.testing.assert_allclose(seeded, images_model.log_prob(x, 1, seed=7), rtol=1e-5)
    answer = images.post("/sample", {"num_samples": 5, "label": "Bag", "seed": 1})
    expected = images_model.sample(5, 2, seed=1).numpy()
    np.testing.assert_array_equal(answer["samples"], expected)
    picture = images.post(
        "/sample", {"num_samples": 5, "label": "Bag", "seed": 1}, accept="image/png"
    )
    assert Image.open(io.BytesIO(picture)).mode == "L"
    same = {"num_samples": 5, "label": "Bag", "seed": 1, "format": "png"}
    assert images.post("/sample", same) == picture
    del same["format"]
    for accept in ("image/png;q=0.0, application/json", "image/png; q=0", "image/pngs"):
        assert "samples" in images.post("/sample", same, accept=accept)
    assert images.post("/sample", same, accept="text/html, image/png;q=0.01") == picture


def test_a_label_and_a_vector_together():
    model = tfgen.RealNVP(2, num_layers=2, hidden_units=(8,), num_classes=2, condition_shape=[1])
    ready = Ready(Served.of("both", model, ["no", "yes"]))
    expected = model.sample(3, (1, [0.5]), seed=0)
    given = {"label": "yes", "vector": [0.5]}
    for asked in ({"condition": given}, {"condition": [1, [0.5]]}):
        answer = ready.post("/sample", {"num_samples": 3, "seed": 0, **asked})
        np.testing.assert_allclose(answer["samples"], expected, rtol=1e-5)
    columns = {"num_samples": 3, "seed": [0, 0], "temperature": 1, "label": ["yes"] * 3}
    asked = {"signature_name": "sample", "inputs": {**columns, "vector": [[0.5]] * 3}}
    answer = ready.post("/v1/models/both:predict", asked)["outputs"]
    np.testing.assert_allclose(answer, expected, rtol=1e-5)
    ready.refused("/sample", {"num_samples": 1}, "`condition` is missing")
    ready.refused("/sample", {"label": "yes"}, "give `condition` as")
    ready.refused("/sample", {"condition": {"label": "yes"}}, "a dict of `label` and `vector`")
    ready.refused("/sample", {"condition": {**given, "label": "yess"}}, "Did you mean 'yes'?")
    ready.refused("/sample", {"condition": {**given, "label": [[]]}}, "`condition label`")
    ready.batcher.close()


def test_rows_of_tables_go_by_their_names():
    columns = tfgen.data.Columns(
        [
            {"name": "height", "kind": "number", "low": 0.0},
            {"name": "answer", "kind": "category", "dtype": "str", "levels": ["no", "yes"]},
            {"name": "day", "kind": "date", "dtype": "datetime64[s]", "origin": "2020-01-01",
             "step": "day", "whole": True, "scale": 100.0},
            {"name": "at", "kind": "date", "dtype": "datetime64[us]", "origin": "2020-01-01",
             "step": "microsecond", "missing": True, "missing_share": 0.5},
        ]
    )  # fmt: skip
    model = tfgen.RealNVP(columns.event_shape, num_layers=1, hidden_units=(8,), columns=columns)
    ready = Ready(Served.of("table", model))
    rows = ready.post("/sample", {"num_samples": 4, "seed": 0})["samples"]
    assert all(list(row) == columns.names and row["answer"] in ("no", "yes") for row in rows)
    assert {len(row["day"]) for row in rows} == {len("2020-01-01T00:00:00")}
    # To the last digit.
    x = model.sample(4, seed=0).numpy()
    expected = columns.to_frame(x)
    found = tfgen.data.frames.import_pandas().DataFrame(rows)
    np.testing.assert_allclose(found["height"], expected["height"], rtol=1e-6, atol=0)
    answer = ready.post("/log_prob", {"x": rows})
    x, _ = columns.arrays(expected)
    np.testing.assert_allclose(answer["log_prob"], model.log_prob(x), rtol=1e-3)
    bad = {**rows[0], "day": 1609459200000}
    ready.refused("/log_prob", {"x": [bad]}, "'day': must hold dates or texts of dates; got 16094")
    ready.refused("/log_prob", {"x": [{**rows[0], "answer": "maybe"}]}, "answer")
    ready.refused("/log_prob", {"x": [{"height": 1.0}]}, "answer")
    for other in (3, None, [1, 2], "abc"):
        kind = type(other).__name__
        ready.refused("/log_prob", {"x": [rows[0], other]}, f"not both; row 1 is a {kind}")
        ready.refused("/log_prob", {"x": [other, rows[0]]}, f"not both; row 0 is a {kind}")
    ready.batcher.close()


def test_conditions_of_tables_are_given_once():
    columns = tfgen.data.Columns(
        [
            {"name": "h", "kind": "number"},
            {"name": "city", "kind": "category", "dtype": "str", "levels": ["A", "B"],
             "role": "condition"},
        ]
    )  # fmt: skip
    shapes = {"condition_shape": columns.condition_shape, "columns": columns}
    model = tfgen.RealNVP(columns.event_shape, num_layers=1, hidden_units=(8,), **shapes)
    ready = Ready(Served.of("table", model))
    asked = {"x": [{"h": 1.0, "city": "A"}]}
    found = ready.post("/log_prob", asked)["log_prob"]
    expected = model.log_prob([[1.0]], columns.conditions({"city": "A"}))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    ready.refused("/log_prob", {**asked, "condition": {"city": "B"}}, "`condition` was given twice")
    ready.batcher.close()


def test_many_callers_get_their_own_answers(images, images_model):
    """Of equal seeds and other rows, at the same time, in batches of 16 rows together."""
    sizes = [1, 5, 16, 3, 33, 2, 7, 40]
    asked = [(pixels(n, seed=n), n % 3) for n in sizes]
    answers, errors = [None] * len(asked), []
    start = threading.Barrier(len(asked))

    def ask(i):
        x, label = asked[i]
        try:
            start.wait()
            body = {"x": x.tolist(), "label": label}
            answers[i] = images.post("/log_prob", body)["log_prob"]
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=ask, args=[i]) for i in range(len(asked))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    for (x, label), answer in zip(asked, answers, strict=True):
        np.testing.assert_allclose(answer, images_model.log_prob(x, label), rtol=1e-5)


# ------------------------------------------------------------------- TensorFlow Serving's format

PREDICT = "/v1/models/moons:predict"


def test_rows_and_columns(flow, flow_model):
    x = [[0.5, 1.0], [2.0, 3.0]]
    expected = flow_model.log_prob(x)
    for instances in (x, [{"x": row} for row in x]):
        answer = flow.post(PREDICT, {"instances": instances})
        assert list(answer) == ["predictions"]
        np.testing.assert_allclose(answer["predictions"], expected, rtol=1e-5)
    for inputs in (x, {"x": x}):
        answer = flow.post("/v1/models/moons/versions/1:predict", {"inputs": inputs})
        np.testing.assert_allclose(answer["outputs"], expected, rtol=1e-5)
    by_row = [{"seed": 7, "row": 1}, {"seed": 8, "row": 0}]
    answer = flow.post(PREDICT, {"signature_name": "sample_by_row", "instances": by_row})
    first, second = flow_model.sample(2, seed=7)[1], flow_model.sample(1, seed=8)[0]
    np.testing.assert_allclose(answer["predictions"], [first, second], rtol=1e-5, atol=1e-6)
    asked = {"num_samples": 2, "seed": [7, 0], "temperature": 0.5}
    answer = flow.post(PREDICT, {"signature_name": "sample", "inputs": asked})
    expected = flow_model.sample(2, temperature=0.5, seed=7)
    np.testing.assert_allclose(answer["outputs"], expected, rtol=1e-5, atol=1e-6)


def test_what_a_model_says_of_itself_has_the_messages_of_tensorflow_serving(flow):
    from google.protobuf import json_format
    from tensorflow_serving.apis import get_model_metadata_pb2
    from tensorflow_serving.apis import get_model_status_pb2

    status = flow.get("/v1/models/moons").body
    read = json_format.Parse(status, get_model_status_pb2.GetModelStatusResponse())
    assert read.model_version_status[0].version == 1
    assert read.model_version_status[0].state == 30  # AVAILABLE
    metadata = flow.get("/v1/models/moons/metadata").body
    get_model_metadata_pb2.SignatureDefMap()
    read = json_format.Parse(metadata, get_model_metadata_pb2.GetModelMetadataResponse())
    signatures = get_model_metadata_pb2.SignatureDefMap()
    read.metadata["signature_def"].Unpack(signatures)
    info = signatures.signature_def["log_prob"].inputs["x"]
    assert info.dtype == tf.float32.as_datatype_enum
    assert [d.size for d in info.tensor_shape.dim] == [-1, 2]
    for path in ("/v1/models/moon", "/v1/models/moons/versions/2", "/v1/models/moon/metadata"):
        assert flow.get(path).status == 404
    assert "Did you mean 'moons'?" in flow.get("/v1/models/moon").json()["error"]
    flow.refused("/v1/models/moon:predict", {"instances": [[0, 0]]}, "'moons'", 404)


def test_labels_by_name_and_files_of_images(images, images_model):
    path, x = "/v1/models/shoes:predict", pixels(3)
    rows = [{"x": v.tolist(), "condition": "bag"} for v in x]
    asked = {"signature_name": "log_prob_by_name", "instances": rows}
    expected = images_model.log_prob(x, 2)
    np.testing.assert_allclose(images.post(path, asked)["predictions"], expected, rtol=1e-5)
    rows[1]["condition"] = "Hat"
    images.refused(path, asked, "got 'Hat'")
    rows = [{"seed": 3, "row": 1, "condition": "Boot"}]
    answer = images.post(path, {"signature_name": "sample_by_name", "instances": rows})
    np.testing.assert_array_equal(
        answer["predictions"][0], images_model.sample(2, 0, seed=3).numpy()[1]
    )
    files = [tf.io.encode_png(v).numpy() for v in x]
    rows = [{"image": {"b64": base64.b64encode(f).decode()}, "condition": "Bag"} for f in files]
    asked = {"signature_name": "log_prob_of_image", "instances": rows}
    np.testing.assert_allclose(images.post(path, asked)["predictions"], expected, rtol=1e-5)
    many = {**asked, "instances": rows * 6}
    images.refused(path, many, "`image` asks for 18 rows, more than a batch, 16")
    rows[2]["image"] = {"b64": "YQ=="}
    images.refused(path, asked, "`image` must be a PNG or JPEG file")
    rows[2]["image"] = 5
    images.refused(path, asked, "`image` must hold strings")


def test_labels_are_read_by_one_rule_in_python_and_in_graphs():
    names = ["boot", "Boot", "Bag", "STRASSE", "İ", "7"]

    def in_graph(label):
        try:
            return int(label_numbers(tf.constant([label]), names, "label")[0])
        except tf.errors.InvalidArgumentError:
            return None

    def in_python(label):
        try:
            return label_number(label, len(names), names)
        except ValueError as error:
            assert str(error).startswith("`label` must be ") and len(str(error)) < 300
            return None

    for label, number in [
        ("boot", 0), ("Boot", 1), ("BOOT", None), ("bAG", 2), ("straße", None), ("strasse", 3),
        ("i̇", 4), ("7", 5), ("5", 5), ("05", 5), ("6", None), ("٣", None), ("³", None),
        ("1" * 5000, None), ("", None), ("-1", None),
    ]:  # fmt: skip
        assert (in_python(label), in_graph(label)) == (number, number), label
    with pytest.raises(ValueError, match="'boot', 'Boot'.*differ in capitals only; got 'BOOT'"):
        label_number("BOOT", len(names), names)


# ------------------------------------------------------------------------------------ bad input

DEEP = b"[" * 5000 + b"]" * 5000
BAD = [
    ("/log_prob", {}, "`x` is missing"),
    ("/log_prob", {"x": None}, "`x` is missing"),
    ("/log_prob", {"x": []}, "`x` must have shape [n, 2]"),
    ("/log_prob", {"x": [[]]}, "`x` must have shape [n, 2]"),
    ("/log_prob", {"x": [[1, 2, 3]]}, "`x` must have shape [n, 2]; got [1, 3]"),
    ("/log_prob", {"x": [1, 2]}, "one example is"),
    ("/log_prob", {"x": [[1], [2, 3]]}, "`x` must be an array of numbers"),
    ("/log_prob", {"x": "abc"}, "`x` must be an array of numbers"),
    ("/log_prob", {"x": [["a", "b"]]}, "`x` must be an array of numbers"),
    ("/log_prob", {"x": [[None, 1]]}, "`x` must be an array of numbers"),
    ("/log_prob", {"x": {"a": 1}}, "`x` must be an array of numbers"),
    ("/log_prob", {"x": [{"a": 1}]}, "`x` must be an array of numbers"),
    ("/log_prob", {"x": [[float("nan"), 1]]}, "`x` must be finite"),
    ("/log_prob", {"x": [[float("inf"), 1]]}, "`x` must be finite"),
    ("/log_prob", b'{"x": [[1e400, 1]]}', "`x`"),
    ("/log_prob", b'{"x": [[' + b"9" * 400 + b", 1]]}", "`x`"),
    ("/log_prob", b'{"x": [[' + b"9" * 5000 + b", 1]]}", "the body must be JSON"),
    ("/log_prob", {"x": [[1e39, 1]]}, "`x`"),
    ("/log_prob", {"x": [[1, 2]], "condition": [1]}, "`condition` was given"),
    ("/log_prob", {"x": [[1, 2]], "label": 1}, "`label` was given"),
    ("/log_prob", {"x": [[1, 2]], "sed": 1}, "`sed` is no argument"),
    ("/log_prob", {"x": [[1, 2]], "sed": 1}, "Did you mean 'seed'?"),
    ("/log_prob", {"x": [[1, 2]], "seed": 1.5}, "`seed` must be"),
    ("/log_prob", {"x": [[1, 2]], "seed": "a"}, "`seed` must be"),
    ("/log_prob", {"x": [[1, 2]], "seed": None}, "`seed` must be"),
    ("/log_prob", {"x": [[1, 2]], "seed": [1, 2, 3]}, "`seed` must be"),
    ("/log_prob", {"x": [[1, 2]], "seed": [1, 2**31]}, "`seed` must"),
    ("/sample", {"seed": 2**64}, "`seed` must be an integer of at most 64 bits or two of 32"),
    ("/sample", {"seed": -(2**63) - 1}, "`seed` must be an integer of at most 64 bits"),
    ("/log_prob", {"x": [[1, 2]] * 41}, "`x` must have at most 40 rows; got 41"),
    ("/log_prob", b'{"x": ' + DEEP + b"}", "the body must be JSON"),
    ("/log_prob", b'{"x": ' + b"[" * 900 + b"1" + b"]" * 900 + b"}", "`x`"),
    ("/log_prob", b'{"NaN": ' + DEEP + b"}", "nested too deeply"),
    ("/log_prob", b"", "the body must be JSON"),
    ("/log_prob", b"\xff\xfe", "the body must be JSON"),
    ("/log_prob", b"[1, 2]", "an object of JSON; got a list"),
    ("/log_prob", b"null", "an object of JSON"),
    ("/log_prob", b'{"x": [[1, 2]]', "the body must be JSON"),
    ("/encode", {"x": [[1, 2, 3]]}, "`x` must have shape"),
    ("/encode", {"z": [[1, 2]]}, "`z` is no argument"),
    ("/decode", {}, "`z` is missing"),
    ("/decode", {"z": [[1, 2, 3]]}, "`z` must have shape [n, 2]"),
    ("/decode", {"z": []}, "`z` must"),
    ("/decode", {"z": [[float("nan"), 2]]}, "`z` must be finite"),
    ("/decode", {"z": [[1e39, 2]]}, "`z` must be finite"),
    ("/decode", {"z": [["a", 2]]}, "`z` must be an array of numbers"),
    ("/decode", {"z": [[True, False]]}, "`z` must hold numbers"),
    ("/sample", {"num_samples": 0}, "`num_samples` must be a whole number of at least 1; got 0"),
    ("/sample", {"num_samples": 10**6}, "`num_samples` must be at most 40; got 1000000"),
    ("/sample", {"num_samples": 10**30}, "`num_samples`"),
    ("/sample", b'{"num_samples": 1%s, "seed": NaN}' % (b"0" * 20), "`num_samples` must be at"),
    ("/sample", b'{"num_samples": 1%s, "seed": NaN}' % (b"0" * 400), "`num_samples` must be a"),
    ("/sample", b'{"temperature": 1%s, "seed": NaN}' % (b"0" * 20), "`seed` must be"),
    ("/sample", b'{"temperature": 1%s, "seed": NaN}' % (b"0" * 400), "`temperature` must be"),
    ("/sample", {"num_samples": -1}, "`num_samples`"),
    ("/sample", {"num_samples": 1.5}, "`num_samples`"),
    ("/sample", {"num_samples": "3"}, "`num_samples`"),
    ("/sample", {"num_samples": True}, "`num_samples`"),
    ("/sample", {"num_samples": [[3]]}, "`num_samples`"),
    ("/sample", b'{"num_samples": ' + b"[" * 900 + b"]" * 900 + b"}", ""),
    ("/sample", {"temperature": -1}, "`temperature` must be a number of at least 0; got -1"),
    ("/sample", {"temperature": float("nan")}, "`temperature`"),
    ("/sample", {"temperature": "hot"}, "`temperature`"),
    ("/sample", {"temperature": None}, "`temperature`"),
    ("/sample", {"condition": 1}, "`condition` was given"),
    ("/sample", {"format": "gif"}, "`format`"),
    ("/sample", {"format": [1]}, "`format`"),
    (PREDICT, {}, "`instances` or `inputs`"),
    (PREDICT, {"instances": [[1, 2]], "inputs": [[1, 2]]}, "`instances` or `inputs`"),
    (PREDICT, {"instances": []}, "`instances` must be a list of one row at least"),
    (PREDICT, {"instances": 5}, "`instances` must be a list"),
    (PREDICT, {"instances": [{"y": [1, 2]}]}, "`y` is no argument"),
    (PREDICT, {"instances": [{}]}, "`x` is missing"),
    (PREDICT, {"instances": [{"x": [1, 2]}, {}]}, "row 1 has others than row 0"),
    (PREDICT, {"instances": [{"x": [1, 2]}, 5]}, "row 1 is a int"),
    (PREDICT, {"instances": [[1, 2], {"x": [1, 2]}]}, "`x` must be an array of numbers"),
    (PREDICT, {"instances": [{"b64": "YQ=="}]}, "`x` must be an array of numbers"),
    (PREDICT, {"instances": [[1, 2]], "extra": 1}, "`extra` is no argument"),
    (PREDICT, {"signature_name": "log_prb", "instances": [[1, 2]]}, "Did you mean 'log_prob'?"),
    (PREDICT, {"signature_name": 5, "instances": [[1, 2]]}, "`signature_name` must be a text"),
    (PREDICT, {"signature_name": "sample", "instances": [5]}, "`instances` must hold objects"),
    (PREDICT, {"signature_name": "sample", "inputs": 5}, "`inputs` must name the inputs"),
    (PREDICT, {"signature_name": "sample", "inputs": {"seed": [0, 0]}}, "`num_samples` is missing"),
]
SAMPLE = {"num_samples": 2, "seed": [0, 0], "temperature": 1.0}
for name, value in [
    ("num_samples", 0), ("num_samples", [2]), ("num_samples", 2.5), ("num_samples", 2**40),
    ("seed", 5), ("seed", [1, 2.5]), ("seed", [1, 2**31]), ("seed", "ab"), ("seed", [True, False]),
    ("temperature", -1), ("temperature", [1]), ("temperature", "hot"), ("temperature", 1e39),
]:  # fmt: skip
    asked = {"signature_name": "sample", "inputs": {**SAMPLE, name: value}}
    BAD.append((PREDICT, asked, f"`{name}`"))


@pytest.mark.parametrize("number", range(len(BAD)))
def test_bad_input_is_told_by_the_name_of_the_argument(flow, number):
    path, content, words = BAD[number]
    error = flow.refused(path, content, words)
    assert len(error) <= 1000


def test_bad_input_of_conditional_models(images):
    x = pixels(2).tolist()
    for given, words in [
        ({}, "`condition` is missing"),
        ({"label": "Sneker"}, "Did you mean 'Sneaker'?"),
        ({"label": 3}, "`condition` must hold labels in 0..2; got values from 3 to 3"),
        ({"label": -1}, "labels in 0..2"),
        ({"label": [0, "Hat"]}, "got 'Hat'"),
        ({"label": [0, 1, 2]}, "one for each of the 2 examples"),
        ({"label": {"a": 1}}, "`condition`"),
        ({"label": 0.5}, "labels in 0..2"),
        ({"label": 0, "condition": 0}, "`condition` or `label`"),
    ]:
        images.refused("/log_prob", {"x": x, **given}, words)
        images.refused("/sample", {"num_samples": 2, **given}, words)
    for value, words in [
        (256, "`x` must hold integers"), (-1, "`x` must hold"), (0.5, "`x` must hold"),
        (True, "booleans"),
    ]:  # fmt: skip
        bad = np.full((2, 4, 4, 1), value).tolist()
        images.refused("/log_prob", {"x": bad, "label": 0}, words)


def test_limits(flow):
    error = flow.refused("/log_prob", b'{"x": [' + b"[1, 2]," * 5000 + b"[1, 2]]}", "", 413)
    assert "20000 bytes" in error
    assert flow.get("/nothing").status == 404
    assert flow.get("/sample").status == 405
    assert flow.get("/nothing").json() == {"error": "Not Found"}
    assert Answer(flow.app, "HEAD", "/healthz").status == 200
    # Refused by what it says of itself: nothing of it has to come.
    declared = {"content-length": str(4 * LIMITS.max_body + 1)}
    assert "20000 bytes" in flow.post("/log_prob", b"", 413, **declared)["error"]
    limits = Limits(max_held=10)
    busy = Ready(flow.served, limits)
    busy.refused("/sample", b" " * 50, "too many bodies", 429)
    # What was held is free again.
    busy.post("/sample", {})
    busy.batcher.close()


def test_large_bodies_keep_nobody_waiting(flow, monkeypatch):
    """They are read in another thread, and rows are counted before they are converted."""
    threads = []

    def recorded(body):
        threads.append(threading.current_thread() is threading.main_thread())
        return parsed(body)

    monkeypatch.setattr(http, "parsed", recorded)
    ready = Ready(flow.served, Limits())
    few = [[1.0, 2.0]] * 2
    ready.post("/log_prob", {"x": few})
    ready.post("/log_prob", json.dumps({"x": few}).encode() + b" " * 2**18)
    assert threads == [True, False]
    # Converting would tell of the numbers.
    rows = [["a", "b"]] * 41
    for path, content, name in [
        ("/log_prob", {"x": rows}, "x"),
        ("/decode", {"z": rows}, "z"),
        (PREDICT, {"instances": rows}, "x"),
    ]:
        ready.refused(path, content, f"`{name}` must have at most 40 rows; got 41")
    ready.batcher.close()
    compared = []
    monkeypatch.setattr(
        hints.difflib, "get_close_matches", lambda name, *_, **__: compared.append(name)
    )
    flow.refused("/sample", {"s" * 5000: 1}, "is no argument")
    assert compared == ["s" * 100]


def test_what_takes_too_long_is_told_to_come_again(flow):
    hurried = Ready(flow.served, Limits(seconds=1e-4))
    asked = {"num_samples": 40}
    hurried.refused("/sample", asked, "not computed in 0.0001 s: ask for fewer rows", 429)
    hurried.batcher.close()


def test_what_the_server_says_of_itself(flow):
    flow.app.watch.state = "stopping"
    assert flow.get("/healthz").status == 503
    flow.app.watch.state = "ready"
    assert flow.get("/healthz").json() == {"status": "ready", "model": "moons"}
    flow.post("/sample", {})
    text = flow.get("/metrics").body.decode()
    assert 'tfgen_requests_total{endpoint="sample",status="200"}' in text
    assert "tfgen_queued_rows 0.0" in text and "tfgen_batch_rows_bucket" in text
    assert "/log_prob" in flow.get("/openapi.json").json()["paths"]


# ---------------------------------------------------------------------------------- SavedModels


def test_an_export_answers_as_its_model_does(images, images_model, tmp_path):
    images_model.export(tmp_path / "shoes", verbose=False, version=3, class_names=CLASSES)
    served = open_served(tmp_path / "shoes")
    assert (served.name, served.version) == ("shoes", 3)
    ready = Ready(served)
    x = pixels(20).tolist()
    for path, asked in [
        ("/log_prob", {"x": x, "label": 1}),
        ("/encode", {"x": x, "condition": 0}),
        ("/sample", {"num_samples": 20, "label": 2, "seed": 4}),
        ("/sample", {"num_samples": 10, "label": 2, "seed": 4, "temperature": 0.5}),
    ]:
        expected, found = images.post(path, asked), ready.post(path, asked)
        assert expected.keys() == found.keys()
        for key in expected.keys() - {"likelihood"}:
            np.testing.assert_allclose(found[key], expected[key], rtol=1e-5, atol=1e-5)
    ready.refused("/log_prob", {"x": [[1]], "label": 1}, "`x` must have shape [n, 4, 4, 1]")
    words = "`num_samples` asks for 17 rows, more than a batch, 16"
    error = ready.refused("/sample", {"num_samples": 17, "label": 0, "temperature": 0.5}, words)
    assert "`--max-batch-rows`" in error
    ready.batcher.close()
    file = tmp_path / "shoes" / "3" / FILE
    content = json.loads(file.read_text())
    for change, words in [
        ({"event_shape": [5, 4, 1]}, "does not describe the SavedModel beside it: its `log_prob`"),
        ({"num_classes": None, "condition_shape": None}, "must take `x` [n, 4, 4, 1] uint8, of"),
        ({"kind": "real"}, "must take `x` [n, 4, 4, 1] float32, `condition` [n] int32, of"),
        ({"num_bits": float("inf")}, "is damaged"),
        ({"event_shape": [float("inf"), 4, 1]}, "is damaged"),
    ]:
        file.write_text(json.dumps({**content, "data": {**content["data"], **change}}))
        with pytest.raises(ValueError) as error:
            open_served(tmp_path / "shoes")
        assert words in str(error.value)


class Foreign(tf.Module):
    """A SavedModel of another origin: means over its rows, strings, what is not finite."""

    @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="a")])
    def centred(self, a):
        return {"centred": a - tf.reduce_mean(a, 0)}

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, name="text"),
            tf.TensorSpec([None], tf.float32, name="value"),
        ]
    )
    def several(self, text, value):
        logs = tf.math.log(value)
        return {"raw_bytes": text, "text": text, "log": logs, "total": tf.reduce_sum(logs)[None]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, name="n")])
    def picky(self, n):
        with tf.control_dependencies([tf.debugging.assert_less(n, 3, "n is too large")]):
            return {"n": tf.identity(n), "half": tf.cast(n, tf.bfloat16)}

    @tf.function(input_signature=[tf.TensorSpec([20], tf.float32, name="vector")])
    def whole(self, vector):
        return {"sum": tf.reduce_sum(vector)}

    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32, name="any")])
    def shapeless(self, any):
        return {"sum": tf.reduce_sum(any)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="file")])
    def reads(self, file):
        return {"text": tf.map_fn(tf.io.read_file, file)}


class Spectrum(tf.Module):
    """One with what JSON does not have."""

    @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, name="a")])
    def spectrum(self, a):
        return {"spectrum": tf.signal.rfft(a)}


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "foreign"
    module = Foreign()
    names = ("centred", "several", "picky", "whole", "shapeless", "reads")
    signatures = {name: getattr(module, name) for name in names}
    tf.saved_model.save(module, str(folder), signatures=signatures)
    ready = Ready(open_served(folder))
    yield ready
    ready.batcher.close()


def test_savedmodels_of_others_are_served_as_they_are(foreign):
    path = "/v1/models/foreign:predict"
    asked = {"signature_name": "centred", "instances": [[1, 2], [3, 6]]}
    assert foreign.post(path, asked)["predictions"] == [[-1, -2], [1, 2]]
    code = base64.b64encode(b"\x00\xff").decode()
    rows = [{"text": "é", "value": 1}, {"text": {"b64": code}, "value": 0}]
    asked = {"signature_name": "several", "inputs": {k: [r[k] for r in rows] for k in rows[0]}}
    answer = foreign.post(path, asked)["outputs"]
    assert answer["raw_bytes"] == [{"b64": base64.b64encode("é".encode()).decode()}, {"b64": code}]
    assert answer["text"][0] == "é" and answer["log"] == [0.0, -np.inf]
    # More than a batch of this server: nothing is known of the rows, if they are any.
    for signature in ("whole", "shapeless"):
        asked = {"signature_name": signature, "inputs": [1] * 20}
        assert foreign.post(path, asked)["outputs"] == 20
    asked = {"signature_name": "centred", "inputs": [[1, 1]] * 20}
    assert foreign.post(path, asked)["outputs"] == [[0, 0]] * 20
    asked = {"signature_name": "picky", "instances": [1, 2]}
    assert foreign.post(path, asked)["predictions"] == [{"n": 1, "half": 1}, {"n": 2, "half": 2}]


@pytest.mark.parametrize(
    ("signature", "given", "words"),
    [
        ("picky", {"instances": [5]}, "n is too large"),
        ("picky", {"instances": [1.5]}, "`n` must hold whole numbers"),
        ("picky", {"instances": [2**31]}, "`n` must hold whole numbers"),
        ("picky", {"inputs": []}, "`n` must have at least one row"),
        ("several", {"instances": [{"text": 5, "value": 1}]}, "`text` must hold strings"),
        ("several", {"instances": [{"text": {"b64": "?"}, "value": 1}]}, "base64"),
        ("several", {"instances": [{"text": [["a"], []], "value": 1}]}, "`text`"),
        ("several", {"instances": [{"text": "a", "value": 1}, {"text": "b", "value": 1}]}, "`inp"),
        ("centred", {"instances": [["a", "b"]]}, "`a` must be an array of numbers"),
        ("reads", {"instances": ["/no/such/file"]}, "the model refuses this: /no/such/file"),
    ],
)
def test_bad_input_of_savedmodels_of_others(foreign, signature, given, words):
    asked = {"signature_name": signature, **given}
    foreign.refused("/v1/models/foreign:predict", asked, words)
    foreign.refused("/log_prob", {"x": [[1, 2]]}, "this model has no `log_prob`")


def test_savedmodels_with_outputs_that_json_does_not_have_are_refused(tmp_path):
    module = Spectrum()
    tf.saved_model.save(module, str(tmp_path), signatures={"spectrum": module.spectrum})
    with pytest.raises(ValueError, match="'spectrum' has the output 'spectrum' of complex64"):
        open_served(tmp_path)
