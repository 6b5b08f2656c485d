"""The command line: runs that train, resume, evaluate and sample."""

import json
import logging
import os

import keras
import numpy as np
import pytest
import zoo
from click.testing import CliRunner
from PIL import Image

import tfgen
from tfgen.app import runs
from tfgen.app import terminal
from tfgen.app.cli import main
from tfgen.app.devices import get_strategy
from tfgen.app.run_folder import read_settings
from tfgen.app.settings import as_command
from tfgen.app.settings import make_model

SMALL = {"num_levels": 1, "num_steps": 1, "filters": 4, "num_classes": 10}


def invoke(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of two epochs: a class-conditional Glow on the digits."""
    out = tmp_path_factory.mktemp("runs") / "digits"
    settings = [f"--set={k}={v}" for k, v in SMALL.items()]
    result = invoke(
        "train", "Glow", "--data", "digits", "--out", out, *settings,
        "--batch-size", 500, "--epochs", 2, "--num-validation", 50, "--verbose", 0,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return out, result.output


def test_train_leaves_everything_behind(run):
    out, output = run
    for name in ("model.keras", "export/1/saved_model.pb", "history.png", "evaluation.json"):
        assert (out / name).is_file(), name
    history = runs.read_history(out)
    assert set(history) == {"bpd", "loss", "val_bpd", "val_loss", "seconds", "skipped_steps"}
    assert len(history["val_bpd"]) == 2
    with Image.open(out / "samples.png") as picture:
        assert min(picture.size) > 8 * 8
    assert (out / "resampled.png").is_file()
    assert sorted(p.name for p in (out / "samples").iterdir()) == [
        "epoch_0001.png",
        "epoch_0002.png",
    ]
    assert "Glow (bound, 297 held-out examples)" in output
    assert "PNG files" in output
    assert "histogram" in output


def test_evaluate_scores_the_saved_model(run):
    out, _ = run
    result = invoke("evaluate", out, "--num-examples", 20, "--num-samples", 3)
    assert result.exit_code == 0, result.output
    rows = json.loads((out / "evaluation.json").read_text())
    x, y = tfgen.data.load("digits").test
    model = runs.load_model(out)
    expected = model.bits_per_dim(x[:20], y[:20]).numpy().mean()
    assert rows[0]["value"] == pytest.approx(expected, rel=1e-5)
    estimate = model.estimate_log_prob(x[:20], 3, y[:20]).numpy().mean() / (-64 * np.log(2))
    assert rows[1]["value"] == pytest.approx(estimate, rel=1e-5)
    assert f"{rows[1]['value']:.4f}" in result.output


def test_sample_writes_a_picture_or_an_array(run, tmp_path):
    out, _ = run
    result = invoke("sample", out, "--num", 5, "--seed", 1, "--out", tmp_path / "drawn.npy")
    assert result.exit_code == 0, result.output
    drawn = np.load(tmp_path / "drawn.npy")
    expected = runs.load_model(out).sample(5, np.arange(5), seed=1)
    np.testing.assert_array_equal(drawn, expected)
    result = invoke("sample", out, "--num", 4, "--label", 3, "--temperature", 0.5)
    assert result.output.strip() == str(out / "drawn.png")
    with Image.open(out / "drawn.png") as picture:
        assert picture.size[0] == picture.size[1]


def binary_preset(folder):
    """A PixelCNN whose optimizer averages the weights."""
    model = tfgen.PixelCNN((8, 8, 1), filters=4, num_layers=2)
    model.compile(keras.optimizers.Adamax(0.01, use_ema=True, ema_momentum=0.8))
    model.save_to_preset(folder)
    return folder


@pytest.mark.parametrize(
    "step, kind",
    [
        # Resuming is tested in test_faults.py and test_training.py, too.
        pytest.param(1, "real", marks=pytest.mark.slow),
        pytest.param(4, "binary", marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(tmp_path, step, kind):
    """Also one that was interrupted before its first epoch was over; one with pixels drawn in each
    step, and averaged weights."""

    class Interrupt(tfgen.callbacks.TimeLimit):
        def on_train_batch_begin(self, batch, logs=None):
            if int(self.model.optimizer.iterations) == step:
                raise KeyboardInterrupt

    train = {"epochs": 3, "seed": 5, "verbose": 0}
    if kind == "real":
        train |= {"model": "RealNVP", "data": "two_moons", "batch_size": 4000}
        train["overrides"] = {"num_layers": 2, "hidden_units": [8]}
    else:
        train |= {"model": "PixelCNN", "data": "digits", "batch_size": 600, "binarise": "dynamic"}
        train["preset"] = binary_preset(tmp_path / "preset")
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    rows = runs.train(unbroken, **train)
    with pytest.raises(KeyboardInterrupt):
        runs.train(broken, callbacks=[Interrupt()], **train)
    assert not (broken / "model.keras").exists()
    resumed = runs.train(broken, **train)
    assert resumed[0]["value"] == rows[0]["value"]
    a, b = runs.read_history(unbroken), runs.read_history(broken)
    for name in ("nll", "val_nll"):
        assert a[name] == b[name]
    # Given once more, it has nothing to train and says the same; also when its last backup was cut
    # off half-way, and the last epoch is trained again.
    for _ in range(2):
        assert runs.train(broken, **train)[0]["value"] == rows[0]["value"]
        os.truncate(broken / "checkpoint" / "epoch_000003.npz", 1000)


@pytest.mark.usefixtures("eager_training")
def test_a_gan_is_trained_and_scored_by_its_samples(tmp_path):
    result = invoke(
        "train", "GAN", "--data", "digits", "--out", tmp_path / "run", "--set=latent_dim=2",
        "--set=decoder=mlp", "--set=critic=mlp", "--batch-size", 300, "--epochs", 1,
        "--learning-rate", 1e-3,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "has no likelihood: give an --extractor" in result.output
    model = runs.load_model(tmp_path / "run")
    assert float(model.optimizer.learning_rate) == np.float32(1e-3)
    assert float(model.critic_optimizer.learning_rate) == np.float32(2e-4)
    with Image.open(tmp_path / "run" / "nearest.png") as image:
        assert np.asarray(image).std() > 0
    for name in ("args", "networks"):
        result = invoke(
            "train", "GAN", "--data", "digits", "--out", tmp_path / "x", f"--set={name}=1"
        )
        assert f"`overrides` has ['{name}'], which GAN does not take" in result.output


NETWORKS = {"latent_dim": 2, "encoder": "mlp", "decoder": "mlp"}


def trained(out, model, overrides, *arguments, batch_size=500, epochs=1):
    """The result of the command that trains a model of the digits."""
    settings = [f"--set={k}={v}" for k, v in overrides.items()]
    result = invoke(
        "train", model, "--data", "digits", "--out", out, *settings, "--batch-size", batch_size,
        "--epochs", epochs, "--num-validation", 50, *arguments,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    return result


@pytest.mark.slow
@pytest.mark.usefixtures("eager_training")
@pytest.mark.parametrize(
    "model, overrides, picture",
    [
        ("VAE", NETWORKS, "decompressed"),
        # What draws its pixels in turn takes longest.
        pytest.param(
            "VLAE", {**NETWORKS, "prior": "normal"}, "decompressed", marks=pytest.mark.slow
        ),
        pytest.param(
            "PixelCNN", {"filters": 4, "num_layers": 1}, "inpainted", marks=pytest.mark.slow
        ),
    ],
)
def test_binarised_runs(tmp_path, model, overrides, picture):
    result = trained(tmp_path / "run", model, overrides, "--binarise", "dynamic", batch_size=300)
    assert "297 held-out examples, dynamic binarisation)" in result.output
    for name in ("samples", picture):
        with Image.open(tmp_path / "run" / f"{name}.png") as image:
            # Below a caption, whose letters are smoothed.
            assert set(np.unique(np.asarray(image)[40:])) == {0, 128, 255}
    latents = model != "PixelCNN"
    assert ("code of the latents" in result.output) == latents
    assert ("epoch 1, latents: KL" in result.output) == latents
    # Of the test images, drawn once: the same figure each time.
    rows = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    again = runs.evaluate(tmp_path / "run", num_samples=None if latents else 3)
    assert again == rows


@pytest.mark.slow
@pytest.mark.usefixtures("eager_training")
@pytest.mark.parametrize(
    "model, overrides, has_filters",
    [
        ("ConvRBM", {"filters": 3, "kernel_size": 3, "sample_steps": 2}, True),
        ("GSN", {"sample_steps": 2}, False),
    ],
)
def test_pictures_of_chains(tmp_path, model, overrides, has_filters):
    trained(tmp_path / "run", model, overrides, "--binarise", "static", "--no-export")
    with Image.open(tmp_path / "run" / "chains.png") as image:
        grid = np.asarray(image)
    # Ten chains, of which five start from what is no state of theirs, and their five pictures.
    assert grid.shape[0] > 1.5 * grid.shape[1] and set(np.unique(grid[40:])) == {0, 128, 255}
    assert (tmp_path / "run" / "filters.png").is_file() == has_filters


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory):
    """A finished run of an injective flow on the digits."""
    out = tmp_path_factory.mktemp("runs") / "injective"
    settings = {"latent_dim": 4, "encoder": "mlp", "decoder": "mlp", "prior_weight": 0.5}
    return out, trained(out, "InjectiveFlow", settings, batch_size=100, epochs=4).output


# `test_latents_are_fitted_as_asked` has a run of an epoch, and
# `test_evaluate_scores_images_of_a_flow` the distances of samples.
@pytest.mark.slow
def test_an_autoencoders_run_has_fitted_latents(autoencoder):
    out, output = autoencoder
    assert "Fitting the latents (gmm) ..." in output
    assert "InjectiveFlow (manifold, 297 held-out examples)  " in output
    assert "squared error of reconstructions" in output and "bits" not in output
    assert (out / "reconstructed.png").is_file() and (out / "samples.png").is_file()
    net = runs.load_model(out)
    assert net.latents.num_components == 10
    x = tfgen.data.load("digits").test[0]
    rows = json.loads((out / "evaluation.json").read_text())
    error = ((x / 255.0 - net.reconstruct(x).numpy() / 255.0) ** 2).sum((1, 2, 3)).mean()
    assert rows[0]["value"] == pytest.approx(error)
    low, high = rows[1].pop("interval")
    assert low < rows[1]["value"] < high
    assert rows[1] == {
        "name": "InjectiveFlow (manifold, 297 held-out examples)",
        "value": pytest.approx(-np.mean(net.log_prob(x)), rel=1e-5),
        "unit": "nats",
    }


@pytest.mark.slow
def test_evaluate_scores_images(autoencoder, tmp_path):
    out, _ = autoencoder
    result = invoke("evaluate", out, "--extractor", "classifier", "--cache-dir", tmp_path)
    assert result.exit_code == 0, result.output
    assert "FID" not in result.output
    rows = json.loads((out / "evaluation.json").read_text())
    scores = {
        row["name"].removeprefix("Frechet distance of 297 "): row["value"]
        for row in rows
        if row["unit"].startswith("by classifier_digits (")
    }
    assert list(scores) == [
        "training images",
        "reconstructions",
        "samples of the prior",
        "samples, latents fitted by a gaussian",
        "samples, latents fitted by a gmm",
    ]
    assert scores["training images"] < min(list(scores.values())[1:])
    (kept,) = tmp_path.iterdir()
    # By hand, with the classifier that was kept.
    net, examples = runs.load_model(out), tfgen.data.load("digits")
    extractor = tfgen.metrics.KerasExtractor(keras.models.load_model(kept, compile=False))
    samples = net.sample(297, seed=0)
    by_hand = tfgen.metrics.frechet_distance(extractor(examples.test[0]), extractor(samples))
    # The fit of the run is another one of the same kind, and stays.
    assert scores["samples, latents fitted by a gmm"] == pytest.approx(by_hand, rel=1e-3)
    assert (out / "reference.npz").is_file()
    again = runs.evaluate(out, extractor=str(kept), num_examples=50)
    assert [row["name"] for row in again][2] == "Frechet distance of 50 training images"


@pytest.mark.parametrize("from_folder", [True, *zoo.slow(False)])
def test_evaluate_scores_images_of_a_flow(run, from_folder):
    out, _ = run
    model = keras.Sequential([keras.Input([8, 8, 1]), keras.layers.Flatten()], name="pixels")
    if from_folder:
        model.export(out / "extractor", verbose=False)
    extractor = out / "extractor" if from_folder else tfgen.metrics.KerasExtractor(model)
    rows = runs.evaluate(out, extractor=extractor, num_examples=20)
    assert [row["name"] for row in rows][-2:] == [
        "Frechet distance of 20 training images",
        "Frechet distance of 20 samples",
    ]
    with pytest.raises(ValueError, match="`extractor` must be \"classifier\", .* got 'fid'"):
        runs.evaluate(out, extractor="fid")


@pytest.mark.slow
def test_codes_get_their_distribution(tmp_path):
    """Without a word: of a uniform prior of codes samples are no images."""
    out = tmp_path / "run"
    networks = ["--set=num_latents=2", "--set=encoder=mlp", "--set=decoder=mlp"]
    result = invoke("train", "VQVAE", "--data", "digits", "--out", out, "--epochs", 1, *networks)
    assert result.exit_code == 0, result.output
    assert "Fitting the latents (autoregressive) ..." in result.output
    assert type(runs.load_model(out).fitted_latents).__name__ == "AutoregressiveCodes"


@pytest.mark.slow
@pytest.mark.parametrize(
    "model, kind",
    [("InjectiveFlow", "gaussian"), ("Autoencoder", "flow")],
)
def test_latents_are_fitted_as_asked(tmp_path, model, kind, request):
    if kind != "flow":
        # A flow is fitted in 2,000 steps.
        request.getfixturevalue("eager_training")
    out = tmp_path / "run"
    result = invoke(
        "train", model, "--data", "digits", "--out", out, "--epochs", 1,
        *(f"--set={k}={v}" for k, v in NETWORKS.items()), "--latents", kind, "--batch-size", 500,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    net = runs.load_model(out)
    assert type(net.latents).__name__ == ("Transformed" if kind == "flow" else "GaussianMixture")
    assert f"Fitting the latents ({kind}) ..." in result.output
    assert "squared error of reconstructions" in result.output and "bits" not in result.output
    assert (out / "reconstructed.png").is_file() and (out / "samples.png").is_file()
    if model == "InjectiveFlow":
        x = tfgen.data.load("digits").test[0]
        rows = json.loads((out / "evaluation.json").read_text())
        assert rows[1]["name"] == "InjectiveFlow (manifold, 297 held-out examples)"
        assert rows[1]["value"] == pytest.approx(-np.mean(net.log_prob(x)), rel=1e-5)
        assert rows[1]["unit"] == "nats"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["Glo", "--data", "digits"], "`model` must be one of"),
        (["Glow", "--data", "digit"], "digits"),
        (["Glow", "--data", "digits", "--set", "num_step=2"], "num_step"),
        (["Glow", "--data", "digits", "--set", "num_steps"], "key=value"),
        (["Glow", "--data", "digits", "--preset", "nothing"], "there is no `preset`"),
        (["Glow", "--data", "digits", "--preset", "glow_cifar10"], "[32, 32, 3]"),
        (["RealNVP", "--data", "digits", "--preset", "glow_cifar10"], "not a RealNVP"),
        (["Glow", "--data", "digits", "--set", "num_levels=9"], "`event_shape` must be"),
        (["RealNVP", "--data", "digits", "--set", "base=gauss"], "`base` must be"),
        (["PixelCNN", "--data", "digits", "--set", "data_kind=binary"], "`binarise`"),
        (["RealNVP", "--data", "two_moons", "--binarise", "static"], "must have grey levels"),
        (["RealNVP", "--data", "two_moons", "--max-minutes", "0"], "`max_minutes` must be"),
        (["RealNVP", "--data", "two_moons", "--learning-rate", "-1"], "`learning_rate` must be"),
        (["RealNVP", "--data", "two_moons", "--latents", "gmm"], "`latents` must be one of"),
    ],
)
def test_bad_settings_are_told_in_a_line(tmp_path, arguments, message):
    result = invoke("train", *arguments, "--out", tmp_path / "out")
    assert result.exit_code != 0
    assert message in result.output
    assert "Traceback" not in result.output


def test_a_folder_keeps_to_its_run(run, tmp_path):
    out, _ = run
    result = invoke("train", "RealNVP", "--data", "digits", "--out", out)
    assert result.exit_code != 0
    assert "model = 'Glow', now 'RealNVP'" in result.output
    file = tmp_path / "mine.txt"
    file.write_text("x")
    result = invoke("train", "Glow", "--data", "digits", "--out", tmp_path)
    assert "other files" in result.output
    for arguments in (["train", "Glow", "--data", "digits"], ["sample", out]):
        path = file if arguments[0] == "train" else file / "drawn.npy"
        result = invoke(*arguments, "--out", path)
        assert result.exit_code == 1
        assert str(file) in result.output
        assert "Traceback" not in result.output


@pytest.mark.usefixtures("eager_training")
def test_conditions_that_are_no_labels(tmp_path):
    """Pictures and samples take those of the held-out examples; of vectors there is no distance."""
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", x=rng.normal(size=(40, 2)), y=rng.normal(size=(40, 3)))
    settings = ["--set=condition_shape=[3]", "--set=num_layers=1", "--set=hidden_units=[4]"]
    arguments = ["--data", tmp_path / "data.npz", "--epochs", 1, "--verbose", 0, *settings]
    result = invoke("train", "RealNVP", *arguments, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "run" / "samples.png").is_file()
    result = invoke("sample", tmp_path / "run", "--num", 9, "--out", tmp_path / "drawn.npy")
    assert result.exit_code == 0, result.output
    assert np.load(tmp_path / "drawn.npy").shape == (9, 2)
    with pytest.raises(ValueError, match=r"`extractor` is for images; the data are .*data"):
        runs.evaluate(tmp_path / "run", extractor="classifier")


@pytest.mark.slow
@pytest.mark.usefixtures("eager_training")
def test_names_of_classes_in_a_table(tmp_path):
    """They are known again: to samples, to scores, and to the command that trains the run."""
    rng = np.random.default_rng(0)
    species = rng.choice(["setosa", "virginica"], size=60)
    x = rng.normal(np.where(species == "setosa", 0, 50), 1)
    lines = ["length,species,width", *(f"{a},{s},{a}" for a, s in zip(x, species, strict=True))]
    file = tmp_path / "flowers.csv"
    file.write_text("\n".join(lines))
    arguments = ["--data", file, "--target", "species", "--class-conditional", "--no-export"]
    arguments += ["--set=num_layers=1", "--set=hidden_units=[4]", "--epochs", 1, "--verbose", 0]
    result = invoke("train", "RealNVP", *arguments, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    result = invoke(
        *("sample", tmp_path / "run", "--num", 3, "--label", "virginica"),
        *("--out", tmp_path / "drawn.npy"),
    )
    assert result.exit_code == 0, result.output
    scores = runs.score(tmp_path / "run", file)["log_prob"]
    others = tmp_path / "others.csv"
    # Another order of the alphabet: the one that is there is the second of the model's classes.
    others.write_text("\n".join([lines[0], *(line for line in lines if "virginica" in line)]))
    found = runs.score(tmp_path / "run", others)["log_prob"]
    expected = [s for s, name in zip(scores, species, strict=True) if name == "virginica"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert "--target species" in as_command(read_settings(tmp_path / "run"))


def test_a_learning_rate_takes_the_place_of_a_presets_schedule():
    examples = tfgen.data.load("fashion_mnist_small")
    settings = {
        "model": "Glow", "preset": "glow_fashion_mnist_small", "learning_rate": 5e-4,
        "overrides": {"num_levels": 1, "num_steps": 1, "filters": 2},
    }  # fmt: skip
    net, training = make_model(settings, examples)
    assert float(net.optimizer.learning_rate) == pytest.approx(5e-4)
    assert net.optimizer.global_clipnorm == 50.0
    assert training["epochs"] == 24


@pytest.mark.usefixtures("eager_training")
def test_a_run_that_became_nan_says_so(tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 2))
    np.save(tmp_path / "data.npy", x)
    settings = ["--set=num_layers=1", "--set=hidden_units=[4]", "--learning-rate", "1e30"]
    arguments = ["--data", tmp_path / "data.npy", "--epochs", 3, "--verbose", 0, *settings]
    result = invoke("train", "RealNVP", *arguments, "--out", tmp_path / "run")
    assert result.exit_code == 1, result.output
    assert "Training stopped early" in result.output
    assert runs.read_stopped(tmp_path / "run")["epoch"] >= 1


def test_lists():
    assert "glow_cifar10" in invoke("models").output
    output = invoke("datasets").output
    for name in tfgen.data.names():
        assert name in output


MOONS = ("train", "RealNVP", "--data", "two_moons", "--set", "num_layers=2", "--epochs", 1)


def test_all_devices_are_mirrored():
    assert get_strategy("mirrored").num_replicas_in_sync == 2


# `test_replicas` compares the training on two and on one without the command.
@pytest.mark.slow
def test_a_run_on_two_devices_is_that_on_one(tmp_path, strategy, monkeypatch):
    """And it goes on, and ends, on another number of them."""
    # TensorFlow mixes up the reductions of two such strategies in one process.
    monkeypatch.setattr(
        runs, "get_strategy", lambda name: strategy if name == "mirrored" else get_strategy(name)
    )
    settings = (*MOONS, "--batch-size", 101, "--verbose", 0, "--out")
    losses = []
    for name in ("mirrored", "none"):
        result = invoke(*settings, tmp_path / name, "--strategy", name)
        assert result.exit_code == 0, result.output
        losses.append(runs.read_history(tmp_path / name)["val_loss"])
    np.testing.assert_allclose(*losses, rtol=1e-4)
    result = invoke(*settings, tmp_path / "mirrored", "--strategy", "none", "--epochs", 2)
    assert result.exit_code == 0, result.output
    assert len(runs.read_history(tmp_path / "mirrored")["loss"]) == 2


@pytest.mark.parametrize(
    ("name", "config", "expected"),
    [
        ("multiworker", None, "needs the environment variable TF_CONFIG on each host"),
        ("auto", "{", "TF_CONFIG is no description of a cluster"),
        ("auto", '{"cluster": [1]}', "TF_CONFIG is no description of a cluster"),
        ("multiworker", '{"cluster": {"worker": ["a:1"]}}', "needs two hosts or more"),
        ("tpu", None, "found no TPU"),
    ],
)
def test_devices_that_are_not_there(tmp_path, monkeypatch, name, config, expected):
    if config is None:
        monkeypatch.delenv("TF_CONFIG", raising=False)
    else:
        monkeypatch.setenv("TF_CONFIG", config)
    result = invoke(*MOONS, "--out", tmp_path / "run", "--strategy", name)
    assert result.exit_code == 1 and expected in result.output
    assert result.output.startswith("Error: ") and not (tmp_path / "run").exists()


def test_functions_traced_again_are_no_news(caplog):
    logger = logging.getLogger("tensorflow")
    words = "5 out of the last 9 calls to f triggered tf.function retracing. Tracing is expensive"
    with terminal.without_retracing():
        logger.warning(words)
        logger.warning("something else")
    assert "retracing" not in caplog.text
    logger.warning(words)
    assert words in caplog.text


# `test_costs` looks at the report itself.
@pytest.mark.slow
def test_cost_of_a_run(run):
    out, _ = run
    result = invoke("cost", out, "--devices", 2)
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"{out}: a training step of Glow, 500 rows")
    for words in ("convolutions", "elementwise", "time here", "2 x this machine", "256 x TPU v5e"):
        assert words in result.output
    assert "GPUs and TPUs are compiled for, not measured" in result.output
