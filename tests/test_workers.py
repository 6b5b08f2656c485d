"""Two processes, as two hosts: both end with one model, which is that of one process."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import worker

from tfgen.app import runs

HERE = pathlib.Path(__file__).parent
QUICK = ("realnvp_2", "vae")
# With conditions and labels, batch statistics, a critic, chains, layers in turn, two phases, codes.
OTHERS = ("glow_classes", "realnvp_condition", "autoencoder", "cq", "rbm", "dbn", "dbm")
OTHERS += ("helmholtz", "sbn", "vqvae", "gsn", "vlae")


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ",".join(map(str, ports))


ENVIRONMENT = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
ENVIRONMENT.pop("TF_CONFIG", None)


def run_workers(folder, names, timeout):
    ports = free_ports(2)
    started = [
        subprocess.Popen(
            [sys.executable, HERE / "worker.py", folder, ports, str(index), *names],
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for index in range(2)
    ]
    try:
        said = [process.communicate(timeout=timeout)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    for process, text in zip(started, said, strict=True):
        assert process.returncode == 0, text


# Processes of their own, each of which imports TensorFlow; `test_replicas` has two in one.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "timeout"),
    [(QUICK, 240), (OTHERS, 900)],
    ids=["quick", "others"],
)
def test_two_workers_train_as_one_process(names, timeout, tmp_path):
    """Batches of 8, 8 and 1; clipped gradients; validation, evaluation and prediction."""
    run_workers(tmp_path, names, timeout)
    for name in names:
        ends = [np.load(tmp_path / f"{name}_{index}.npz") for index in range(2)]
        assert ends[0].files == ends[1].files
        for key in ends[0].files:
            np.testing.assert_array_equal(ends[0][key], ends[1][key], err_msg=f"{name} {key}")
        histories = [json.loads((tmp_path / f"{name}_{i}.json").read_text()) for i in range(2)]
        assert histories[0] == histories[1]
        model, history, predicted = worker.train(name)
        assert history.keys() == histories[0].keys()
        for term, values in history.items():
            np.testing.assert_allclose(
                histories[0][term], values, rtol=1e-5, atol=1e-6, err_msg=f"{name} {term}"
            )
        for i, weight in enumerate(model.weights):
            np.testing.assert_allclose(
                ends[0][f"arr_{i}"], weight, rtol=1e-5, atol=1e-5, err_msg=f"{name} {weight.path}"
            )
        np.testing.assert_allclose(ends[0]["predicted"], predicted, rtol=1e-4, atol=1e-4)
        saved = keras.saving.load_model(tmp_path / f"{name}_0.keras")
        for kept, weight in zip(saved.weights, model.weights, strict=True):
            np.testing.assert_allclose(kept, weight, rtol=1e-5, atol=1e-5)


TRAIN = (
    *("train", "VAE", "--data", "digits", "--epochs", "4", "--batch-size", "100"),
    *("--set", "latent_dim=2", "--set", "encoder=mlp", "--set", "decoder=mlp"),
)


def start(out, cluster, index):
    """A process of the command line on one of the hosts, whose output is in a file beside."""
    command = "from tfgen.app.cli import main; main()"
    task = {"cluster": {"worker": cluster}, "task": {"type": "worker", "index": index}}
    environment = {**ENVIRONMENT, **({"TF_CONFIG": json.dumps(task)} if cluster else {})}
    with open(f"{out}_{index}.txt", "w") as text:
        return subprocess.Popen(
            [sys.executable, "-c", command, *TRAIN, "--out", out],
            env=environment,
            stdout=text,
            stderr=subprocess.STDOUT,
        )


@pytest.mark.slow
def test_a_worker_that_is_killed(tmp_path):
    """The other ends in a line; both go on, together, and end with the run of one process."""
    out, alone = tmp_path / "two", tmp_path / "one"
    one = start(alone, [], 0)
    assert one.wait(240) == 0, pathlib.Path(f"{alone}_0.txt").read_text()
    cluster = [f"127.0.0.1:{port}" for port in free_ports(2).split(",")]
    first, second = (start(out, cluster, index) for index in range(2))
    beside = out.with_name("two.worker_1") / "checkpoint"
    try:
        deadline = time.monotonic() + 120
        while not (beside / "epoch_000002.npz").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        second.kill()
        second.wait()
        assert first.wait(120) == 1
        said = pathlib.Path(f"{out}_0.txt").read_text()
        assert "Error: another host is lost" in said and "Traceback" not in said
        # As if the first had been further on than the other.
        (beside / "epoch_000002.npz").unlink()
        cluster = [f"127.0.0.1:{port}" for port in free_ports(2).split(",")]
        first, second = (start(out, cluster, index) for index in range(2))
        assert (first.wait(240), second.wait(60)) == (0, 0)
    finally:
        for process in (first, second):
            process.kill()
            process.wait()
    assert "Going on after epoch 1 of 4" in pathlib.Path(f"{out}_0.txt").read_text()
    # The other host keeps what it resumes from, and the first has written the run.
    assert {p.name for p in beside.parent.iterdir()} == {".lock", "checkpoint", "run.json"}
    models = [keras.saving.load_model(folder / "model.keras") for folder in (out, alone)]
    for a, b in zip(*(model.weights for model in models), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5, err_msg=a.path)
    histories = [runs.read_history(folder) for folder in (out, alone)]
    assert len(histories[0]["loss"]) == 4
    np.testing.assert_allclose(histories[0]["val_loss"], histories[1]["val_loss"], rtol=1e-4)
