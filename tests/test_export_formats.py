"""Files of other formats give the model's figures, in their own interpreters."""

import sys

import numpy as np
import pytest
import tensorflow as tf
import zoo
from test_saving import latents_of

import tfgen
from tfgen.core.export_formats import file_signatures


def run_onnx(file, given):
    runtime = pytest.importorskip("onnxruntime")
    # Its warnings are of graphs that it could make no smaller.
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(str(file), options)
    assert [each.name for each in session.get_inputs()] == list(given)
    return session.run(None, given)[0]


def run_litert(file, given):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    runner = interpreter.Interpreter(model_path=str(file)).get_signature_runner()
    (figures,) = runner(**given).values()
    return figures


RUN = {"onnx": run_onnx, "litert": run_litert}


@pytest.mark.parametrize("format", RUN)
@pytest.mark.parametrize(
    "name",
    ["realnvp_2", *zoo.slow("maf", "nsf", "glow_classes", "realnvp_images", "gan", "pixelcnn")],
)
def test_figures_of_a_file(name, format, tmp_path):
    case = zoo.case(name)
    x, y = case.x, case.y
    condition = {} if y is None else {"condition": y.astype("int32")}
    for signature in file_signatures(case.model):
        case.model.export(tmp_path / "file", format=format, signature=signature, verbose=False)
        given = {"z": latents_of(case)} if signature == "decode" else {"x": x}
        got = RUN[format](tmp_path / "file", {**given, **condition})
        expected = getattr(case.model, signature)(*given.values(), y).numpy()
        assert got.dtype == expected.dtype
        if expected.dtype == np.uint8:
            assert (got != expected).mean() < 0.01
        else:
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_the_default_is_that_of_serving_default(tmp_path, capsys):
    gan = zoo.case("gan").model
    gan.export(tmp_path / "gan.tflite", format="litert")
    assert capsys.readouterr().out == f"decode of GAN as litert in {tmp_path / 'gan.tflite'}\n"


def test_what_does_not_go_is_refused_by_name(tmp_path, monkeypatch):
    path, flow, vae = tmp_path / "file", zoo.case("realnvp_2").model, zoo.case("vae").model
    noise = "needs random numbers"
    for model, arguments, words in [
        (flow, {"signature": "sample"}, f"'sample' of this RealNVP {noise}.* run 'decode'"),
        (vae, {}, rf"'log_prob' of this VAE {noise}.*SavedModel.*\['encode', 'decode'\]"),
        (flow, {"signature": "logprob"}, r"`signature` must be one of \['log_prob', .*'logprob'"),
        (flow, {"version": 1}, "`version` does not go with `format` 'onnx'; got 1"),
    ]:
        with pytest.raises(ValueError, match=words):
            model.export(path, format="onnx", **arguments)
    with pytest.raises(ValueError, match="`signature` does not go with `format` 'tf_saved_model'"):
        flow.export(path, signature="log_prob")
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(ImportError, match=r"needs tf2onnx: pip install 'tfgen\[onnx\]'"):
        flow.export(path, format="onnx")
    assert not path.exists()


@pytest.mark.parametrize("format", RUN)
def test_an_operation_that_a_format_lacks(format, tmp_path):
    model = tfgen.RealNVP(2, num_layers=1, hidden_units=(4,))
    model._log_prob = lambda x, seed, start: tf.math.igamma(tf.exp(x[:, 0]), tf.exp(x[:, 1]))
    with pytest.raises(ValueError, match=f"`format` '{format}' lacks an operation.*[Ii]gamma"):
        model.export(tmp_path / "file", format=format)
