"""What autoencoders and latent-variable models share: networks, parts, latents fitted later."""

import keras
import tensorflow as tf

from tfgen.data.binarise import draw_bits
from tfgen.distributions import Transformed
from tfgen.distributions import fit_gaussian
from tfgen.distributions import fit_gaussian_mixture
from tfgen.distributions import get_base
from tfgen.models.base import GenerativeModel
from tfgen.models.flow import Flow
from tfgen.models.initialise import WeightNormInit
from tfgen.models.realnvp import RealNVP
from tfgen.networks import MLP
from tfgen.networks import ConvDecoder
from tfgen.networks import ConvEncoder
from tfgen.networks import ResNetDecoder
from tfgen.networks import ResNetEncoder
from tfgen.utils import checks
from tfgen.utils.layers import build_once
from tfgen.utils.layers import freeze_parts
from tfgen.utils.random import fold_in

FOR_VECTORS = ("mlp",)
FOR_IMAGES = ("mlp", "conv", "resnet")
FITS = ("gaussian", "gmm", "flow")


class EncoderDecoder(WeightNormInit, GenerativeModel):
    """Examples to features, latents, features again, and examples.

    Args:
        event_shape: `[size]` or `[height, width, channels]`.
        latent_dim: number of latents.
        parts: dict of `posterior`, a `Posterior` from an encoder's features to latents,
            `observation`, an `Observation` of examples from a decoder's features, and `prior`, a
            `Base` that latents are drawn from, if there is one.
        encoder: layer from examples (as `observation.inputs` gives them) to features
            `[batch, size]`, or `"mlp"`, `"conv"` or `"resnet"`; by default the one for vectors or
            for images.
        decoder: layer from latents to features, `[batch, size]` or
            `[batch, height, width, channels]`, or a name as for `encoder`.
        fitted_latents: one in its place, as for `set_latents`.
        **kwargs: `GenerativeModel` arguments: `condition_shape` (`[features]`), `num_classes`,
            `dtype`, `name`.
    """

    # The networks of images, where none are given.
    _for_images = "resnet"

    def __init__(
        self,
        event_shape,
        latent_dim,
        parts,
        encoder=None,
        decoder=None,
        fitted_latents=None,
        **kwargs,
    ):
        super().__init__(event_shape, data_kind=parts["observation"].data_kind, **kwargs)
        if len(self.event_shape) not in (1, 3):
            raise ValueError(
                "`event_shape` must be [size] or [height, width, channels]; got "
                f"{list(self.event_shape)}"
            )
        if len(self.condition_shape or ()) > 1:
            raise ValueError(
                f"`condition_shape` must be [features]; got {list(self.condition_shape)}"
            )
        self.latent_dim = checks.check_count(latent_dim, "latent_dim")
        self.latent_shape = (self.latent_dim,)
        self.posterior, self.observation = parts["posterior"], parts["observation"]
        self.prior = parts.get("prior")
        coded = getattr(self.observation, "element", self.observation)
        self.num_bits = getattr(coded, "num_bits", 8)
        self._given = {"encoder": encoder, "decoder": decoder}
        self.encoder = self._network(encoder, "encoder")
        self.decoder = self._network(decoder, "decoder")
        self._fitted = _Fitted()
        parts = {"encoder": self.encoder, "decoder": self.decoder, **parts}
        checks.check_same_dtype(self, **parts)
        checks.check_apart(**parts)
        self.set_latents(fitted_latents)

    def _network(self, given, name):
        if isinstance(given, keras.layers.Layer):
            return given
        images = len(self.event_shape) == 3
        allowed = FOR_IMAGES if images else FOR_VECTORS
        given = given or (self._for_images if images else "mlp")
        if given not in allowed:
            raise ValueError(
                f"`{name}` must be one of {list(allowed)} or a Keras layer; got {given!r}"
            )
        dtype = self.dtype_policy
        if given != "mlp":
            pair = {"conv": (ConvEncoder, ConvDecoder), "resnet": (ResNetEncoder, ResNetDecoder)}
            encoder, decoder = pair[given]
            if name == "encoder":
                return encoder(dtype=dtype)
            return decoder(self.event_shape[:2], dtype=dtype)
        network = MLP((512, 512), "elu", dtype=dtype)
        if name == "encoder" and images:
            return keras.Sequential([keras.layers.Flatten(dtype=dtype), network])
        return network

    def _build_parts(self):
        extra = 0 if self.features_shape is None else self.features_shape[-1]
        shape = (None, *self.event_shape)
        build_once(self.encoder, shape)
        features = tuple(self.encoder.compute_output_shape(shape))
        if len(features) != 2:
            raise ValueError(f"`encoder` must give features [batch, size]; got {list(features)}")
        build_once(self.posterior, (None, features[-1] + extra), latent_dim=self.latent_dim)
        if self.prior is not None:
            build_once(self.prior, (None, self.latent_dim))
        shape = (None, self.latent_dim + extra)
        build_once(self.decoder, shape)
        features = tuple(self.decoder.compute_output_shape(shape))
        build_once(self.observation, (None, *features[1:]), event_shape=self.event_shape)
        freeze_parts(self)

    # --- latents --------------------------------------------------------------

    @property
    def fitted_latents(self):
        """The distribution in the prior's place, or None."""
        return self._fitted.parts[0] if self._fitted.parts else None

    @property
    def latents(self):
        """What latents are drawn from: the fitted distribution, else the prior, else None."""
        return self.fitted_latents or self.prior

    def fit_latents(self, x, kind="gmm", condition=None, num_components=10, seed=0, **kwargs):
        """Fits a distribution to the latents of examples, and puts it in the prior's place
        (Ghosh et al. 2019; Dai and Wipf 2019).

        From then on `sample` draws from it, and `log_prob` counts with it; the model is saved and
        exported with it (checkpoints of weights alone need a model that has such latents already).
        Training, `evaluate` and validation stay with the prior. More training moves the latents:
        fit them again then. They are the posterior's draws where it is a distribution. Conditional
        models get one distribution for all conditions.

        Args:
            x: `[n, *event_shape]`, more examples than latents and components; of binary data also
                probabilities, which are drawn from once.
            kind: `"gaussian"` (full covariance), `"gmm"` (mixture of such, by scikit-learn),
                `"flow"` (a `RealNVP`) or a `tfgen.Flow` of events `[latent_dim]`.
            condition: as in `log_prob`.
            num_components: of the mixture.
            seed: integer, of the posterior's draws and of scikit-learn; a flow goes by
                `keras.utils.set_random_seed`.
            **kwargs: of a flow's `fit`; by default 20 epochs of 100 steps or more, with batches
                of 256.

        Returns:
            The model's `fitted_latents`, a `tfgen.distributions.Base`.

        Raises:
            ValueError: another `kind`, or too few examples.

        >>> import numpy as np, tfgen
        >>> model = tfgen.Autoencoder(3, latent_dim=2, data_kind="real")
        >>> _ = model.fit_latents(np.random.default_rng(0).normal(size=(20, 3)), "gaussian")
        >>> model.sample(5).shape
        TensorShape([5, 3])
        """
        flow = kind if isinstance(kind, Flow) else None
        if flow is None and (not isinstance(kind, str) or kind not in FITS):
            raise ValueError(f"`kind` must be one of {list(FITS)} or a tfgen.Flow; got {kind!r}")
        if kwargs and kind in ("gaussian", "gmm"):
            raise ValueError(f'`{next(iter(kwargs))}` goes with the kind "flow"; got {kind!r}')
        num_components = checks.check_count(num_components, "num_components")
        seed = checks.check_int(seed, "seed", 0, 2**32 - 1)
        x = self._check_x(x, probabilities=True)
        if self.data_kind == "binary":
            x = draw_bits(x, seed)
        least = max(self.latent_dim, num_components if kind == "gmm" else 1)
        if len(x) <= least:
            raise ValueError(f"`x` must have more than {least} examples, to fit; got {len(x)}")
        z = self._map_examples("draw_latents", x, condition, 256, seed).numpy()
        with self.distribute_strategy.scope():
            if kind == "gaussian":
                latents = fit_gaussian(z)
            elif kind == "gmm":
                latents = fit_gaussian_mixture(z, num_components, seed)
            else:
                flow = flow or RealNVP(self.latent_dim, dtype=self.variable_dtype)
                latents = _fit_flow(flow, z, **kwargs)
        self.set_latents(latents)
        return self.fitted_latents

    def set_latents(self, latents):
        """Puts a distribution in the prior's place, as `fit_latents` does.

        Args:
            latents: `tfgen.distributions.Base` or what `distributions.get_base` makes one from, of
                which the model takes a copy that is not trained. None for the prior again.
        """
        self._fitted.parts.clear()
        if latents is not None:
            with self.distribute_strategy.scope():
                self._fitted.parts.append(self._copied(latents))
        # What was compiled has the others inside.
        self._kept_functions.clear()
        self.predict_function = None

    def _copied(self, latents):
        given = get_base(latents, self.variable_dtype, name="latents")
        checks.check_same_dtype(self, latents=given)
        shape = (None, self.latent_dim)
        build_once(given, shape)
        if given.size != self.latent_dim:
            raise ValueError(
                f"`latents` must be over vectors of {self.latent_dim} values; got one over "
                f"{given.size}"
            )
        config = keras.saving.serialize_keras_object(given)
        copy = keras.saving.deserialize_keras_object(config)
        build_once(copy, shape)
        copy.set_weights(given.get_weights())
        copy.trainable = False
        return copy

    @property
    def _latents_from(self):
        return "prior" if self.fitted_latents is None else "fitted_latents"

    @property
    def has_latents(self):
        return self.latents is not None

    # --- hooks ----------------------------------------------------------------

    def _all_layers(self):
        # But for what is fitted: it is never trained, nor initialised with the model.
        fitted = {id(part) for part in self._fitted._flatten_layers()}
        return [part for part in super()._all_layers() if id(part) not in fitted]

    def _now(self, weight):
        """A weight, or what its schedule gives for this step."""
        scheduled = isinstance(weight, keras.optimizers.schedules.LearningRateSchedule)
        return tf.cast(weight(self.steps_taken) if scheduled else weight, self.variable_dtype)

    def _joined(self, values, condition):
        """Values beside the condition."""
        if condition is None:
            return values
        return tf.concat([values, tf.cast(self._features(condition), values.dtype)], -1)

    def _encoded(self, x, condition, training=False):
        features = self.encoder(self.observation.inputs(x), training=training)
        return self._joined(tf.cast(features, self.variable_dtype), condition)

    def _decoded(self, z, condition, training=False):
        return self.decoder(self._joined(z, condition), training=training)

    def _sample_noise(self, seed, start, num_rows):
        latents = self.latents.noise(fold_in(seed, 1), start, num_rows)
        return latents, self.observation.noise(fold_in(seed, 2), start, num_rows)

    def _generate(self, noise, condition, temperature):
        for_latents, for_data = noise
        z = self.latents.sample(for_latents, None, temperature)
        return self.observation.sample(for_data, self._decoded(z, condition), temperature)

    def _encode(self, x, condition):
        return self.posterior.mean(self._encoded(x, condition))

    def _draw_latents(self, x, condition, seed, start):
        noise = self.posterior.noise(fold_in(seed, 3), start, tf.shape(x)[0])
        return self.posterior.sample(noise, self._encoded(x, condition))[0]

    _core_arguments = {
        **GenerativeModel._core_arguments,
        "draw_latents": ("x", "seed", "start"),
    }

    def get_config(self):
        return {
            **super().get_config(),
            "latent_dim": self.latent_dim,
            **{name: serialized(given) for name, given in self._given.items()},
            "fitted_latents": serialized(self.fitted_latents),
        }

    @classmethod
    def from_config(cls, config):
        made = {
            k: keras.saving.deserialize_keras_object(v) if isinstance(v, dict) else v
            for k, v in config.items()
        }
        return super().from_config(made)


class _Fitted(keras.layers.Layer):
    """Holds the latents fitted, if there are any: Keras's `build` closes a model for layers."""

    def __init__(self):
        super().__init__(name="fitted")
        self.parts = []
        # Not by `build`, and yet Keras would build what is not.
        self.built = True

    @property
    def trainable(self):
        return False

    @trainable.setter
    def trainable(self, value):
        """What was fitted stays as it is, whatever is said of the model."""


def serialized(value):
    """A layer or schedule as its configuration; other things as they are."""
    keeps = isinstance(value, keras.layers.Layer | keras.optimizers.schedules.LearningRateSchedule)
    return keras.saving.serialize_keras_object(value) if keeps else value


def _fit_flow(flow, z, **arguments):
    """Trains a flow on codes; returns its distribution as a part."""
    if flow.event_shape != z.shape[1:] or flow.data_kind != "real" or flow.features_shape:
        raise ValueError(
            f"`kind` must be an unconditional flow of real events {list(z.shape[1:])}; got a "
            f"{type(flow).__name__} of {flow.data_kind} events {list(flow.event_shape)}"
        )
    if not flow.compiled:
        flow.compile()
    steps = max(100, -(-len(z) // arguments.get("batch_size", 256)))
    flow.fit(z, **{"epochs": 20, "batch_size": 256, "steps_per_epoch": steps, **arguments})
    return Transformed(flow.bijector, flow.base, dtype=flow.variable_dtype)
