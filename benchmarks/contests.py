"""What `run.py` races: contests, their sizes, and the bars that were set for the ratios."""

import dataclasses

TFGEN, TORCH, JAX, KERAS = (f"contestants.of_{of}:" for of in ("tfgen", "torch", "jax", "keras"))


@dataclasses.dataclass(frozen=True)
class Contest:
    """Contestants of equal sizes.

    Attributes:
        title: of its table.
        about: the sizes, in words.
        contestants: dict of names to `("module:Class", arguments)`.
        ours: those that are judged.
        measures: of `"first step"`, `"train"`, `"log_prob"`, `"sample"`, `"memory"`, `"limit"`.
        bars: dict of `(name, measure)` to the largest ratio to the fastest peer; of `"first step"`
            to seconds; of `"limit"` to the least part of a step, of those that have one.
    """

    title: str
    about: str
    contestants: dict
    ours: tuple
    measures: tuple
    bars: dict


def glow(**sizes):
    """Contestants of a Glow's sizes."""
    sizes = {"shape": (32, 32, 3), "levels": 3, "steps_of_flow": 32, "filters": 128, **sizes}
    sizes = {"batch": 32, **sizes}
    kept = {
        f"tfgen, {memory}": (TFGEN + "Glow", {**sizes, "memory": memory})
        for memory in ("stored", "reversible")
    }
    return {**kept, "normflows": (TORCH + "Glow", sizes)}


def vectors(name):
    """Contestants of one flow over vectors."""
    sizes = {"name": name, "size": 64, "layers": 5, "width": 512, "batch": 256}
    found = {
        "tfgen": (TFGEN + "Vectors", sizes),
        "tfgen, XLA": (TFGEN + "Vectors", {**sizes, "jit_compile": True}),
        "zuko": (TORCH + "Vectors", {**sizes, "library": "zuko"}),
        "zuko, compiled": (TORCH + "Vectors", {**sizes, "library": "zuko", "compiled": True}),
    }
    # The density of normflows's MAF takes a pass for each value, and so does a step of it.
    other = "nflows" if name == "MAF" else "normflows"
    found[other] = (TORCH + "Vectors", {**sizes, "library": other})
    found["flowjax"] = (JAX + "Vectors", sizes)
    return found


def _vector_contest(name, bars):
    return Contest(
        f"{name[0].upper()}{name[1:]} over vectors",
        "64 values, 5 layers, two hidden layers of 512 units, batch 256, Adam",
        vectors(name),
        ("tfgen", "tfgen, XLA"),
        ("first step", "train", "log_prob", "sample", "limit"),
        bars,
    )


def _of(name, **bars):
    return {(name, measure): bar for measure, bar in bars.items()}


def _one_row(name):
    cls, sizes = (TFGEN + "VAE", {}) if name == "VAE" else vectors(name)["tfgen"]
    return Contest(
        f"`log_prob` of one row, {name}",
        "the model's method, and its compiled function alone",
        {
            "tfgen": (cls, {**sizes, "batch": 1}),
            "its function": (cls, {**sizes, "batch": 1, "alone": True}),
        },
        ("tfgen",),
        ("log_prob",),
        _of("tfgen", log_prob=1.5),
    )


def _plain(name, batch):
    return Contest(
        f"{name} beside plain Keras",
        f"28x28 images, convolutions, 64 latents, batch {batch}, the same networks",
        {
            "tfgen": (f"{TFGEN}{name}", {"batch": batch}),
            "Keras": (f"{KERAS}{name}", {"batch": batch}),
        },
        ("tfgen",),
        ("first step", "train"),
        _of("tfgen", train=1.1),
    )


def _pixels(name, bar, batch=64, **sizes):
    sizes = {"batch": batch, **sizes}
    return Contest(
        f"Samples of a {name}",
        f"{batch} binary images of 28x28; the naive loop computes anew what is before a pixel",
        {
            "tfgen": (f"{TFGEN}{name}", sizes),
            "naive loop": (f"{TFGEN}{name}", {**sizes, "naive": True}),
        },
        ("tfgen",),
        ("sample",),
        _of("tfgen", sample=1 / bar),
    )


CONTESTS = {
    "glow": Contest(
        "Glow",
        "K=32, L=3, 128 filters, 32x32x3, batch 32, Adam",
        glow(),
        ("tfgen, stored", "tfgen, reversible"),
        ("first step", "train", "log_prob", "sample", "memory", "limit"),
        {
            **_of("tfgen, stored", train=0.75, log_prob=0.7, sample=0.7, limit=0.8),
            **_of("tfgen, reversible", train=1.05, memory=0.25),
            ("tfgen, stored", "first step"): 6.0,
            ("tfgen, reversible", "first step"): 6.0,
        },
    ),
    "realnvp": _vector_contest(
        "RealNVP", _of("tfgen", train=0.9, log_prob=0.9, sample=0.9, limit=0.8)
    ),
    "maf": _vector_contest("MAF", _of("tfgen", train=0.9, log_prob=0.9, sample=0.1, limit=0.8)),
    "nsf": _vector_contest("NSF", _of("tfgen", train=0.9, log_prob=0.9, sample=0.9)),
    "autoregressive_nsf": _vector_contest("autoregressive NSF", _of("tfgen", train=0.7)),
    "vae": _plain("VAE", 128),
    "gan": _plain("GAN", 64),
    "pixelcnn": _pixels("PixelCNN", 80, filters=64),
    "vlae": _pixels("VLAE", 25),
    "nade": _pixels("NADE", 20, batch=100, units=500),
    "one_row_realnvp": _one_row("RealNVP"),
    "one_row_maf": _one_row("MAF"),
    "one_row_vae": _one_row("VAE"),
}


def inputs(data_dir):
    """The contest of `fit`'s input; its images come from TFDS, if it is told where."""
    sources = ["constant", "array"] + ["mnist"] * (data_dir is not None)
    names = {"constant": "one batch", "array": "60,000 of an array", "mnist": "TFDS, shuffled"}
    return Contest(
        "Input of `fit`",
        "a VAE's steps on 28x28 images, batch 128: of real input, and of the same batch again",
        {
            names[source]: (
                TFGEN + "Input",
                {"source": source, "batch": 128, "data_dir": data_dir},
            )
            for source in sources
        },
        tuple(names[source] for source in sources[1:]),
        ("train",),
        {(names[source], "train"): 1.05 for source in sources[1:]},
    )


# What grows, from the sizes in the middle: K=8, 64 filters, batch 16, 32x32 pixels.
GROWTH = {
    "steps_of_flow": (4, 16, 64),
    "filters": (32, 64, 128),
    "batch": (4, 16, 64),
    "side": (16, 32, 64),
}
MIDDLE = {"steps_of_flow": 8, "filters": 64, "batch": 16, "side": 32}


def grown(axis, value):
    """The contestants of `glow` where one size is another."""
    sizes = {**MIDDLE, axis: value}
    side = sizes.pop("side")
    return glow(shape=(side, side, 3), **sizes)
