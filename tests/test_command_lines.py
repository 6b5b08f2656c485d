"""Bad command lines end in one line that names what was wrong: no trace, no hang, no success."""

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest
import tensorflow as tf
import zoo
from click.testing import CliRunner
from PIL import Image

import tfgen
from tfgen.app.cli import main


def refused(arguments, words, output=None, code=None):
    """Checks what a command line ends with, or ended with, and returns the line of the error."""
    if output is None:
        result = CliRunner().invoke(main, [str(a) for a in arguments])
        output, code = result.output, result.exit_code
    assert code in (1, 2), output
    assert "Traceback" not in output
    lines = [line for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("Error: ")]
    usage = ("Usage: ", "Try '")
    assert errors == [line for line in lines if not line.startswith(usage)], output
    (error,) = errors
    assert "a fault of tfgen" not in error, error
    assert words in error
    return error


# ----------------------------------------------------------------------- options and their values

TRAIN = ["train", "RealNVP", "--data", "two_moons", "--out", "out"]
LINES = [
    # Commands.
    (["trian"], "'trian'. Did you mean 'train'?"),
    (["modles"], "'modles'. Did you mean 'models'?"),
    (["--nothing"], "'--nothing'"),
    (["models", "extra"], "extra"),
    (["datasets", "--data", "digits"], "'--data'"),
    (["cost"], "'SOURCE'"),
    (["cost", "vae_mnits"], "`source` must be the folder of a run, or a preset"),
    (["cost", "vae_mnist", "--batch", "0"], "'--batch'"),
    (["cost", "vae_mnist", "--devices", "x"], "'--devices'"),
    (["--debug=5", "models"], "'--debug'"),
    # What is missing.
    (["train"], "'--data'"),
    (["train", "RealNVP"], "'--data'"),
    (["train", "RealNVP", "--data", "digits"], "'--out'"),
    (["train", "RealNVP", "--out", "out"], "'--data'"),
    (["train", "RealNVP", "two_moons", "--data", "digits", "--out", "out"], "two_moons"),
    (["evaluate"], "RUN"),
    (["sample"], "RUN"),
    ([*TRAIN, "--epochs"], "'--epochs'"),
    ([*TRAIN, "--epoch", "3"], "'--epoch'"),
    ([*TRAIN, "--batchsize", "3"], "'--batchsize'. (Did you mean one of: '--batch-size'"),
]
INTEGERS = ["--image-size", "--epochs", "--batch-size", "--num-validation", "--seed", "--verbose"]
for option in INTEGERS:
    LINES += [([*TRAIN, option, value], f"'{option}'") for value in ("x", "", "1.5", "nan")]
    LINES.append(([*TRAIN, option, "-1"], "image_size" if option == "--image-size" else option))
for option in ("--epochs", "--batch-size", "--num-validation"):
    LINES.append(([*TRAIN, option, "0"], f"'{option}'"))
for option in ("--learning-rate", "--max-minutes"):
    name = option[2:].replace("-", "_")
    LINES += [([*TRAIN, option, value], f"'{option}'") for value in ("x", "")]
    LINES += [([*TRAIN, option, value], f"`{name}`") for value in ("0", "-1", "nan", "inf")]
for option in ("--data", "--out", "--data-dir", "--preset"):
    LINES.append(([*TRAIN, option, ""], f"'{option}'"))
for option in ("--binarise", "--latents"):
    LINES += [([*TRAIN, option, value], f"'{option}'") for value in ("x", "")]

# The arguments of a model: values that none of the keys takes, with what the error names.
VALUES = {
    "num_layers": ("`num_layers`", ["0", "-1", "1.5", "x", "null", "[]", "{}", '"1"']),
    "hidden_units": ("hidden_units", ["x", "[]", "[0]", "[1.5]", "null", "{}", "-1"]),
    "transform": ("transform", ["x", "5", "[]", "{}", '{"class_name": "x"}']),
    "base": ("`base`", ["x", "5", "[]", "{}", '{"tfd": "__init__"}']),
    "data_kind": ("`data_kind`", ["x", "5", "null", "[]", "binary"]),
    "condition_shape": ("`condition_shape", ["x", "-1", "[]", "[0]", "{}"]),
    "num_classes": ("`num_classes`", ["x", "0", "-1", "1.5", "[]"]),
    "dtype": ("dtype", ["x", "5", "float16", "int32"]),
    "num_bits": ("`num_bits`", ["0", "9", "x"]),
}
SETTINGS = {
    **{f"{key}={value}": words for key, (words, values) in VALUES.items() for value in values},
    "x": "key=value",
    "=5": "key=value",
    "num_layer=1": "num_layer",
    "Num_layers=1": "Did you mean 'num_layers'?",
    "event_shape=[2]": "event_shape",
    "self=1": "self",
    "args=[]": "args",
    "kwargs={}": "kwargs",
    "bijector=x": "bijector",
    "trainable=false": "trainable",
    "hidden_units=" + 10**5 * "[": "hidden_units",
    "num_layers=" + 5000 * "1": "num_layers",
    "num_layers=" + 400 * "1": "num_layers",
    'dtype={"x": 5}': "{'x': 5}",
    "name=5": "name",
    "name=a/b": "a/b",
    "condition_shape=[3]": "`data` has no labels",
    "data_kind=uint8": "`x` must hold",
}
LINES += [([*TRAIN, f"--set={text}"], words) for text, words in SETTINGS.items()]
LINES.append(([*TRAIN, "--set=num_layers=1", "--set=num_layers=2"], "num_layers is given twice"))

# Names.
for model, words in [
    ("Glo", "'Glo'. Did you mean 'Glow'?"),
    ("vae", "Did you mean 'VAE'?"),
    ("RealNPV", "Did you mean 'RealNVP'?"),
    ("Flow", "got 'Flow'"),
    ("GenerativeModel", "got 'GenerativeModel'"),
    ("__init__", "got '__init__'"),
    ("", "MODEL"),
]:
    LINES.append((["train", model, "--data", "two_moons", "--out", "out"], words))
for data, words in [
    ("two_moon", "'two_moon'. Did you mean 'two_moons'?"),
    ("Digits", "Did you mean 'digits'?"),
    ("mnist", "'mnist' is not in"),
    ("mnist:", "'mnist:' cannot be read"),
    ("mnist:9.9.9", "'mnist:9.9.9' is not in"),
    ("./nothing", "no such file or folder: nothing"),
    ("nothing.npy", "nothing.npy"),
    ("~nobody_of_this_name/x.csv", "~nobody_of_this_name/x.csv"),
    (255 * "a" + ".csv", "File name too long: '" + 255 * "a"),
    ("/dev/zero", "/dev/zero: expected"),
    ("/dev/null", "/dev/null: expected"),
]:
    LINES.append((["train", "RealNVP", "--data", data, "--out", "out"], words))
for preset, words in [
    ("nothing", "'nothing'"),
    ("glow_cifar10", "is a Glow, not a RealNVP"),
    ("realnvp_mnist", "'realnvp_mnist' is for data of shape [28, 28, 1]"),
    ("/dev/null", "'/dev/null'"),
    ("../../etc/passwd", "'../../etc/passwd'"),
]:
    LINES.append(([*TRAIN, "--preset", preset], words))

for preset, words in [
    ("realnvp_cifar10", "is a configuration without weights"),
    ("glow_mnits", "Did you mean 'glow_mnist'?"),
    ("hf://nobody", "`preset` must be hf://OWNER/NAME"),
    ("kaggle://a/b", "`preset` must be kaggle://OWNER/MODEL/FRAMEWORK/VARIATION"),
    ("ftp://a/b", "`preset` must begin with hf:// or kaggle://"),
]:
    LINES.append(([*TRAIN, "--from-preset", preset], words))
    LINES.append((["sample", preset], words))
LINES += [
    (["train", "--data", "two_moons", "--out", "out"], "`model` must be the name of a recipe"),
    ([*TRAIN, "--early-stopping", "0"], "'--early-stopping'"),
    ([*TRAIN, "--ema", "2"], "ema_momentum"),
    ([*TRAIN, "--class-conditional"], "`class_conditional`: two_moons has no labels"),
    (["train", "no_module:Model", *TRAIN[2:]], "'no_module:Model' cannot be imported"),
    (["train", "keras:Model", *TRAIN[2:]], "must be a class of tfgen.GenerativeModel"),
    (["train", "tfgen:Nothing", *TRAIN[2:]], "'tfgen:Nothing' cannot be imported"),
    (["compare", "--data", "digits", "--models", "Glow,Glo", "--out", "out"], "'Glow'?"),
    (["compare", "--data", "digits", "--models", "Glow,Glow", "--out", "out"], "different"),
    (
        ["compare", "--data", "digits", "--models", "Glow", "--minutes", "0", "--out", "o"],
        "minutes",
    ),
]

# Sizes and kinds of data.
DIGITS = ["train", "RealNVP", "--data", "digits", "--out", "out"]
LINES += [([*DIGITS, "--image-size", size], f"got {size}") for size in ("0", "8193", f"{10**12}")]
LINES += [
    ([*DIGITS, "--image-size", "8192"], "images of [8192, 8192, 1] would take"),
    ([*TRAIN, "--image-size", "8"], "image_size: two_moons has no images"),
    ([*TRAIN, "--binarise", "static"], "'two_moons' must have grey levels"),
    ([*TRAIN, "--latents", "gmm"], "`latents`"),
    ([*TRAIN, "--data-dir", "nothing", "--data", "mnist"], "is not in "),
    ([*DIGITS, "--binarise", "static"], "`data_kind` must be one of ['real', 'uint8']"),
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The current folder, which is empty; what hangs in it fails."""

    def stop(number, frame):
        raise AssertionError("the command hangs")

    monkeypatch.chdir(tmp_path)
    # Nothing is looked for in the user's own folders.
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield tmp_path
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    "arguments, words", LINES, ids=lambda v: v[:40] if isinstance(v, str) else v[-1][:40]
)
def test_options(arguments, words):
    refused(arguments, words)


# ------------------------------------------------------------------------------------ data files


def header(shape, descr="'<f8'"):
    """The begin of a .npy file."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def bound(path):
    """Makes a socket."""
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


def png(path, array, **options):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.asarray(array, "uint8")).save(path, **options)


def cut(path):
    png(path, np.random.default_rng(0).integers(0, 256, (50, 50)))
    path.write_bytes(path.read_bytes()[:1000])


def sized(path):
    """Makes the begin of a PNG file of a billion pixels."""

    def chunk(kind, data):
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    size = struct.pack(">IIBBBBB", 10**5, 10**4, 8, 0, 0, 0, 0)
    path.parent.mkdir()
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", b""))


def two_sizes(path):
    png(path.with_name("a.png"), np.zeros((4, 4)))
    png(path, np.zeros((4, 6)))


def beside_classes(path):
    png(path, np.zeros((4, 4)))
    png(path.parent / "class" / "b.png", np.zeros((4, 4)))


X = np.zeros((5, 2))
WIDE = np.arange(10.0).reshape(5, 2) + 1e9
TABLES = {
    "ragged": ("a,b\n1,2\n3,4,5\n", "line 3 has 3 fields, the first has 2"),
    "short": ("1,2\n3\n", "line 2 has 1 fields"),
    "underscore": ("a,b\n1,1_0\n", "line 2, column 2 must be a number; got '1_0'"),
    "first": ("1_0,2_0\n1,2\n", "line 1, column 1 must be a number; got '1_0'"),
    "nan": ("# made\na,b\n1,2\nnan,2\n", "line 4, column 1 must be a finite number"),
    "inf": ("1,2\n\n1,-inf\n", "line 3, column 2 must be a finite number"),
    "huge": ("1,2\n1,1e300\n", "line 2, column 2 must be a finite number"),
    "all_nan": ("nan,nan\n1,2\n", "line 1, column 1 must be a finite number"),
    "text": ("1,2\n3,x\n", "line 2, column 2 must be a number; got 'x'"),
    "missing": ("a,b\n1,\n", "line 2, column 2 must be a number; got ''"),
    "row": ("1,2\n,\n", "line 2, column 1 must be a number; got ''"),
    "digits": ("1,2\n3,\u0664\n", "line 2, column 2 must be a number"),
    "divided": ("a;b\n3;4\n", "fields are divided by ','"),
    "names": ("a,b\n", "no rows below the names"),
    "empty": ("", "it is empty"),
    "comments": ("# 1\n\n# 2\n", "it is empty"),
    "y_only": ("y\n1\n2\n", "expected x"),
    "two_y": ("a,y,y\n1,2,3\n", "expected one column named y, got 2"),
    "one_row": ("1,2\n", "at least 2 examples"),
    "latin": ("a,b\n1,\xe9\n".encode("latin-1"), "line 2 is not in UTF-8"),
    "names_latin": ("\xe9,b\n1,2\n".encode("latin-1"), "line 1 is not in UTF-8"),
    "utf16": ("a,b\n1,2\n".encode("utf-16"), "line 1 is not in UTF-8"),
    "zeros": (bytes(100), "no rows below the names"),
    "zero": (b"1,2\n3,4\0\n", "line 2, column 2 must be a number"),
    "long": ("1," + 10**5 * "11" + "\n", "line 1: field larger than field limit"),
    "quote": ('1,2\n"3,4\n5,6\n', "line 3: unexpected end of data"),
    "offset": ("1000000001,1\n1000000002,2\n1000000003,3\n", "subtract an offset"),
}
FILES = {
    **{
        f"{name}.csv": (lambda p, t=text: p.write_bytes(t.encode() if isinstance(t, str) else t), w)
        for name, (text, w) in TABLES.items()
    },
    "commas.tsv": (lambda p: p.write_text("1,2\n3,4\n"), "fields are divided by '\\t'"),
    "text.npy": (lambda p: p.write_text("hello, world"), "magic string"),
    "empty.npy": (lambda p: p.touch(), "EOF"),
    "cut.npy": (lambda p: p.write_bytes(header((5, 2)) + bytes(79)), "the file was cut off"),
    "rows.npy": (
        lambda p: p.write_bytes(header((10**12, 2))),
        "[1000000000000, 2], 16000000000000",
    ),
    "large.npy": (
        lambda p: (p.write_bytes(header((10**9, 2))), os.truncate(p, 17 * 10**9)),
        "would take 17.0 GB of memory",
    ),
    "object.npy": (lambda p: np.save(p, [[None, 1]]), "holds pickled Python objects"),
    "int.npy": (lambda p: np.save(p, X.astype("int64")), "got int64 [5, 2]"),
    "vector.npy": (lambda p: np.save(p, X[:, 0]), "got float64 [5]"),
    "none.npy": (lambda p: np.save(p, X[:0]), "got float64 [0, 2]"),
    "scalar.npy": (lambda p: np.save(p, 1.0), "got float64 []"),
    "complex.npy": (lambda p: np.save(p, X + 1j), "expected x of numbers, got complex128"),
    "string.npy": (lambda p: np.save(p, X.astype(str)), "expected x of numbers"),
    "nan.npy": (lambda p: np.save(p, np.where(np.eye(5, 2), np.nan, X)), "row 0 holds NaN"),
    "far.npy": (lambda p: np.save(p, 1e300 + X), "row 0 holds NaN or inf (5 such rows)"),
    "offset.npy": (lambda p: np.save(p, WIDE), "subtract an offset"),
    "text.npz": (lambda p: p.write_text("hello"), "not a zip file"),
    "cut.npz": (lambda p: (np.savez(p, x=X), os.truncate(p, 200)), "not a zip file"),
    "other.npz": (lambda p: np.savez(p, images=X), "got ['images']"),
    "labels.npz": (lambda p: np.savez(p, x=X, y=[0, 1]), "got int64 [2]"),
    "negative.npz": (lambda p: np.savez(p, x=X, y=[0, 1, 2, 3, -1]), "from -1 to 3"),
    "far.npz": (lambda p: np.savez(p, x=X, y=[0, 1, 2, 3, 2**40]), "from 0 to 1099511627776"),
    "nan.npz": (lambda p: np.savez(p, x=X, y=[0, 1, 2, 3, np.nan]), "`y` must be finite; row 4"),
    "object.npz": (lambda p: np.savez(p, x=[[None]] * 5), "holds pickled Python objects"),
    "pipe.csv": (os.mkfifo, "got a named pipe"),
    "pipe.npz": (os.mkfifo, "got a named pipe"),
    "socket.npy": (bound, "got a socket"),
    "endless.csv": (lambda p: (p.touch(), os.truncate(p, 7 * 10**9)), "line 1 has more than"),
    "larger.csv": (lambda p: (p.touch(), os.truncate(p, 9 * 10**9)), "would take 9.0 GB"),
    "loop.csv": (lambda p: p.symlink_to(p), "no such file or folder"),
    "broken.csv": (lambda p: p.symlink_to("nothing"), "no such file or folder"),
    "words.txt": (lambda p: p.write_text("hello"), "expected a folder of images or a file"),
    "folder.csv": (lambda p: p.mkdir(), "no image files"),
}
IMAGES = {
    "text.png": (lambda p: (p.parent.mkdir(), p.write_text("hello")), "cannot identify"),
    "empty.png": (lambda p: (p.parent.mkdir(), p.touch()), "cannot identify"),
    "cut.png": (cut, "truncated"),
    "sized.png": (sized, "decompression bomb"),
    "two.png": (two_sizes, "two.png is [4, 6, 1]"),
    "beside.png": (beside_classes, "beside subfolders with images"),
    "deep.png": (
        lambda p: (p.parent.mkdir(), Image.fromarray(np.zeros((4, 4), "uint16")).save(p)),
        "at most 8 bits per channel",
    ),
    "pipe.png": (lambda p: (p.parent.mkdir(), os.mkfifo(p)), "got a named pipe"),
    "device.png": (lambda p: (p.parent.mkdir(), p.symlink_to("/dev/zero")), "got a device"),
    "loop.png": (lambda p: (p.parent.mkdir(), p.symlink_to(p)), "symbolic links"),
    "broken.png": (lambda p: (p.parent.mkdir(), p.symlink_to("nothing")), "No such file"),
    "words.txt": (lambda p: (p.parent.mkdir(), p.write_text("hello")), "no image files"),
    "one.png": (lambda p: png(p, np.zeros((4, 4))), "at least 2 examples"),
}


@pytest.mark.parametrize("name", FILES)
def test_files(folder, name):
    make, words = FILES[name]
    make(folder / name)
    error = refused(["train", "RealNVP", "--data", name, "--out", "out"], words)
    assert name in error


@pytest.mark.parametrize("name", IMAGES)
def test_folders_of_images(folder, name):
    make, words = IMAGES[name]
    make(folder / "images" / name)
    error = refused(["train", "RealNVP", "--data", "images", "--out", "out"], words)
    assert "images" in error


# ----------------------------------------------------------------------------------- run folders

RUN = {
    **{"model": "RealNVP", "data": "two_moons", "data_dir": None, "image_size": None},
    **{"binarise": None, "preset": None, "overrides": {"num_layers": 1, "hidden_units": [4]}},
    **{"epochs": None, "batch_size": None, "learning_rate": None, "latents": None},
    **{"num_validation": 2000, "max_minutes": None, "seed": 0},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The files of a run that the commands look for, of a model that was not trained."""
    path = tmp_path_factory.mktemp("trained")
    model = tfgen.RealNVP(2, num_layers=1, hidden_units=(4,))
    model.compile()
    model.adapt(np.random.default_rng(0).normal(size=(50, 2)).astype("float32"))
    model.save(path / "model.keras")
    (path / "run.json").write_text(json.dumps(RUN))
    return path


@pytest.fixture
def run(folder, trained):
    return shutil.copytree(trained, folder / "run")


def changed(name, **settings):
    """Function that changes the settings of a run; None leaves one out."""

    def change(run):
        kept = {k: v for k, v in {**RUN, **settings}.items() if v != "left out"}
        (run / "run.json").write_text(json.dumps(kept))

    return change


def written(name, content):
    def write(run):
        if (run / name).is_file():
            (run / name).unlink()
        if content is None:
            (run / name).mkdir()
        else:
            (run / name).write_bytes(content)

    return write


def members(**contents):
    """Function that replaces members of the model's file; None leaves one out."""

    def rewrite(run):
        file = run / "model.keras"
        with zipfile.ZipFile(file) as archive:
            kept = {name: archive.read(name) for name in archive.namelist()}
        for name, content in contents.items():
            kept[{"config": "config.json", "weights": "model.weights.h5"}[name]] = content
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in kept.items():
                if content is not None:
                    archive.writestr(name, content)

    return rewrite


def flipped(run):
    data = bytearray((run / "model.keras").read_bytes())
    data[len(data) // 2] ^= 255
    (run / "model.keras").write_bytes(data)


SETTINGS_FILE = {
    "no_settings": lambda run: (run / "run.json").unlink(),
    **{
        f"settings_{name}": written("run.json", content)
        for name, content in {
            "empty": b"",
            "text": b"hello",
            "cut": b'{"model": "RealNVP", "data": ',
            "list": b"[]",
            "number": b"5",
            "bytes": b"\xff\xfe\x00",
            "deep": 10**5 * b"[",
            "folder": None,
            "dict": b"{}",
        }.items()
    },
}
MODEL_FILE = {
    "no_model": lambda run: (run / "model.keras").unlink(),
    **{
        f"model_{name}": written("model.keras", content)
        for name, content in {"empty": b"", "text": b"hello", "folder": None}.items()
    },
    "model_cut": lambda run: os.truncate(run / "model.keras", 2000),
    "model_flipped": flipped,
    "no_config": members(config=None),
    "no_weights": members(weights=None),
    **{
        f"config_{name}": members(config=content)
        for name, content in {
            "empty": b"",
            "list": b"[]",
            "text": b"hello",
            "number": b"5",
            "dict": b"{}",
            "class": b'{"module": "os", "class_name": "system", "config": {}}',
            "layer": b'{"module": "keras.layers", "class_name": "Dense", "config": {"units": 1}}',
        }.items()
    },
    "weights_text": members(weights=b"hello"),
    "weights_empty": members(weights=b""),
}


@pytest.mark.parametrize("fault", SETTINGS_FILE)
def test_settings_of_runs(run, fault):
    SETTINGS_FILE[fault](run)
    error = refused(["evaluate", "run"], "run.json")
    assert "run" in error


@pytest.mark.parametrize("fault", MODEL_FILE)
def test_models_of_runs(run, fault):
    MODEL_FILE[fault](run)
    refused(["sample", "run"], "model.keras")


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"data": "two_moon"}, "two_moon"),
        ({"data": "gone/data.csv"}, "gone/data.csv"),
        ({"data": 5}, "got 5"),
        ({"data_dir": "gone", "data": "mnist"}, "gone"),
        ({"image_size": "x"}, "image_size"),
        ({"binarise": "x"}, "binarise"),
        ({"seed": -1}, "seed"),
        ({"seed": "x"}, "seed"),
    ],
)
def test_values_of_settings_of_runs(run, settings, words):
    changed("run.json", **settings)(run)
    refused(["evaluate", "run"], words)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["evaluate", "nothing"], "'nothing'"),
        (["evaluate", "file"], "'file'"),
        (["evaluate", "empty"], "empty/model.keras"),
        (["sample", "nothing"], "'nothing'"),
        (["sample", "file"], "'file'"),
        (["sample", "empty"], "empty/model.keras"),
        (["sample", ""], "''"),
        *((["sample", "run", "--num", v], "'--num'") for v in ("0", "-1", "x", f"{10**12}")),
        *(
            (["sample", "run", "--temperature", v], "temperature")
            for v in ("-1", "x", "nan", "inf")
        ),
        *((["sample", "run", "--seed", v], "seed") for v in ("x", "1.5")),
        (["sample", "run", "--label", "x"], "`label` 'x': this model is not conditional"),
        (["sample", "run", "--label", "1"], "`label` '1'"),
        (["sample", "run", "--out", "drawn.txt"], "drawn.txt"),
        (["sample", "run", "--out", "drawn"], "drawn"),
        (["sample", "run", "--out", "file/drawn.npy"], "file"),
        (["sample", "run", "--out", "/proc/drawn.npy"], "drawn.npy"),
        (["sample", "run", "--out", "empty"], "empty"),
        *((["evaluate", "run", "--num-examples", v], "'--num-examples'") for v in ("0", "x")),
        *((["evaluate", "run", "--num-samples", v], "'--num-samples'") for v in ("0", f"{10**9}")),
        (["evaluate", "run", "--extractor", "fid"], "`extractor` is for images"),
        (["evaluate", "run", "--extractor", ""], "'--extractor'"),
        (["train", "RealNVP", "--data", "digits", "--out", "run"], "data = 'two_moons'"),
        (["train", "MAF", "--data", "two_moons", "--out", "run"], "model = 'RealNVP'"),
        (["train", "RealNVP", "--data", "two_moons", "--out", "file"], "file"),
        (["train", "RealNVP", "--data", "two_moons", "--out", "file/run"], "file/run"),
        (["train", "RealNVP", "--data", "two_moons", "--out", "/proc/run"], "/proc/run"),
        (["train", "RealNVP", "--data", "two_moons", "--out", "full"], "full"),
    ],
    ids=lambda v: v[:40] if isinstance(v, str) else v[-1][:40],
)
def test_commands_on_runs(folder, run, arguments, words):
    (folder / "file").write_text("hello")
    (folder / "empty").mkdir()
    (folder / "full").mkdir()
    (folder / "full" / "mine.txt").write_text("hello")
    refused(arguments, words)
    assert (folder / "file").read_text() == "hello"


# ------------------------------------------------------------------- faults of ours, real processes


@pytest.mark.parametrize("place", [["--debug", "datasets"], ["datasets", "--debug"], ["datasets"]])
def test_our_own_faults_say_so(monkeypatch, place):
    def broken():
        raise KeyError("nothing\nof the kind")

    monkeypatch.setattr(tfgen.data, "names", broken)
    result = CliRunner().invoke(main, place)
    assert result.exit_code == 1
    *trace, last = result.output.splitlines()
    assert last.startswith("Error: this is a fault of tfgen and not yours: KeyError: 'nothing")
    assert "--debug" in last
    assert ("Traceback" in result.output) == ("in broken" in result.output) == ("--debug" in place)
    assert bool(trace) == ("--debug" in place)


OUT_OF_MEMORY = [MemoryError("1 TB"), tf.errors.ResourceExhaustedError(None, None, "1 TB")]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_memory_that_is_not_there_is_told(monkeypatch, error):
    def names():
        raise error

    monkeypatch.setattr(tfgen.data, "names", names)
    refused(["datasets"], "out of memory: try smaller batches")


def test_long_errors_are_cut(monkeypatch):
    def names():
        raise ValueError("word " * 10**5)

    monkeypatch.setattr(tfgen.data, "names", names)
    assert len(refused(["datasets"], "(--debug shows all)")) < 1100


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_is_stopped_says_so(monkeypatch, number, code):
    monkeypatch.setattr(tfgen.data, "names", lambda: signal.raise_signal(number) or [])
    # Of jobs in the background shells have SIGINT ignored.
    interrupt = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        result = CliRunner().invoke(main, ["datasets"])
    finally:
        signal.signal(signal.SIGINT, interrupt)
    assert result.exit_code == code
    assert "Interrupted; `tfgen train` goes on" in result.output
    assert "Traceback" not in result.output


PROCESSES = {
    "name": (["train", b"Gl\xffw", "--data", "two_moons", "--out", "out"], "Gl\\udcffw"),
    "pipe": (["train", "RealNVP", "--data", "pipe.csv", "--out", "out"], "got a named pipe"),
    "size": (
        ["train", "RealNVP", "--data", "digits", "--out", "o", "--image-size", "8192"],
        "8192",
    ),
    "model": (["sample", "run"], "model.keras is damaged"),
    "option": (["sample", "run", "--nmu", "3"], "'--nmu'. (Did you mean one of: '--num'"),
}


@pytest.mark.parametrize("name", zoo.slow("pipe", "name", "size", "model", "option"))
def test_processes(folder, run, name):
    arguments, words = PROCESSES[name]
    os.mkfifo(folder / "pipe.csv")
    os.truncate(run / "model.keras", 2000)
    command = [sys.executable, "-m", "tfgen.app.cli", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert not result.stdout
    # What TensorFlow says when it starts is not ours.
    refused(arguments, words, result.stderr[result.stderr.find("Error: ") :], result.returncode)
