"""Training survives kills, damaged files, full disks, two processes in one folder."""

import contextlib
import errno
import functools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo
from PIL import Image

import tfgen
from tfgen.app import run_folder
from tfgen.app import runs
from tfgen.app import signals
from tfgen.callbacks import Backup
from tfgen.callbacks import backup as backup_module
from tfgen.utils import files

EPOCHS = 3
# Of two players `test_adversarial` saves both optimizers; a VAE's state is of one, as a flow's.
KINDS = ["realnvp_2", *zoo.slow("gan", "vae")]


def state_of(model):
    """Weights, seeds, counts and the optimizers' state of all players."""
    return [v.numpy() for v in backup_module._variables(model)]


def assert_state(model, expected):
    for got, value in zip(state_of(model), expected, strict=True):
        np.testing.assert_array_equal(got, value)


class Training:
    """A small model, and what it is after each epoch of a run that nothing breaks.

    A process that begins is its state at the start, in another folder.
    """

    def __init__(self, name, folder):
        keras.utils.set_random_seed(0)
        entry = zoo.MODELS[name]
        self.model = entry.build()
        self.model.compile(**entry.compile)
        self.x, self.y = zoo.make_data(self.model)
        self.states = [state_of(self.model)]
        self.rows = [None]
        # Folders as a kill would leave them, before each step of the writing.
        self.snapshots = []
        self.unbroken = folder / "unbroken"
        with pytest.MonkeyPatch.context() as patch:
            for module, step in ((os, "fsync"), (os, "replace"), (backup_module, "digest")):
                patch.setattr(module, step, self._photographed(getattr(module, step), folder))
            self.fit(self.unbroken, keras.callbacks.LambdaCallback(on_epoch_end=self._record))
        self._photograph(folder)

    def _record(self, epoch, logs):
        self.states.append(state_of(self.model))
        self.rows.append((self.unbroken / "history.csv").read_text())

    def _photographed(self, step, folder):
        def stepping(*args):
            self._photograph(folder)
            return step(*args)

        return stepping

    def _photograph(self, folder):
        copy = folder / f"snapshot_{len(self.snapshots)}"
        shutil.copytree(self.unbroken, copy)
        self.snapshots.append(copy)

    def begin(self):
        for variable, value in zip(
            backup_module._variables(self.model), self.states[0], strict=True
        ):
            variable.assign(value)

    def backup(self, folder):
        return Backup(folder / "checkpoint", files=[folder / "history.csv"])

    def restore(self, folder):
        """The epochs that a process which begins goes on from."""
        self.begin()
        done = self.backup(folder).restore(self.model)
        assert_state(self.model, self.states[done])
        file = folder / "history.csv"
        assert (file.read_text() if file.exists() else None) == self.rows[done]
        assert not list(folder.rglob(".tfgen-*"))
        return done

    def fit(self, folder, *callbacks):
        folder.mkdir(exist_ok=True)
        self.begin()
        log = keras.callbacks.CSVLogger(folder / "history.csv", append=True)
        callbacks = [log, *callbacks, self.backup(folder)]
        settings = {"epochs": EPOCHS, "batch_size": 20, "verbose": 0}
        try:
            return self.model.fit(self.x, self.y, callbacks=callbacks, **settings).epoch
        finally:
            log.csv_file.close()

    def assert_goes_on(self, folder, done):
        """A process that begins goes on after `done` epochs and ends as the unbroken run did."""
        assert self.fit(folder) == list(range(done, EPOCHS))
        assert_state(self.model, self.states[-1])
        assert (folder / "history.csv").read_text() == self.rows[-1]
        assert kept(folder) == [EPOCHS - 1, EPOCHS]


def kept(folder):
    """The epochs of the files in a folder."""
    found = (file.stem.split("_")[1] for file in (folder / "checkpoint").glob("epoch_*.npz"))
    return sorted(int(number) for number in found)


def damages(size, num_flips):
    """Functions that damage the bytes of a file: cut off at some places, flipped at others."""
    rng = np.random.default_rng(0)
    yield lambda content: content + b"x"
    for length in [0, 1, 63, 64, 65, size // 3, size // 2, size - 65, size - 64, size - 1]:
        yield functools.partial(lambda n, content: content[:n], length)
    for place in [0, size - 1, *rng.integers(size, size=num_flips)]:
        yield functools.partial(_flip, int(place), int(rng.integers(8)))


def _flip(place, bit, content):
    return content[:place] + bytes([content[place] ^ 1 << bit]) + content[place + 1 :]


@pytest.fixture(scope="module", params=KINDS)
def training(request, tmp_path_factory):
    return Training(request.param, tmp_path_factory.mktemp(request.param))


def test_a_kill_at_any_step_of_the_writing(training):
    found = []
    for snapshot in training.snapshots:
        before = kept(snapshot)
        done = training.restore(snapshot)
        assert done == max(before, default=0)
        found.append(done)
    # Of the first file the checksum, the disk's word, the new name; then the folder's.
    assert found == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3]
    for number in (2, 5):
        training.assert_goes_on(training.snapshots[number], found[number])


def test_a_file_that_is_cut_off_or_flipped(training, tmp_path, capsys):
    for done in (1, 3):
        folder = tmp_path / str(done)
        shutil.copytree(training.snapshots[3 if done == 1 else -1], folder)
        file = folder / "checkpoint" / f"epoch_{done:06d}.npz"
        content = file.read_bytes()
        for damage in damages(len(content), 50):
            file.write_bytes(damage(content))
            instead = 0 if done == 1 else 2
            assert training.restore(folder) == instead
            line = capsys.readouterr().out
            assert file.name in line and "is damaged; going on from" in line
            assert line.count("\n") == 1
            assert ("epoch_000002.npz" if instead else "the start") in line
        training.assert_goes_on(folder, instead)
        capsys.readouterr()


def test_all_files_are_damaged(training, tmp_path, capsys):
    shutil.copytree(training.unbroken, tmp_path / "run")
    for file in (tmp_path / "run" / "checkpoint").iterdir():
        os.truncate(file, 1000)
    training.assert_goes_on(tmp_path / "run", 0)
    assert "epoch_000003.npz, epoch_000002.npz" in capsys.readouterr().out


@pytest.mark.parametrize("training", ["realnvp_2"], indirect=True)
@pytest.mark.parametrize("step", ["fsync", "replace", "savez", "digest"])
def test_a_write_that_fails(training, step, tmp_path, monkeypatch):
    """A full disk: the error names the file, and what was kept before is as it was."""
    module = {"savez": np, "digest": backup_module}.get(step, os)
    original, calls = getattr(module, step), []

    def failing(*args, **kwargs):
        calls.append(step)
        # The second file; of the first one the folder is flushed, too.
        if len(calls) == (3 if step == "fsync" else 2):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return original(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(module, step, failing)
        with pytest.raises(OSError, match="No space left on device: .*epoch_000002.npz"):
            training.fit(tmp_path)
    assert kept(tmp_path) == [1]
    assert training.restore(tmp_path) == 1
    if step == "savez":
        training.assert_goes_on(tmp_path, 1)


@pytest.mark.parametrize("training", ["realnvp_2"], indirect=True)
def test_a_state_of_another_model(training, tmp_path):
    """The checksum is right."""
    shutil.copytree(training.unbroken, tmp_path / "run")
    other = zoo.MODELS["realnvp_3"].build()
    other.compile()
    with pytest.raises(ValueError, match="epoch_000003.npz holds the state of another model"):
        training.backup(tmp_path / "run").restore(other)
    arrays, notes = backup_module._read(tmp_path / "run" / "checkpoint" / "epoch_000003.npz")
    with pytest.raises(ValueError, match="is of 2 steps, and this model counts 3"):
        backup_module._assign(training.model, arrays, {**notes, "steps": 2}, "file")


@pytest.mark.slow
def test_two_replicas_go_on(strategy, tmp_path):
    states = []
    for epochs in ((2, 3), (3,)):
        with strategy.scope():
            for number in epochs:
                keras.utils.set_random_seed(0)
                model = zoo.MODELS["realnvp_2"].build()
                model.compile()
                x, _ = zoo.make_data(model)
                backup = Backup(tmp_path / str(len(epochs)))
                model.fit(x, batch_size=20, epochs=number, verbose=0, callbacks=[backup])
        states.append(state_of(model))
    for one, other in zip(*states, strict=True):
        np.testing.assert_array_equal(one, other)


# -------------------------------------------------------------------------------- whole runs

SETTINGS = {
    "model": "RealNVP",
    "data": "two_moons",
    "overrides": {"num_layers": 1, "hidden_units": [4]},
    "epochs": 2,
    "batch_size": 4000,
    "num_validation": 50,
    "verbose": 0,
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a finished run, and its evaluation."""
    out = tmp_path_factory.mktemp("runs") / "run"
    return out, runs.train(out, **SETTINGS)


@pytest.fixture
def run(finished, tmp_path):
    """A copy of a finished run, to break."""
    shutil.copytree(finished[0], tmp_path / "run")
    return tmp_path / "run"


def cut(file):
    os.truncate(file, file.stat().st_size // 2)


def empty(file):
    os.truncate(file, 0)


def flip(*places):
    def damage(file):
        content = bytearray(file.read_bytes())
        for place in places:
            content[int(place * (len(content) - 1))] ^= 0x80
        file.write_bytes(content)

    return damage


def put(text):
    return lambda file: file.write_text(text)


def replaced(old, new):
    return lambda file: file.write_text(file.read_text().replace(old, new))


MODEL = [cut, empty, put("x"), *(flip(place) for place in np.linspace(0, 1, 9)), flip(0.5, 0.6)]
SETTINGS_FILE = [
    cut,
    empty,
    flip(0.5),
    put("[]"),
    put("{}"),
    put("null"),
    replaced('"seed"', '"s"'),
]
HISTORY = [
    *(cut, flip(0.0), flip(0.5), put("x\n1\n"), replaced("epoch", "epocj")),
    *(replaced("\n1,", "\n0,"), replaced("\n1,", "\nx,"), replaced(",", ",,"), put("epoch\n1e9\n")),
]
STOPPED = [empty, cut, put("[1]"), put("{}")]


@pytest.mark.parametrize(
    "name, damage",
    [("model.keras", d) for d in MODEL]
    + [("run.json", d) for d in SETTINGS_FILE]
    + [("history.csv", d) for d in HISTORY]
    + [("stopped.json", d) for d in STOPPED],
)
def test_a_file_of_a_run_that_is_damaged(run, finished, name, damage):
    """It is told in a line that names the file, or nothing is lost."""
    if name == "stopped.json":
        (run / name).write_text(json.dumps({"epoch": 1, "step": 2, "term": "loss"}))
    before = tf.io.gfile.glob(str(run / "*"))
    damage(run / name)
    readers = {
        "model.keras": lambda folder: state_of(run_folder.load_model(folder)),
        "run.json": run_folder.read_settings,
        "history.csv": run_folder.read_history,
        "stopped.json": run_folder.read_stopped,
    }
    try:
        content = readers[name](run)
    except ValueError as error:
        assert type(error) is ValueError
        assert str(run / name) in str(error) and "is damaged" in str(error)
        assert "\n" not in str(error)
    else:
        # Bytes that say nothing, such as a date; or a line less, as of a run that is writing it.
        original = readers[name](finished[0])
        assert name == "model.keras" or damage is cut
        for got, value in zip(content, original, strict=name == "model.keras"):
            np.testing.assert_array_equal(got, value)
    assert tf.io.gfile.glob(str(run / "*")) == before


def test_a_run_that_is_damaged_is_made_whole_by_the_same_settings(run, finished, capsys):
    for name in ("model.keras", "history.csv", "evaluation.json", "samples.png"):
        cut(run / name)
    shutil.rmtree(run / "export")
    flip(0.5)(run / "checkpoint" / "epoch_000002.npz")
    (run / "stopped.json").write_text("{")
    for left in (".tfgen-1-model.keras", ".tfgen-1-export"):
        (run / left).mkdir()
    process = subprocess.Popen(["true"])
    process.wait()
    (run / f".tfgen-{process.pid}-model.keras").touch()
    assert runs.train(run, **SETTINGS) == finished[1]
    out = capsys.readouterr().out
    assert "epoch_000002.npz" in out and "Going on after epoch 1 of 2" in out
    assert_state(run_folder.load_model(run), state_of(run_folder.load_model(finished[0])))
    histories = [run_folder.read_history(folder) for folder in (run, finished[0])]
    for history in histories:
        del history["seconds"]
    assert histories[0] == histories[1]
    names = [{p.name for p in folder.iterdir()} for folder in (run, finished[0])]
    # The process of that number runs, and may be writing.
    assert names[0] - names[1] == {".tfgen-1-model.keras", ".tfgen-1-export"}
    with Image.open(run / "samples.png") as picture:
        picture.load()


PRESET = {
    "config.json": [
        *(cut, empty, flip(0.5), put("[]"), put("{}"), put('{"model": 1}'), put('{"model": {}}')),
        *(replaced('"config"', '"c"'), replaced('"num_layers"', '"n"'), replaced("RealNVP", "R")),
        *(replaced('"num_layers": 1', '"num_layers": "x"'), replaced("FusedAdam", "FusedAdan")),
        replaced('"training": {', '"training": 5, "t": {'),
    ],
    "model.weights.h5": [cut, empty, flip(0.5), flip(0.9), put("x")],
}


@pytest.mark.parametrize("name, damage", [(k, d) for k, ds in PRESET.items() for d in ds])
def test_a_preset_that_is_damaged(finished, tmp_path, name, damage):
    run_folder.load_model(finished[0]).save_to_preset(tmp_path / "mine")
    damage(tmp_path / "mine" / name)
    with pytest.raises(ValueError, match="mine") as caught:
        tfgen.RealNVP.from_preset(tmp_path / "mine")
    assert type(caught.value) is ValueError


def test_weights_of_an_earlier_presets_version(finished, tmp_path):
    """Without a checksum they are read as they are; what HDF5 says of damage names the file."""
    model = run_folder.load_model(finished[0])
    model.save_to_preset(tmp_path / "mine")
    replaced('"weights_sha256"', '"w"')(tmp_path / "mine" / "config.json")
    loaded = tfgen.RealNVP.from_preset(tmp_path / "mine")
    for got, value in zip(loaded.weights, model.weights, strict=True):
        np.testing.assert_array_equal(got, value)
    cut(tmp_path / "mine" / "model.weights.h5")
    with pytest.raises(ValueError, match="mine"):
        tfgen.RealNVP.from_preset(tmp_path / "mine")


# ------------------------------------------------------------------------ files and folders


def bytes_in(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_what_was_written_before_stays_until_the_new_is_whole(finished, tmp_path, monkeypatch):
    model = run_folder.load_model(finished[0])
    writers = {
        "model.keras": model.save,
        "folder": functools.partial(model.save, zipped=False),
        "model.weights.h5": model.save_weights,
        "export": functools.partial(model.export, verbose=False),
        "preset": model.save_to_preset,
        "run.json": functools.partial(run_folder.write_json, content={"a": 1}),
    }
    for name, write in writers.items():
        write(tmp_path / name)
    before = bytes_in(tmp_path)
    model.trainable_variables[0].assign_add(tf.ones_like(model.trainable_variables[0]))
    writers["run.json"] = functools.partial(run_folder.write_json, content={"a": 2})

    def failing(file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for name, write in writers.items():
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", failing)
            with pytest.raises(OSError, match=f"No space left on device: .*{name}"):
                write(tmp_path / name)
        assert bytes_in(tmp_path) == before
        write(tmp_path / name)
        after = bytes_in(tmp_path)
        assert after.keys() == before.keys()
        changed = {p.relative_to(tmp_path).parts[0] for p in after if after[p] != before[p]}
        assert changed == {name}
        before = after


def test_the_disk_is_full(finished, tmp_path):
    """Not when all is written, but in the middle of it."""
    import resource

    model = run_folder.load_model(finished[0])
    writers = {"model.keras": model.save, "run.json": run_folder.write_json}
    writers["export"] = functools.partial(model.export, verbose=False)
    arguments = {"run.json": {"content": ["x" * 5000]}}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for name, write in writers.items():
        write(tmp_path / name, **arguments.get(name, {}))
    before = bytes_in(tmp_path)
    for name, write in writers.items():
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
        try:
            with pytest.raises(OSError, match=name):
                write(tmp_path / name, **arguments.get(name, {}))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert bytes_in(tmp_path) == before


def test_a_folder_keeps_what_is_not_of_it(tmp_path):
    folder = tmp_path / "new"
    for content in ("1", "2"):
        with files.replacing_folder(folder) as path:
            (path / "part").mkdir()
            (path / "part" / "a").write_text(content)
            (path / "b").write_text(content)
        assert {p.name for p in tmp_path.iterdir()} == {"new"}
        assert (folder / "part" / "a").read_text() == (folder / "b").read_text() == content
        if content == "1":
            (folder / "part" / "old").touch()
    # It took the place of all of it.
    assert not (folder / "part" / "old").exists()
    (folder / "mine.txt").write_text("mine")
    (folder / "part" / "old").touch()
    with files.replacing_folder(folder) as path:
        (path / "part").mkdir()
    assert sorted(p.name for p in folder.iterdir()) == ["b", "mine.txt", "part"]
    assert not list((folder / "part").iterdir())


def test_a_folder_that_cannot_take_its_place(tmp_path, monkeypatch):
    """The earlier one is put back."""
    with files.replacing_folder(tmp_path / "new") as path:
        (path / "a").write_text("1")
    rename = os.rename

    def failing(old, new):
        if Path(old).name.endswith("-new") and "old" not in Path(old).name:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(old, new)

    monkeypatch.setattr(os, "rename", failing)
    with (
        pytest.raises(OSError, match="Input/output error: .*new"),
        files.replacing_folder(tmp_path / "new") as path,
    ):
        (path / "a").write_text("2")
    assert [p.name for p in tmp_path.iterdir()] == ["new"]
    assert (tmp_path / "new" / "a").read_text() == "1"


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link.txt").symlink_to(tmp_path / "there" / "file.txt")
    with files.replacing(tmp_path / "link.txt") as path:
        path.write_text("new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "there" / "file.txt").read_text() == "new"


# --------------------------------------------------------------------- folders of runs, signals


@pytest.fixture
def no_work(monkeypatch):
    def work(*args):
        raise AssertionError("the work has begun")

    monkeypatch.setattr(runs, "load_data", work)


def test_two_processes_in_one_folder(run, no_work):
    with (
        run_folder.taken(run, {}),
        pytest.raises(ValueError, match=f"`out` {run} is where another process trains"),
    ):
        runs.train(run, **SETTINGS)
    # Whatever became of the other.
    holder = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_EX); "
            "print(1, flush=True); input()",
            run / ".lock",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    holder.stdout.readline()
    with pytest.raises(ValueError, match="another process trains"):
        runs.train(run, **SETTINGS)
    holder.kill()
    holder.communicate()
    with pytest.raises(AssertionError, match="has begun"):
        runs.train(run, **SETTINGS)


def test_a_folder_that_cannot_be_one_of_a_run(run, tmp_path, no_work, monkeypatch):
    file = tmp_path / "mine.txt"
    file.touch()
    for out in (file, file / "run"):
        with pytest.raises((ValueError, OSError), match=f"`out` .*{file}"):
            runs.train(out, **SETTINGS)
    with pytest.raises(OSError, match="`out` cannot be written to .*'/proc/tfgen/run'"):
        runs.train("/proc/tfgen/run", **SETTINGS)
    # As of a folder that one may only read.
    (run / ".lock").unlink()
    (run / ".lock").mkdir()
    with pytest.raises(OSError, match=f"`out` cannot be written to .*'{run}'"):
        runs.train(run, **SETTINGS)
    (run / ".lock").rmdir()
    (run / "checkpoint" / "latest.weights.h5").touch()
    with pytest.raises(ValueError, match=f"`out` {run} holds a run of version 0.1"):
        runs.train(run, **SETTINGS)


def test_a_file_system_without_locks(run, no_work, monkeypatch, capsys):
    def flock(*args):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(run_folder.fcntl, "flock", flock)
    with pytest.raises(AssertionError, match="has begun"):
        runs.train(run, **SETTINGS)
    assert f"{run} cannot be locked" in capsys.readouterr().out


def test_sigterm_is_as_ctrl_c():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt) as caught, signals.terminating():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(10)
    assert caught.value.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) == before


# ---------------------------------------------------------------------------- real kills, slow

# A process that makes others, which share what it has imported: they begin in no time.
SERVER = """
import os, signal, sys, traceback
sys.path.insert(0, sys.argv[1])
import keras
import zoo
from tfgen.app import signals
from tfgen.callbacks import Backup

def train(name, out):
    keras.utils.set_random_seed(0)
    model = zoo.MODELS[name].build()
    model.compile(**zoo.MODELS[name].compile)
    x, y = zoo.make_data(model)
    log = keras.callbacks.CSVLogger(out + "/history.csv", append=True)
    say = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, _: print(epoch, flush=True))
    backup = Backup(out + "/checkpoint", files=[out + "/history.csv"])
    settings = {"epochs": 12, "batch_size": 8, "verbose": 0}
    model.fit(x, y, callbacks=[say, log, backup], **settings)
    model.save(out + "/model.keras")

for line in sys.stdin:
    child = os.fork()
    if not child:
        code = 1
        try:
            with signals.terminating():
                train(*line.split())
            code = 0
        except KeyboardInterrupt as error:
            code = getattr(error, "exit_code", 130)
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    print("pid", child, flush=True)
    _, status = os.waitpid(child, 0)
    print("code", os.waitstatus_to_exitcode(status), flush=True)
"""


class Server:
    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER, os.path.dirname(__file__)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def train(self, name, out, sent=None, after=0.0):
        """Trains in a process that gets a signal so many seconds after its first epoch begins.

        Returns:
            Its exit code.
        """
        out.mkdir(exist_ok=True)
        self.process.stdin.write(f"{name} {out}\n")
        self.process.stdin.flush()
        child = None
        for line in self.process.stdout:
            word, *rest = line.split()
            if word == "pid":
                child = int(rest[0])
            elif word == "code":
                return int(rest[0])
            elif sent:
                time.sleep(after)
                # It may be over by now.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, sent)
                sent = None
        raise AssertionError("the server ended")


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_real_kills(server, name, tmp_path):
    """Each run is killed ten times at random moments, the last time by SIGTERM."""
    start = time.monotonic()
    assert server.train(name, tmp_path / "unbroken") == 0
    lasts = time.monotonic() - start
    rng = random.Random(name)
    kills = run = 0
    while kills < 10:
        run += 1
        out, code = tmp_path / f"broken_{run}", None
        while kills < 10 and code != 0:
            sent = signal.SIGTERM if kills == 9 else signal.SIGKILL
            code = server.train(name, out, sent, rng.uniform(0, lasts / 4))
            assert code in (0, -signal.SIGKILL, 143)
            kills += code != 0
        # What SIGTERM leaves is in order.
        assert code != 143 or not list(out.rglob(".tfgen-*"))
        assert server.train(name, out) == 0
        assert_same_files(out, tmp_path / "unbroken")
    assert run < 10, "most runs were over before they were killed"


def assert_same_files(out, unbroken):
    assert (out / "history.csv").read_text() == (unbroken / "history.csv").read_text()
    read = [
        backup_module._read(folder / "checkpoint" / "epoch_000012.npz")
        for folder in (out, unbroken)
    ]
    assert read[0][1] == read[1][1]
    assert read[0][0].keys() == read[1][0].keys()
    for key, value in read[0][0].items():
        np.testing.assert_array_equal(value, read[1][0][key])
    assert not list(out.rglob(".tfgen-*-epoch*"))
