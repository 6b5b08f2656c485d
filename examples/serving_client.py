"""A client of `tfgen serve` and of TensorFlow Serving alike, with nothing but Python.

Both answer at /v1/models/NAME in the same format. This asks a model what it is, draws samples and
scores them:

    tfgen serve nsf_pinwheel --port 8501 &
    python examples/serving_client.py http://127.0.0.1:8501 nsf_pinwheel

TensorFlow Serving serves what `model.export(folder, version=1)` or `tfgen train` wrote; its port
for this format is 8501, too.
"""

import argparse
import json
import pathlib
import urllib.error
import urllib.request


class Model:
    """A served model.

    Args:
        address: of the server, such as `http://127.0.0.1:8501`.
        name: of the model.
        seconds: to wait for an answer.
    """

    def __init__(self, address, name, seconds=60):
        self.url, self.seconds = f"{address.rstrip('/')}/v1/models/{name}", seconds

    def _ask(self, path="", content=None):
        body = None if content is None else json.dumps(content).encode()
        try:
            with urllib.request.urlopen(self.url + path, body, self.seconds) as answer:
                # A connection that breaks off is an error here, not half an answer.
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            said = json.loads(error.read() or "{}").get("error", "")
            raise RuntimeError(f"{error.code}: {said or error.reason}") from None

    def is_ready(self):
        """True if the newest version is there."""
        return any(v["state"] == "AVAILABLE" for v in self._ask()["model_version_status"])

    def signatures(self):
        """Dict from the name of a signature to the names and types of its inputs."""
        content = self._ask("/metadata")["metadata"]["signature_def"]["signature_def"]
        return {
            name: {k: v["dtype"] for k, v in signature["inputs"].items()}
            for name, signature in content.items()
            if not name.startswith("__")
        }

    def predict(self, signature, **inputs):
        """Outputs of a signature, whose inputs are given as nested lists."""
        content = {"signature_name": signature, "inputs": inputs}
        return self._ask(":predict", content)["outputs"]

    def predict_rows(self, signature, rows):
        """Outputs of a signature with a row of its own for each input: a list."""
        content = {"signature_name": signature, "instances": rows}
        return self._ask(":predict", content)["predictions"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", help="such as http://127.0.0.1:8501")
    parser.add_argument("model", help="name of the model")
    parser.add_argument("--num-samples", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--condition", type=json.loads, help="one for each sample, as JSON")
    parser.add_argument("--out", type=pathlib.Path, help="folder for samples.json")
    given = parser.parse_args()

    model = Model(given.address, given.model)
    print(f"{given.model} is {'ready' if model.is_ready() else 'not ready'}")
    signatures = model.signatures()
    for name, inputs in signatures.items():
        print(f"  {name}: {', '.join(inputs)}")

    condition = {} if given.condition is None else {"condition": given.condition}
    asked = {"num_samples": given.num_samples, "seed": [given.seed, 0], "temperature": 1.0}
    samples = model.predict("sample", **asked, **condition)
    print(f"{len(samples)} samples")
    if "log_prob" in signatures:
        rows = [{"x": x} for x in samples]
        for row, value in zip(rows, given.condition or [], strict=False):
            row["condition"] = value
        scores = model.predict_rows("log_prob", rows)
        print("log_prob:", " ".join(f"{score:.3f}" for score in scores))
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "samples.json").write_text(json.dumps(samples))


if __name__ == "__main__":
    main()
