"""DecoderModel: examples made of latents by a decoder."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.core.model import GenerativeModel
from tfgen.distributions import get_base
from tfgen.models.latent.standardised import Standardised
from tfgen.networks.named import get_network
from tfgen.utils import checks
from tfgen.utils.layers import build_once
from tfgen.utils.layers import unbuilt_copy
from tfgen.utils.layers import with_role
from tfgen.utils.random import Stream
from tfgen.utils.random import fold_in

# In a file of weights: that it holds latents that were fitted.
_FITTED = "fitted_latents"


class DecoderModel(GenerativeModel):
    """Model that makes examples of latents: a prior, a decoder to features, an observation.

    Args:
        event_shape: `[size]` or `[height, width, channels]`.
        latent_dim: number of latents.
        parts: dict of `observation`, an `Observation` of examples from a decoder's features, and
            `prior`, a `Base` that latents are drawn from, if there is one.
        networks: dict of `decoder`, a layer from latents to features, `[batch, size]` or
            `[batch, height, width, channels]`, or `"mlp"`, `"conv"` or `"resnet"`; None for the
            default, by the shape of events.
        fitted_latents: a distribution in the prior's place, as for `set_latents`.
        **kwargs: `GenerativeModel` arguments: `condition_shape` (`[features]`), `num_classes`,
            `dtype`, `name`.

    Raises:
        ValueError: events or conditions of another shape, or parts that do not fit each other.

    >>> import tfgen
    >>> from tfgen import distributions
    >>> class Decoder(tfgen.models.DecoderModel):
    ...     def __init__(self, event_shape, latent_dim=2):
    ...         parts = {
    ...             "observation": distributions.get_observation("bernoulli"),
    ...             "prior": distributions.get_base("normal"),
    ...         }
    ...         super().__init__(event_shape, latent_dim, parts, {"decoder": "mlp"})
    >>> model = Decoder(4)
    >>> model.sample(3).shape, model.latents is model.prior, model.fitted_latents
    (TensorShape([3, 4]), True, None)
    """

    _y_kinds = ("label", "vector")
    _latents = "latent_dim"
    # The networks of images, where none are given.
    _for_images = "resnet"
    _has_encoder = False

    def __init__(self, event_shape, latent_dim, parts, networks, fitted_latents=None, **kwargs):
        observation = parts["observation"]
        super().__init__(
            event_shape, data_kind=observation.data_kind, num_bits=observation.num_bits, **kwargs
        )
        if len(self.event_shape) not in (1, 3):
            raise ValueError(
                "`event_shape` must be [size] or [height, width, channels]; got "
                f"{list(self.event_shape)}"
            )
        self.latent_dim = checks.check_count(latent_dim, "latent_dim")
        self.latent_shape = (self.latent_dim,)
        self.prior = None
        for name, part in parts.items():
            setattr(self, name, with_role(part, name))
        networks = {name: self._network(given, name) for name, given in networks.items()}
        for name, network in networks.items():
            setattr(self, name, with_role(network, name))
        self._fitted = _Fitted()
        checks.check_same_dtype(self, **networks, **parts)
        checks.check_apart(**networks, **parts)
        self.set_latents(fitted_latents)

    def _network(self, given, name):
        """The network of a name, or the layer that was given."""
        return get_network(
            given, name, self.event_shape, self.dtype_policy, default=self._for_images, name=name
        )

    @property
    def layers(self):
        """The parts; the fitted latents among them where there are any."""
        left_out = self._fitted if self.fitted_latents is None else None
        return [layer for layer in super().layers if layer is not left_out]

    @property
    def _decoder_inputs(self):
        """Number of values that the decoder is given of an example's latents."""
        return self.latent_dim

    @property
    def _num_features(self):
        """Number of features of the condition, beside latents and features."""
        return 0 if self.features_shape is None else self.features_shape[-1]

    def _build_parts(self):
        if self.prior is not None:
            build_once(self.prior, (None, self.latent_dim))
        shape = (None, self._decoder_inputs + self._num_features)
        build_once(self.decoder, shape)
        features = tuple(self.decoder.compute_output_shape(shape))
        build_once(self.observation, (None, *features[1:]), event_shape=self.event_shape)

    # --- what users call ------------------------------------------------------

    def decode(self, z, condition=None, batch_size=256, seed=0):
        """The mean of `p(x|z)` or near it, in the data's type; a draw, where it is not known.

        A mean of 0 and 1 is the likelier value. Near it: of discretised logistics the locations, of
        a `PixelFlow` what the flow makes of its features' mean. A PixelCNN draws.

        Args:
            z: `[n, latent_dim]`.
            condition: as in `log_prob`.
            batch_size: rows computed at a time.
            seed: of draws: integer or two integers; None draws afresh.

        Returns:
            `[n, *event_shape]` tensor.
        """
        return self._map_latents("decode", z, condition, batch_size, seed)

    @property
    def fitted_latents(self):
        """The distribution in the prior's place, or None."""
        return self._fitted.parts[0] if self._fitted.parts else None

    @property
    def latents(self):
        """The distribution of latents in samples: the fitted one, else the prior, else None."""
        return self.fitted_latents or self.prior

    def set_latents(self, latents):
        """Puts a distribution in the prior's place: `sample` draws from it from then on.

        Args:
            latents: `tfgen.distributions.Base` or what `distributions.get_base` makes one from, of
                which the model takes a copy that is not trained. None for the prior again.

        Raises:
            ValueError: `latents` that are none, or over vectors of another size.

        >>> import tfgen
        >>> model = tfgen.VAE(4, latent_dim=2, encoder="mlp", decoder="mlp")
        >>> model.set_latents(tfgen.distributions.IsotropicNormal(0.5))
        >>> model.latents is model.fitted_latents, model.fitted_latents.scale
        (True, 0.5)
        """
        self._fitted.parts.clear()
        if latents is not None:
            with self.distribute_strategy.scope():
                self._fitted.parts.append(self._copied(latents))
        # What was compiled has the others inside.
        self._rows.clear()
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
        copy = unbuilt_copy(given)
        build_once(copy, shape)
        copy.set_weights(given.get_weights())
        copy.trainable = False
        return copy

    @property
    def _latents_from(self):
        return "prior" if self.fitted_latents is None else "fitted_latents"

    @property
    def can_sample(self):
        return self.latents is not None

    # --- files ----------------------------------------------------------------

    def save_own_variables(self, store):
        super().save_own_variables(store)
        if self.fitted_latents is not None:
            # A model without such would not look for them.
            store[_FITTED] = np.array(1, "int8")

    def load_own_variables(self, store):
        names = list(store.keys())
        if _FITTED in names and self.fitted_latents is None:
            raise ValueError(
                f"the file holds latents that were fitted, and this {type(self).__name__} has "
                "none: give it some of the same kind by `set_latents` before, or read the whole "
                "model, `keras.models.load_model`, from a .keras file"
            )
        super().load_own_variables({name: store[name] for name in names if name != _FITTED})

    # --- hooks ----------------------------------------------------------------

    def _replaceable_variables(self):
        return self._fitted.variables

    def _all_layers(self):
        # But for what is fitted: it is never trained, nor initialised with the model.
        fitted = {id(part) for part in self._fitted._flatten_layers()}
        return [part for part in super()._all_layers() if id(part) not in fitted]

    @property
    def _scales_x(self):
        """True if examples are standardised: reals, of which nothing inside is in their units."""
        return self.data_kind == "real" and not self.observation.in_units

    @property
    def _observed(self):
        """The observation, in the data's units."""
        if not self._scales_x:
            return self.observation
        return Standardised(self.observation, self.x_loc, self.x_scale)

    def _now(self, weight):
        """A weight, or what its schedule gives for this step."""
        scheduled = isinstance(weight, keras.optimizers.schedules.LearningRateSchedule)
        return tf.cast(weight(self.steps_taken) if scheduled else weight, self.variable_dtype)

    def _joined(self, values, condition):
        """Values beside the condition."""
        if condition is None:
            return values
        return tf.concat([values, tf.cast(self._features(condition), values.dtype)], -1)

    def _decoded(self, z, condition, training=False):
        return self.decoder(self._joined(z, condition), training=training)

    def _initialise(self, parts):
        """Nothing here is of the examples alone."""

    def _sample_noise(self, seed, start, num_rows):
        return self._noise_through(self.latents, seed, start, num_rows)

    def _noise_through(self, latents, seed, start, num_rows):
        """The noise of draws of these latents, and of the observation given them."""
        for_latents = latents.noise(fold_in(seed, Stream.LATENTS), start, num_rows)
        return for_latents, self._observed.noise(fold_in(seed, Stream.DATA), start, num_rows)

    def _generate(self, noise, condition, temperature):
        for_latents, for_data = noise
        z = self.latents.sample(for_latents, None, temperature)
        return self._observed.sample(for_data, self._decoded(z, condition), temperature)

    def _encode(self, x, condition):
        raise NotImplementedError(f"{type(self).__name__} has no encoder")

    def _decode(self, z, condition, seed, start):
        noise = self._observed.noise(fold_in(seed, Stream.DECODED), start, tf.shape(z)[0])
        return self._observed.decode(noise, self._decoded(z, condition))


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
        """Changes nothing: the latents that were fitted are never trained."""
