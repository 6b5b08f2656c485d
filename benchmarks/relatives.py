"""What was built on the GAN, by what each is for: BiGAN's codes, classes from few labels,
translation without pairs, classifiers that carry over.

    python benchmarks/relatives.py --data-dir DIR --out runs/relatives
    python benchmarks/relatives.py --data-dir DIR --tasks cycle

Each model trains on MNIST and, when the command is given again, goes on where it was interrupted.
Prints what it is judged by, on the 10,000 test images, beside yardsticks, and leaves a picture of
each task.
"""

import argparse
import dataclasses
import json
import pathlib

import keras
import numpy as np
import scipy.ndimage
import sklearn.datasets
from sklearn.linear_model import LogisticRegression

import tfgen
from tfgen import callbacks
from tfgen import plots

NUM_SHOWN, NUM_LABELS = 16, 100


def train(model, folder, *data, batch_size, epochs):
    backup = callbacks.Backup(folder)
    model.fit(*data, batch_size=batch_size, epochs=epochs, verbose=2, callbacks=[backup])


def convolutions():
    """Those of the presets' critics."""
    settings = {"batch_norm": False, "activation": "leaky_relu"}
    return tfgen.networks.ConvEncoder((32, 64), (2, 2), **settings)


def classifier(**settings):
    shape, features = (28, 28, 1), convolutions()
    return tfgen.DomainAdversarial(shape, 10, features=features, **settings)


def accuracy(model, x, y):
    return float(np.mean(model.classify(x).numpy() == y))


def show(path, left, right, caption):
    grid = plots.paired_grid(left[:NUM_SHOWN], right[:NUM_SHOWN], columns=4)
    plots.save_image(path, grid, scale=2, caption=caption)


# ------------------------------------------------------------------------------------------ codes


def probe(train, test, y, y_test):
    """Accuracy of logistic regression on codes."""
    mean, scale = train.mean(0), train.std(0) + 1e-6
    found = LogisticRegression(max_iter=300).fit((train - mean) / scale, y)
    return float(found.score((test - mean) / scale, y_test))


def codes(data, folder):
    """Reconstructions of a BiGAN, and a linear probe of its codes beside those of an encoder that
    was not trained and of as many principal components."""
    keras.utils.set_random_seed(0)
    (x, y), (x_test, y_test) = data.train, data.test
    model = tfgen.BiGAN.from_preset("bigan_mnist", load_weights=False)
    model.compile()
    some, found = slice(10_000), {}
    pixels = [v.reshape(len(v), -1) / 255 for v in (x[some], x_test)]
    axes = np.linalg.svd(pixels[0] - pixels[0].mean(0), full_matrices=False)[2][: model.latent_dim]
    components = [(v - pixels[0].mean(0)) @ axes.T for v in pixels]
    given = {"principal components": components, "pixels": pixels}
    given["untrained encoder"] = [model.encode(v).numpy() for v in (x[some], x_test)]
    train(model, folder, x, batch_size=128, epochs=12)
    given["BiGAN"] = [model.encode(v).numpy() for v in (x[some], x_test)]
    for name, (known, unseen) in given.items():
        found[f"probe of {name}"] = probe(known, unseen, y[some], y_test)
    rebuilt = model.reconstruct(x_test).numpy()
    errors = np.square(rebuilt.astype(float) - x_test).mean((1, 2, 3)) / 255**2
    by_chance = np.square(np.roll(rebuilt, 1, 0).astype(float) - x_test).mean((1, 2, 3)) / 255**2
    found |= {"squared error": float(errors.mean()), "of others": float(by_chance.mean())}
    show(
        folder.with_suffix(".png"), x_test, rebuilt, "test images; what BiGAN makes of their codes"
    )
    return found


# ----------------------------------------------------------------------------------------- labels


def few_labels(data, folder):
    """Errors of classifiers that have seen 100 labels: with the other images, and without."""
    (x, y), (x_test, y_test) = data.train, data.test
    rng = np.random.default_rng(0)
    known = np.concatenate(
        [rng.choice(np.flatnonzero(y == k), NUM_LABELS // 10, replace=False) for k in range(10)]
    )
    labels = np.full(len(y), -1)
    labels[known] = y[known]
    keras.utils.set_random_seed(0)
    model = tfgen.SemiSupervisedGAN.from_preset("semi_supervised_gan_mnist", load_weights=False)
    model.compile()
    shown_often = tfgen.data.repeat_labelled(x, labels)
    train(model, folder, *shown_often, batch_size=100, epochs=5)
    plots.save_samples(folder.with_suffix(".png"), model.sample(36, seed=0))
    # The same convolutions, of the labelled images alone.
    keras.utils.set_random_seed(0)
    alone = classifier(domain_weight=0.0)
    alone.compile()
    alone.fit(x[known], y[known], batch_size=50, epochs=500, verbose=0)
    errors = [1 - accuracy(m, x_test, y_test) for m in (model, alone)]
    return {"semi-supervised error": errors[0], "supervised error": errors[1]}


# ------------------------------------------------------------------------------------ translation


def thick_negatives(x):
    """Digits as dark strokes on light, thickened."""
    return 255 - scipy.ndimage.grey_dilation(x, size=(1, 3, 3, 1))


def cycle(data, folder):
    """Digits as thick negatives: a classifier of these scores translations of test images."""
    (x, y), (x_test, y_test) = data.train, data.test
    # No image of one set has its counterpart in the other.
    half = len(x) // 2
    target = dataclasses.replace(
        data,
        name="thick_negatives",
        train=(thick_negatives(x[half:]), y[half:]),
        test=(thick_negatives(x_test), y_test),
    )
    judge = tfgen.metrics.classifier(target, cache_dir=folder.parent)
    keras.utils.set_random_seed(0)
    # The identity loss would hold what is light and what is dark.
    model = tfgen.CycleGAN(x.shape[1:], filters=8, num_blocks=1, identity_weight=0.0)
    model.compile()
    train(model, folder, (x[:half], target.train[0]), batch_size=16, epochs=3)
    made = model.translate(x_test).numpy()
    back = model.translate_back(made).numpy()

    def score(images):
        return float(np.mean(judge.probabilities(images, "uint8").argmax(1) == y_test))

    show(folder.with_suffix(".png"), x_test, made, "test images; their translations")
    return {
        "score of translations": score(made),
        "of true ones": score(target.test[0]),
        "of images as they are": score(x_test),
        "error of translations, of 255": float(np.abs(made * 1.0 - target.test[0]).mean()),
        "cycle error, of 255": float(np.abs(back * 1.0 - x_test).mean()),
    }


# ---------------------------------------------------------------------------------------- domains


def over_photographs(x, seed):
    """Digits over grey photographs, as MNIST-M has them (Ganin et al. 2016, section 5.2.4): the
    absolute difference of a digit and a patch of scikit-learn's two photographs."""
    rng = np.random.default_rng(seed)
    photographs = [p.mean(-1) for p in sklearn.datasets.load_sample_images().images]
    height, width = x.shape[1:3]
    mixed = np.empty_like(x)
    for i, image in enumerate(x):
        photograph = photographs[rng.integers(len(photographs))]
        top, left = (
            rng.integers(s - d) for s, d in zip(photograph.shape, (height, width), strict=True)
        )
        patch = photograph[top : top + height, left : left + width, None]
        mixed[i] = np.abs(patch - image)
    return mixed


def domains(data, folder):
    """Accuracies on digits over photographs: trained on plain digits, on these and on the others
    without labels, and on the others with labels."""
    (x, y), (x_test, y_test) = data.train, data.test
    half = len(x) // 2
    target, target_test = over_photographs(x[half:], 1), over_photographs(x_test, 2)
    unknown = np.full(len(target), -1)
    given = {
        "source only": (0.0, x[:half], y[:half]),
        "adapted": (1.0, np.concatenate([x[:half], target]), np.concatenate([y[:half], unknown])),
        "target's labels": (0.0, target, y[half:]),
    }
    found = {}
    for name, (weight, images, labels) in given.items():
        keras.utils.set_random_seed(0)
        model = classifier(domain_weight=weight)
        model.compile()
        where = folder.with_name(f"{folder.name}_{name.split()[0]}")
        train(model, where, images, labels, batch_size=128, epochs=10)
        found[name] = accuracy(model, target_test, y_test)
        found[f"{name}, of plain digits"] = accuracy(model, x_test, y_test)
    low, high = found["source only"], found["target's labels"]
    found["part of the way"] = (found["adapted"] - low) / (high - low)
    show(folder.with_suffix(".png"), x_test, target_test, "test images; over photographs")
    return found


TASKS = {"codes": codes, "few_labels": few_labels, "cycle": cycle, "domains": domains}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", help="folder of prepared TFDS data sets")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/relatives"))
    args = parser.parse_args()
    data = tfgen.data.load("mnist", data_dir=args.data_dir)
    args.out.mkdir(parents=True, exist_ok=True)
    for name in args.tasks:
        result = args.out / f"{name}.json"
        if not result.is_file():
            result.write_text(json.dumps(TASKS[name](data, args.out / name)))
        figures = json.loads(result.read_text())
        print(name, *(f"{k} {v:.4f}" for k, v in figures.items()), sep=", ", flush=True)


if __name__ == "__main__":
    main()
