"""All models of the registry, and which checks of them are slow ones."""

import contextlib
import functools
import gc
import os

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfgen
from tfgen import bijectors as tfg
from tfgen.testing import models as testing

from .adversarial_models import ADVERSARIAL
from .autoregressive_models import AUTOREGRESSIVE
from .discrete_models import DISCRETE_LATENTS
from .energy_models import ENERGY
from .flow_models import FLOWS
from .flow_models import OTHER_BASES
from .helpers import perturb
from .latent_models import AUTOENCODERS
from .latent_models import LATENT_VARIABLE_MODELS

MODELS = (
    FLOWS
    | LATENT_VARIABLE_MODELS
    | AUTOENCODERS
    | ADVERSARIAL
    | AUTOREGRESSIVE
    | ENERGY
    | DISCRETE_LATENTS
)

# Those whose recipe and kind of data another entry has, too: of their checks there is the contract,
# among the slow ones.
VARIANTS = {
    *("glow", "glow_additive", "glow_colour", "glow_penalty"),
    *("realnvp_1", "realnvp_3", "realnvp_64", "realnvp_labels", "realnvp_odd_images"),
    "realnvp_diagonal",
    *("maf_1", "maf_labels", "maf_pixels", "iaf_condition", "nsf_condition", "nsf_64"),
    *("flow_own_transform", "vae_real", "vae_images", "vae_pixel_flow"),
    *("autoencoder_images", "injective_flow_fitted", "injective_flow_images"),
    *("nade_colour", "made_colour", "deep_nade_colour", "deep_nade_real"),
    *("wgan_clipped", "vlae_downsampled", "pixelcnn_gated", "pixelrnn_row", "glow_real"),
    *("realnvp_bits", "vae_colour"),
    *("rbm_real", "rbm_uint8", "dbm_uint8", "dbn_real", "boltzmann_visible"),
    # Its map is in the bijectors' contract, and solved as that of `maf`; `test_table` has tables.
    *("nsf_autoregressive", "nsf_table"),
    # Configurations of other recipes, which have no method of their own.
    *("iaf", "iafvae", "afvae", "vaef", "cqf"),
    # Slow to build: `test_contract` looks at what no other entry has of them.
    *("realnvp_images", "glow_image_condition", "gan_images", "pixelcnn_colour"),
    "nade_real",
    # Other estimators.
    *("sbn_vimco", "sbn_gumbel", "helmholtz_wake_sleep"),
    *("discrete_vae_real", "discrete_vae_uint8", "vqvae_uint8", "draw_whole", "gsn_one_step"),
}

# What the core does whatever the family is checked of few: with noise and without, of labels,
# vectors and neither, with a critic and latents that were fitted.
CORE = {"realnvp_condition", "vae", "autoencoder", "cq"}

# Those that stand beside another entry of their family (`rbm`, `dbn`, `sbn`, `gan`, `discrete_vae`,
# `pixelcnn`), with whose machinery they are checked; what is their own has default tests.
BESIDE = {"dbm", "convrbm", "boltzmann", "helmholtz", "gan_binary"}
BESIDE |= {"bigan", "vqvae", "draw", "gsn", "pixelrnn"}

# One of each recipe and kind of data: what the core does with any model is checked of these.
KINDS = {name: entry for name, entry in MODELS.items() if name not in VARIANTS}

NUM_ROWS, BATCH_SIZE, EPOCHS = 20, 8, 6


def slow(*values):
    """Values of a parameter whose tests are slow ones."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


def but_slow(names, among=None):
    """Names as values of a parameter, and others whose tests are slow ones: by default those of
    `KINDS`."""
    among = {*KINDS, *names} if among is None else among
    assert {*names} <= {*among}, {*names} - {*among}
    return [*sorted(names), *slow(*sorted({*among} - {*names}))]


def make_data(model, num_rows=NUM_ROWS, seed=0):
    """Data of two clusters that a model can learn, and conditions that tell something of them."""
    rng = np.random.default_rng(seed)
    size = (num_rows,) + (1,) * len(model.event_shape)
    y = None
    side = rng.choice([-1.0, 1.0], size)
    if model.num_classes:
        y = rng.integers(model.num_classes, size=num_rows)
        side = side + y.reshape(size)
    elif model.condition_shape is not None:
        y = rng.normal(size=(num_rows, *model.condition_shape)).astype("float32")
        side = side + y.reshape(num_rows, -1)[:, :1].reshape(size)
    x = 2 * side + 0.3 * rng.normal(size=(num_rows, *model.event_shape))
    if model.data_kind == "real":
        return x.astype("float32"), y
    if model.data_kind == "binary":
        return (x > 0).astype("uint8"), y
    if model.data_kind == "columns":
        line = tfg.ToLine(model.columns, dtype="float64")
        line.build((None, *model.event_shape))
        dequantise = tfg.DequantiseColumns(model.columns, dtype="float64")
        dequantise.build((None, *model.event_shape))
        return dequantise.quantise(line.forward_and_log_det(x / 2)[0]).numpy().astype("float32"), y
    return np.clip(100 + 25 * x, 0, 255).astype("uint8"), y


class Case(testing.Case):
    """A model of the registry that tests share: they must not change its weights."""

    # Not a copy of a model, as the parent holds, but the model itself, after some training.
    def __init__(self, name, trained=True):
        self.name, self.entry, self.seed = name, (MODELS | OTHER_BASES)[name], 3
        keras.utils.set_random_seed(0)
        self.model = self.entry.build()
        self.kind, self.compile_config = type(self.model).__name__, None
        self.x, self.y = make_data(self.model)
        self.condition = self.y
        self.model.compile(**{"run_eagerly": False, **self.entry.compile})
        if trained:
            self.history = self.fit(self.model)
        elif self.model._needs_adapt():
            self.model.adapt(self.x, self.y, batch_size=BATCH_SIZE)
        self.trained = [w.numpy() for w in self.model.weights]
        perturb(self.model)
        # It stays: the garbage collector need not look through its graphs again and again.
        gc.freeze()
        self._weights = [w.numpy() for w in self.model.weights]

    def fit(self, model, **arguments):
        """Trains a model of this entry as the shared one was; returns the history."""
        arguments = {"validation_data": (self.x, self.y), **arguments}
        arguments = {"epochs": EPOCHS, "batch_size": BATCH_SIZE, "verbose": 0, **arguments}
        return model.fit(self.x, self.y, **arguments).history

    @property
    def noisy(self):
        """True if the outputs of `call` depend on noise."""
        scores = hasattr(self.model, "critic") and self.entry.likelihood == "none"
        dequantised = scores and self.model.data_kind == "uint8"
        if isinstance(self.model, tfgen.VQVAE):
            # Its posterior is one value.
            return False
        drawn = isinstance(self.model, tfgen.DBN)
        return dequantised or drawn or self.entry.likelihood in ("bound", "estimate")

    def untouched(self):
        weights = zip(self.model.weights, self._weights, strict=True)
        return all(np.array_equal(w.numpy(), kept) for w, kept in weights)

    @contextlib.contextmanager
    def restored(self):
        """Scope of what trains: batch normalisation counts in every pass of training."""
        yield
        for weight, kept in zip(self.model.weights, self._weights, strict=True):
            weight.assign(kept)

    def tensors(self):
        """`x`, the condition and some noise of `log_prob`, as the model's cores take them."""
        rows = tf.constant([1, 2]), tf.constant(0, tf.int64), len(self.x)
        y = None if self.y is None else tf.constant(self.y)
        return tf.constant(self.x), y, self.model._terms_noise(*rows)

    def some(self, num_rows):
        """The first rows of the data and of the conditions."""
        return self.x[:num_rows], None if self.y is None else self.y[:num_rows]


# Of a process of pytest-xdist, to which the tests of one entry come one after the other: with all
# graphs of all models it would take more memory than there is.
_MOST = 8 if "PYTEST_XDIST_WORKER" in os.environ else len(MODELS | OTHER_BASES)
_cases = {}


def case(name):
    """The shared case of an entry; of several the oldest is forgotten."""
    if name not in _cases:
        if len(_cases) >= _MOST:
            del _cases[next(iter(_cases))]
            gc.unfreeze()
            gc.collect()
        _cases[name] = Case(name, trained=name in MODELS)
    return _cases[name]


def shared(name):
    """A case as a fixture gives it."""
    shared_case = case(name)
    yield shared_case
    assert shared_case.untouched(), "a test changed the weights of a shared model"


@functools.lru_cache(_MOST)
def untrained(name):
    """A case of which a few tests need no more than that its weights are perturbed."""
    return Case(name, trained=False)
