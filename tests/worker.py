"""One of several processes that train together, as `test_workers.py` starts them.

    python tests/worker.py FOLDER PORTS INDEX NAME...

Trains entries of the registry and writes their weights, histories and predictions to FOLDER.
"""

import json
import os
import pathlib
import sys

ROWS, EPOCHS = 17, 2


def train(name, strategy=None):
    """A trained model of an entry, its history, and what it predicts."""
    import contextlib

    import keras
    import zoo

    keras.utils.set_random_seed(0)
    with strategy.scope() if strategy else contextlib.nullcontext():
        model = zoo.MODELS[name].build()
        # Not Adam, which makes whole steps of gradients that are zero but for rounding.
        players = [keras.optimizers.SGD(1e-2, global_clipnorm=1.0) for _ in model.players]
        arguments = {"critic_optimizer": players[1]} if len(players) > 1 else {}
        model.compile(players[0], **arguments)
    x, y = zoo.make_data(model)
    x, y = x[:ROWS], None if y is None else y[:ROWS]
    size = {"batch_size": zoo.BATCH_SIZE, "verbose": 0}
    history = model.fit(x, y, epochs=EPOCHS, validation_data=(x, y), **size).history
    history["evaluated"] = [model.evaluate(x, y, return_dict=True, **size)["loss"]]
    return model, history, model.predict(x if y is None else (x, y), **size)


def main():
    folder, ports, index, *names = sys.argv[1:]
    workers = [f"127.0.0.1:{port}" for port in ports.split(",")]
    task = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": int(index)}}
    os.environ["TF_CONFIG"] = json.dumps(task)
    import numpy as np
    import tensorflow as tf

    # Before anything else is computed.
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    for name in names:
        model, history, predicted = train(name, strategy)
        path = pathlib.Path(folder) / f"{name}_{index}"
        np.savez(f"{path}.npz", *[w.numpy() for w in model.weights], predicted=predicted)
        path.with_suffix(".json").write_text(json.dumps(history))
        # Each by itself: nothing in it waits for the other.
        model.save(f"{path}.keras")


if __name__ == "__main__":
    main()
