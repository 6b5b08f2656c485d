"""Two processes, as two hosts: both end with one model, which is that of one process."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest
import worker
import zoo

HERE = pathlib.Path(__file__).parent
# Statistics of one row leave no volume: refused on any number of devices.
REFUSED = {"injective_flow", "injective_flow_images", "injective_flow_fitted"}
QUICK = ("realnvp_2", "vae")


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ",".join(map(str, ports))


def run_workers(folder, names, timeout):
    ports, environment = free_ports(2), {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment.pop("TF_CONFIG", None)
    started = [
        subprocess.Popen(
            [sys.executable, HERE / "worker.py", folder, ports, str(index), *names],
            env=environment,
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


@pytest.mark.parametrize(
    ("names", "timeout"),
    [
        (QUICK, 240),
        pytest.param(
            tuple(sorted({*zoo.MODELS} - zoo.VARIANTS - REFUSED - {*QUICK})),
            1500,
            marks=pytest.mark.slow,
        ),
    ],
    ids=["quick", "all"],
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
