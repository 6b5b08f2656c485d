"""Exports behind TensorFlow Serving: its JSON, its messages, versions, metadata, labels, images.

Its server is not among what these tests can run; what it does with a request is written down here:
a row of `instances` becomes a row of each input, `inputs` are whole, bytes are `{"b64": ...}`, and
inputs that are left out have the defaults of the SignatureDef.
"""

import base64
import io
import json
import shutil
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo
from click.testing import CliRunner
from PIL import Image
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

import tfgen
from tfgen.app.cli import main
from tfgen.app.exports import export_version
from tfgen.app.serving import served as serving
from tfgen.core.export_metadata import find_export
from tfgen.core.export_metadata import read_metadata
from tfgen.core.export_metadata import versions
from tfgen.data.rows import load_rows

NAMES = ["Boot", "Ankle boot", "7"]


@pytest.fixture(scope="module")
def glow():
    """A Glow of small coloured images with labels, its weights shifted, and its export."""
    model = zoo.glow((6, 4, 3), num_classes=3, data_kind="uint8")
    zoo.perturb(model)
    return model


@pytest.fixture(scope="module")
def folder(glow, tmp_path_factory):
    path = tmp_path_factory.mktemp("served") / "glow"
    glow.export(path, version="next", class_names=NAMES, verbose=False)
    return path


@pytest.fixture(scope="module")
def served(folder):
    return Served(find_export(folder))


@pytest.fixture(scope="module")
def x(glow):
    return np.random.default_rng(0).integers(0, 256, (3, *glow.event_shape)).astype("uint8")


class Served:
    """What TensorFlow Serving does with a request, in its own messages."""

    def __init__(self, folder):
        apis = pytest.importorskip("tensorflow_serving.apis.predict_pb2")
        self._request = apis.PredictRequest
        message = SavedModel.FromString((folder / "saved_model.pb").read_bytes())
        self._definitions = message.meta_graphs[0].signature_def
        self.functions = tf.saved_model.load(str(folder)).signatures

    def predict(self, body):
        """The body of the answer to a request's."""
        body = json.loads(json.dumps(body))
        name = body.pop("signature_name", "serving_default")
        request = self._request.FromString(self._parsed(name, body).SerializeToString())
        definition = self._definitions[name]
        assert request.inputs.keys() <= definition.inputs.keys()
        inputs = {**definition.defaults, **request.inputs}
        assert inputs.keys() == definition.inputs.keys(), "an input is missing"
        function = self.functions[name]
        outputs = function(**{k: tf.constant(tf.make_ndarray(v)) for k, v in inputs.items()})
        assert outputs.keys() == definition.outputs.keys()
        (figures,) = outputs.values()
        return {"predictions" if "instances" in body else "outputs": figures.numpy().tolist()}

    def _parsed(self, name, body):
        """The message of a body of JSON."""
        ((kind, given),) = body.items()
        inputs = self._definitions[name].inputs
        if kind == "instances":
            if len(inputs) == 1 and not (isinstance(given[0], dict) and set(given[0]) != {"b64"}):
                given = [{only: row for only in inputs} for row in given]
            # Every row must have every input.
            assert all(row.keys() == inputs.keys() for row in given)
            given = {key: [row[key] for row in given] for key in inputs}
        request = self._request()
        request.model_spec.name, request.model_spec.signature_name = "glow", name
        for key, value in given.items():
            dtype = tf.as_dtype(inputs[key].dtype)
            tensor = tf.make_tensor_proto(as_bytes(value), dtype)
            shape = tf.TensorShape(inputs[key].tensor_shape)
            assert shape.is_compatible_with(tf.TensorShape(tensor.tensor_shape))
            request.inputs[key].CopyFrom(tensor)
        return request


def as_bytes(value):
    if isinstance(value, list):
        return [as_bytes(each) for each in value]
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value


def png(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return {"b64": base64.b64encode(file.getvalue()).decode()}


def test_rows_of_instances(glow, served, x):
    """Each row its own answer."""
    labels = [0, 2, 1]
    rows = [{"x": r.tolist(), "condition": k} for r, k in zip(x, labels, strict=True)]
    got = served.predict({"instances": rows})
    expected = glow.log_prob(x, labels).numpy()
    np.testing.assert_allclose(got["predictions"], expected, rtol=1e-6)
    for row in rows:
        row |= {"seed": 2**40 + 3, "row": 5}
    got = served.predict({"signature_name": "log_prob_by_row", "instances": rows})
    alone = [
        glow.log_prob(np.stack([r] * 6), k, seed=2**40 + 3)[5]
        for r, k in zip(x, labels, strict=True)
    ]
    np.testing.assert_allclose(got["predictions"], alone, rtol=1e-5)
    rows = [{"condition": 1, "seed": 4, "row": 0}, {"condition": 0, "seed": 4, "row": 0}]
    got = served.predict({"signature_name": "sample_by_row", "instances": rows})
    alone = [glow.sample(1, k, seed=4)[0] for k in (1, 0)]
    assert np.mean(np.array(got["predictions"]) != np.array(alone)) < 0.01


def test_columns_of_inputs_and_defaults(glow, served, x):
    inputs = {"num_samples": 2, "condition": [1, 1]}
    got = served.predict({"signature_name": "sample", "inputs": inputs})
    assert np.mean(np.array(got["outputs"]) != glow.sample(2, 1, seed=0).numpy()) < 0.01
    inputs |= {"temperature": 0.0, "seed": [3, 0]}
    got = served.predict({"signature_name": "sample", "inputs": inputs})
    expected = glow.sample(2, 1, temperature=0.0, seed=3).numpy()
    assert np.mean(np.array(got["outputs"]) != expected) < 0.01
    z = glow.encode(x, 1).numpy()
    body = {"inputs": {"z": z.tolist(), "condition": [1, 1, 1]}, "signature_name": "decode"}
    assert np.mean(np.array(served.predict(body)["outputs"]) != x) < 0.01


def test_labels_by_name(glow, served, x):
    labels, numbers = ["ANKLE boot", "Boot", "1"], [1, 0, 1]
    rows = [{"x": r.tolist(), "condition": k} for r, k in zip(x, labels, strict=True)]
    for name, method in (("log_prob", glow.log_prob), ("encode", glow.encode)):
        got = served.predict({"signature_name": f"{name}_by_name", "instances": rows})
        np.testing.assert_allclose(got["predictions"], method(x, numbers), rtol=1e-5, atol=1e-5)
    rows = [{"condition": "7", "seed": 4, "row": 0}]
    got = served.predict({"signature_name": "sample_by_name", "instances": rows})
    # A name goes before the number.
    assert np.mean(np.array(got["predictions"]) != glow.sample(1, 2, seed=4).numpy()) < 0.01
    for unknown in ("boots", "3", "-1", ""):
        body = {"inputs": {"condition": ["Boot", unknown], "z": np.zeros([2, 72]).tolist()}}
        words = f"`condition` must be one of Boot, .* got. .{unknown}"
        with pytest.raises(tf.errors.InvalidArgumentError, match=words):
            served.predict({"signature_name": "decode_by_name", **body})


def test_files_of_images_have_the_scores_of_tfgen_score(glow, served, tmp_path):
    rng = np.random.default_rng(0)
    shapes, suffixes = [(6, 4, 3), (31, 57, 3), (9, 5), (50, 20, 4)], ["png", "jpg", "png", "png"]
    contents = []
    for i, (shape, suffix) in enumerate(zip(shapes, suffixes, strict=True)):
        file = tmp_path / f"{i}.{suffix}"
        Image.fromarray(rng.integers(0, 256, shape).astype("uint8")).save(file)
        contents.append({"b64": base64.b64encode(file.read_bytes()).decode()})
    images = load_rows(tmp_path, glow.event_shape).x
    rows = [{"image": content, "condition": "boot"} for content in contents]
    for name, method in (("log_prob", glow.log_prob), ("encode", glow.encode)):
        got = served.predict({"signature_name": f"{name}_of_image", "instances": rows})
        np.testing.assert_allclose(got["predictions"], method(images, 0), rtol=1e-5, atol=1e-5)


def encoded(image, format, **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def test_files_that_score_would_take_otherwise_are_refused(served):
    image = Image.new("RGB", (6, 4))
    turned = Image.Exif()
    turned[0x0112] = 6
    deep = Image.fromarray(np.zeros([4, 4], "uint16"))
    large = bytearray(encoded(image, "PNG"))
    large[16:24] = (2**15).to_bytes(4, "big") * 2
    for content, words in [
        (b"GIF89a", "`image` must be a PNG or JPEG file"),
        (encoded(image, "JPEG", exif=turned), "`image` must be stored upright"),
        (encoded(image, "PNG", exif=turned), "`image` must be stored upright"),
        (encoded(image.convert("CMYK"), "JPEG"), "`image` must be grey or of three colours"),
        (encoded(deep, "PNG"), "`image` must have at most 8 bits per channel.*16"),
        (bytes(large), "`image` must have 2.25 pixels at most.*32768 32768"),
        (encoded(image, "PNG")[:40], "PNG"),
    ]:
        given = {"image": tf.constant([content]), "condition": tf.constant(["Boot"])}
        with pytest.raises(tf.errors.InvalidArgumentError, match=words):
            served.functions["log_prob_of_image"](**given)


def test_a_layer_of_keras(glow, folder, x):
    layer = keras.layers.TFSMLayer(str(find_export(folder)), call_endpoint="serving_default")
    got = layer(x, condition=np.array([0, 1, 2], "int32"))["log_prob"]
    np.testing.assert_allclose(got, glow.log_prob(x, [0, 1, 2]), rtol=1e-6)


def test_a_layer_of_keras_with_one_input(tmp_path):
    model = zoo.case("realnvp_2").model
    model.export(tmp_path, verbose=False)
    layer = keras.layers.TFSMLayer(str(tmp_path), call_endpoint="serving_default")
    inputs = keras.Input((2,))
    scores = keras.Model(inputs, layer(inputs))
    x = zoo.case("realnvp_2").x
    np.testing.assert_allclose(scores(x)["log_prob"], model.log_prob(x), rtol=1e-6)


# ---------------------------------------------------------------------- versions and metadata


def test_metadata_say_what_the_server_must_know(glow, folder):
    read = read_metadata(folder)
    assert (read.class_name, read.likelihood, read.class_names) == ("Glow", "bound", NAMES)
    assert read.latent_shape == glow.latent_shape
    spec, own = read.data_spec, glow.data_spec
    assert (spec.event_shape, spec.kind, spec.num_bits) == (own.event_shape, "uint8", own.num_bits)
    with pytest.raises(ValueError, match=r"`condition` must hold labels in 0..2; got .*3"):
        spec.check_condition([3], 1)
    sample = read.signatures["sample"]
    assert sample["defaults"] == {"seed": [0, 0], "temperature": 1.0}
    assert sample["inputs"]["num_samples"].dtype == tf.int32
    assert sample["outputs"]["samples"].shape.as_list() == [None, *glow.event_shape]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:99],
        lambda text: "[]",
        lambda text: "{}",
        lambda text: text.replace('"uint8"', '"uint9"'),
        lambda text: text.replace('"likelihood": "bound"', '"likelihood": 1'),
        lambda text: text.replace('"float32"', '"float33"'),
        lambda text: text.replace('"signatures": {', '"signatures": 5, "s": {'),
    ],
)
def test_metadata_that_are_damaged(folder, tmp_path, damage):
    shutil.copytree(folder / "1", tmp_path / "1")
    file = tmp_path / "1" / "assets.extra" / "tfgen.json"
    file.write_text(damage(file.read_text()))
    with pytest.raises(ValueError, match="tfgen.json is damaged"):
        read_metadata(tmp_path)
    file.unlink()
    with pytest.raises(ValueError, match="SavedModel without .*tfgen.json"):
        read_metadata(tmp_path)


def test_versions_stand_beside_each_other(tmp_path):
    model = tfgen.models.Flow(2, tfgen.bijectors.ActNorm())
    assert versions(tmp_path / "none") == []
    with pytest.raises(ValueError, match="`folder` must be that of a SavedModel"):
        find_export(tmp_path)
    for version in (9, "next", 9):
        model.export(tmp_path, version=version, verbose=False)
    (tmp_path / "11").mkdir()
    assert versions(tmp_path) == [9, 10]
    assert find_export(tmp_path) == tmp_path / "10"
    labels = zoo.case("realnvp_labels").model
    for arguments, words in [
        ({"version": 0}, '`version` must be a positive whole number, "next" or None; got 0'),
        ({"version": "2"}, "`version` must be .* got '2'"),
        ({"class_names": ["a"]}, r"`class_names` must be 2 different texts.* got \['a'\]"),
        ({"class_names": "ab"}, "`class_names` must be 2 different texts"),
        ({"preprocessing": {"a": object()}}, "`preprocessing` must be a dict of plain values"),
    ]:
        with pytest.raises(ValueError, match=words):
            labels.export(tmp_path, **arguments)
    with pytest.raises(ValueError, match="`class_names` must be None: this Flow has no labels"):
        model.export(tmp_path, class_names=["a", "b"])


@pytest.mark.slow
def test_a_run_writes_a_version_for_new_weights(tmp_path):
    model = zoo.perturb(tfgen.RealNVP(2, num_layers=1, hidden_units=(4,), num_classes=2))
    settings = {"class_names": ["no", "yes"], "image_size": None, "binarise": "static"}

    def found():
        export_version(model, settings, tmp_path)
        return versions(tmp_path)

    assert found() == found() == [1]
    read = read_metadata(tmp_path)
    assert (read.class_names, read.preprocessing) == (["no", "yes"], {"binarise": "static"})
    zoo.perturb(model)
    assert found() == found() == [1, 2]
    (tmp_path / "2" / "assets.extra" / "tfgen.json").write_text("{")
    # Names of other labels than the model has.
    settings["class_names"] = ["no", "yes", "perhaps"]
    assert found() == [1, 2, 3]
    assert read_metadata(tmp_path).class_names is None


# `test_a_run_writes_a_version_for_new_weights` has several versions.
@pytest.mark.parametrize("versions_made", [["1"], *zoo.slow(["1", "2"])])
def test_the_command_exports_presets(tmp_path, versions_made):
    def invoke(*arguments):
        return CliRunner().invoke(main, ["export", "nsf_pinwheel", *map(str, arguments)])

    for version in versions_made:
        result = invoke("--out", tmp_path / "served")
        assert result.output == f"{tmp_path / 'served' / version}\n", result.output
    assert read_metadata(tmp_path / "served").class_name == "NSF"
    result = invoke("--out", tmp_path / "file", "--format", "litert", "--signature", "sample")
    assert result.exit_code and "`signature` 'sample' of this NSF needs" in result.output
    result = invoke("--out", tmp_path / "served", "--signature", "encode")
    assert result.exit_code and "`signature` does not go with `format`" in result.output
    assert versions(tmp_path / "served") == [int(version) for version in versions_made]


# ---------------------------------------------------------------------------------- threads


def test_threads_of_one_model_get_their_own_answers():
    case = zoo.case("realnvp_2")
    model, found = case.model, {}
    seeds = range(16)
    expected = [(model.sample(5, seed=s).numpy(), model.log_prob(case.x * s)) for s in seeds]
    ready = threading.Barrier(len(seeds))

    def call(seed):
        ready.wait()
        for _ in range(5):
            found.setdefault(seed, []).append(
                (model.sample(5, seed=seed).numpy(), model.log_prob(case.x * seed))
            )

    threads = [threading.Thread(target=call, args=(seed,)) for seed in seeds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in seeds:
        assert len(found[seed]) == 5
        for got in found[seed]:
            for one, other in zip(got, expected[seed], strict=True):
                np.testing.assert_array_equal(one, other)


# ------------------------------------------------------------------- classifiers and translators


def as_file(image):
    return encoded(Image.fromarray(image[..., 0]), "PNG")


def of_answers(cls):
    """A small model that answers, its weights shifted, and examples."""
    rng = np.random.default_rng(0)
    if cls is tfgen.CycleGAN:
        sizes = {"filters": 2, "num_blocks": 1, "num_halvings": 1}
        model = cls((8, 8, 1), (8, 8, 3), **sizes)
    else:
        networks = {"features": "mlp"}
        if cls is tfgen.SemiSupervisedGAN:
            networks = {"latent_dim": 2, "decoder": "mlp", "critic": "mlp"}
        model = cls((8, 8, 1), num_classes=3, **networks)
    zoo.perturb(model)
    return model, rng.integers(0, 256, (3, 8, 8, 1)).astype("uint8")


@pytest.mark.parametrize("cls", [tfgen.DomainAdversarial, *zoo.slow(tfgen.SemiSupervisedGAN)])
def test_classifiers_serve_classes(cls, tmp_path):
    model, x = of_answers(cls)
    names = ["cat", "dog", "cow"]
    with pytest.raises(ValueError, match="`class_names` must be 3 different texts"):
        model.export(tmp_path / "export", class_names=names[:2])
    model.export(tmp_path / "export", verbose=False, class_names=names)
    assert "classify" in model.signatures()
    served = tf.saved_model.load(str(tmp_path / "export")).signatures
    got = served["classify"](x=tf.constant(x))
    log_probs = model.class_log_probs(x)
    np.testing.assert_allclose(got["log_probs"], log_probs, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(got["label"], model.classify(x))
    np.testing.assert_array_equal(got["label"], np.argmax(log_probs, -1))
    named = served["classify_by_name"](x=tf.constant(x))
    assert [name.decode() for name in named["name"].numpy()] == [names[k] for k in got["label"]]
    np.testing.assert_array_equal(named["log_probs"], got["log_probs"])
    of_image = served["classify_of_image"](image=tf.constant(list(map(as_file, x))))
    np.testing.assert_array_equal(of_image["label"], got["label"])
    default = served["serving_default"].structured_outputs
    assert set(default) == ({"x"} if cls is tfgen.SemiSupervisedGAN else {"label", "log_probs"})
    about = read_metadata(tmp_path / "export")
    assert about.class_name == cls.__name__ and about.likelihood == "none"
    assert about.class_names == names
    assert about.signatures["classify"]["outputs"]["log_probs"].shape[-1] == 3


def test_translators_serve_both_ways(tmp_path):
    model, x = of_answers(tfgen.CycleGAN)
    model.export(tmp_path / "export", verbose=False)
    assert model.signatures() == ["translate", "translate_back"]
    served = tf.saved_model.load(str(tmp_path / "export")).signatures
    there = model.translate(x)
    np.testing.assert_array_equal(served["translate"](x=tf.constant(x))["y"], there)
    np.testing.assert_array_equal(served["serving_default"](x=tf.constant(x))["y"], there)
    back = served["translate_back"](y=there)["x"]
    np.testing.assert_array_equal(back, model.translate_back(there))
    images = tf.constant(list(map(as_file, x)))
    np.testing.assert_array_equal(served["translate_of_image"](image=images)["y"], there)


def test_answers_are_served_over_http():
    model, x = of_answers(tfgen.DomainAdversarial)
    answering = serving.Served.of("answers", model, ["cat", "dog", "cow"])
    assert answering.operations == []
    call = answering.call("classify_by_name", {"x": x.tolist()})
    assert {name.decode() for name in call.run(call.rows)["name"]} <= {"cat", "dog", "cow"}
    for name in ("classify", "serving_default"):
        call = answering.call(name, {"x": x.tolist()})
        np.testing.assert_array_equal(call.run(call.rows)["label"], model.classify(x))
