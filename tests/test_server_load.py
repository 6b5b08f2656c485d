"""The server as a process: a small load, its client, slow clients, and how it ends."""

import json
import runpy
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from tfgen.app import serving
from tfgen.app.cli import main
from tfgen.app.opened import open_model
from tfgen.app.serving.server import _listening as listening

ROOT = Path(__file__).parents[1]
PRESET, SECONDS = "nsf_pinwheel", 3
load = SimpleNamespace(**runpy.run_path(str(ROOT / "benchmarks" / "serving_load.py")))


@pytest.fixture(scope="module")
def net():
    return open_model(PRESET).net


@pytest.fixture(scope="module")
def server():
    """One for all tests; the last one ends it."""
    server = load.Server(PRESET, SECONDS)
    yield server
    server.process.kill()
    server.process.communicate()


def test_it_says_in_a_line_that_it_is_ready(server):
    assert server.line.startswith(f"served is served at http://127.0.0.1:{server.port}; try: curl")


def test_the_client_of_the_documentation(server, tmp_path):
    command = [sys.executable, ROOT / "examples" / "serving_client.py"]
    command += [f"http://127.0.0.1:{server.port}", "served", "--out", tmp_path]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "served is ready" in found and "sample: " in found and "log_prob: " in found
    samples = json.loads((tmp_path / "samples.json").read_text())
    scores = [float(v) for v in found.split("log_prob:")[-1].split()]
    net = open_model(PRESET).net
    assert net.log_prob(samples).numpy() == pytest.approx(scores, abs=2e-3)
    other = subprocess.run([*command[:3], "other"], capture_output=True, text=True)
    assert "404: the model is 'served'; got 'other'" in other.stderr


def test_answers_under_load(server, net):
    requests = list(load.mixed(load.good_requests(net, 2), 70, 0.4))
    assert {*load.BAD, *load.RAW} <= {r for r in requests if isinstance(r, str)}
    clients = load.Load(server, requests, SECONDS)
    clients.run(8)
    expected = {"right", *load.BAD, *load.RAW}
    assert clients.counts["right"] == 42 and set(clients.counts) <= expected, clients.counts
    assert max(clients.statuses) < 500


# A process of its own; `test_server` has the states of one that ends.
@pytest.mark.slow
def test_it_ends_with_the_answers_that_it_owes(server, net):
    found = load.stop_gracefully(server, net, clients=3)
    assert found == {
        "answers": {(200, 256): 3},
        "exit code": 0,
        "errors": "",
        "refuses new": True,
    }


# ------------------------------------------------------------------------------ it does not start


def refused(*arguments):
    result = CliRunner().invoke(main, ["serve", *arguments])
    assert result.exit_code == 1 and result.output.count("\n") == 1, result.output
    return result.output


def test_what_is_missing_is_told_with_the_extra(monkeypatch):
    find_spec = serving.importlib.util.find_spec
    monkeypatch.setattr(
        serving.importlib.util, "find_spec", lambda n: None if n == "uvicorn" else find_spec(n)
    )
    assert "`tfgen serve` needs uvicorn: pip install 'tfgen[serve]'" in refused(PRESET)


def test_a_port_in_use_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = refused(PRESET, "--port", str(port))
        assert f"`port` {port} of 127.0.0.1 cannot be listened at" in words
    with listening("127.0.0.1", 0) as taken:
        # Its model is still being loaded.
        words = refused(PRESET, "--port", str(taken.getsockname()[1]))
        assert "cannot be listened at" in words
    assert "`host`" in refused(PRESET, "--host", "no.such.host.invalid")


def test_what_is_no_model_is_told(tmp_path):
    words = refused(str(tmp_path), "--port", "0")
    assert "`SOURCE` must be" in words and "of a SavedModel" in words


@pytest.mark.slow
def test_what_is_no_preset_with_weights_is_told():
    assert "Did you mean 'nsf_pinwheel'?" in refused("nsf_pinwhel", "--port", "0")
    assert "without weights" in refused("vae_fashion_mnist_small", "--port", "0")
