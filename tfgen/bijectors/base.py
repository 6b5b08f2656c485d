"""The primitive of every flow: a Keras layer that is an invertible map."""

import functools

import keras
import tensorflow as tf

from tfgen.bijectors.pull_back import gradients
from tfgen.bijectors.view import TFPView
from tfgen.utils import checks
from tfgen.utils.part import Configured
from tfgen.utils.part import overridable


class Bijector(Configured):
    """An invertible map that owns its weights.

    TFP's words for the directions: *forward* is latent -> data, *inverse* is
    data -> latent. Either direction gives the value and the log-determinant of
    its Jacobian in one pass, so that a conditioner is evaluated (and
    differentiated) once.

    A subclass implements `_forward(z, condition)` and `_inverse(x, condition)`,
    each returning `(value, log_det)` with `log_det` of shape `[batch]`. A map
    that changes the shape of an event also implements `forward_event_shape` and
    `inverse_event_shape`. `build` gets the shape on the data side. Arguments of the
    constructor are saved with the map; `get_config` need not be written.

    Under a mixed dtype policy the flow's state and its log-determinants stay in
    the policy's variable dtype (float32); only the networks inside, which get
    `network_dtype`, compute in half precision.

    Args:
        dtype: dtype policy; `"float64"` reaches the networks inside as well.
        **kwargs: `keras.layers.Layer` arguments (`name`, `trainable`).

    Raises:
        NotImplementedError: a call of a direction that a subclass does not implement.

    >>> import numpy as np, tensorflow as tf, tfgen
    >>> class Times(tfgen.bijectors.Bijector):
    ...     def __init__(self, k=1.0, **kwargs):
    ...         super().__init__(**kwargs)
    ...         self.k = k
    ...     def _forward(self, z, condition):
    ...         log_det = z.shape[-1] * np.log(self.k)
    ...         return self.k * z, tf.fill(tf.shape(z)[:1], tf.cast(log_det, z.dtype))
    ...     def _inverse(self, x, condition):
    ...         log_det = -x.shape[-1] * np.log(self.k)
    ...         return x / self.k, tf.fill(tf.shape(x)[:1], tf.cast(log_det, x.dtype))
    >>> Times(2.0).inverse_and_log_det(np.array([[6.0]], "float32"))[0].numpy().tolist()
    [[3.0]]
    >>> Times(2.0).get_config()["k"]
    2.0
    """

    def __init__(self, *, dtype=None, **kwargs):
        policy = checks.as_policy(dtype)
        super().__init__(dtype=policy.variable_dtype, **kwargs)
        self.network_dtype = policy
        self._compiled_carry = None
        # True or False for a map built with a condition or without; None if it does not matter.
        self._conditional = None

    def forward_and_log_det(self, z, condition=None):
        """Maps latent to data.

        Args:
            z: `[batch, *latent_shape]`.
            condition: `[batch, features]`, for images also `[batch, height, width, channels]`,
                or None.

        Returns:
            `x` `[batch, *event_shape]` and `log|dx/dz|` `[batch]`, in nats.

        Raises:
            ValueError: a map whose parameters depend on a condition was built with one and gets
                none, or the other way round.
        """
        if not isinstance(z, keras.KerasTensor):
            z = tf.convert_to_tensor(z)
        if not self.built:
            shape = None if condition is None else tuple(condition.shape)
            self.build((None, *self.forward_event_shape(tuple(z.shape[1:]))), shape)
        return self(z, condition=condition, inverse=False)

    def inverse_and_log_det(self, x, condition=None):
        """Maps data to latent.

        Args:
            x: `[batch, *event_shape]`.
            condition: `[batch, features]`, for images also `[batch, height, width, channels]`,
                or None.

        Returns:
            `z` `[batch, *latent_shape]` and `log|dz/dx|` `[batch]`, in nats.

        Raises:
            ValueError: a map whose parameters depend on a condition was built with one and gets
                none, or the other way round.
        """
        return self(x, condition=condition, inverse=True)

    def call(self, inputs, condition=None, inverse=True):
        if self._conditional not in (None, condition is not None):
            raise ValueError(
                f"`condition` is missing: {self.name} was built with one"
                if condition is None
                else f"`condition` was given, but {self.name} was built without one"
            )
        if inverse:
            return self._inverse(inputs, condition)
        return self._forward(inputs, condition)

    def _forward(self, z, condition):
        raise NotImplementedError(f"{type(self).__name__} must implement _forward")

    def _inverse(self, x, condition):
        raise NotImplementedError(f"{type(self).__name__} must implement _inverse")

    def build(self, inputs_shape, condition_shape=None):
        self.event_shape = tuple(inputs_shape[1:])

    def forward_event_shape(self, latent_shape):
        """Shape of an event on the data side.

        Args:
            latent_shape: shape of an event on the latent side, without the batch's axis.

        >>> import tfgen
        >>> tfgen.bijectors.Squeeze().forward_event_shape((2, 2, 4))
        (4, 4, 1)
        """
        return tuple(latent_shape)

    def inverse_event_shape(self, event_shape):
        """Shape of an event on the latent side.

        Args:
            event_shape: shape of an event on the data side, without the batch's axis.

        >>> import tfgen
        >>> tfgen.bijectors.Squeeze().inverse_event_shape((4, 4, 1))
        (2, 2, 4)
        """
        return tuple(event_shape)

    def compute_output_shape(self, inputs_shape, condition_shape=None):
        """Shapes of the latents and of the log-determinants, data -> latent."""
        batch, *event_shape = inputs_shape
        return (batch, *self.inverse_event_shape(tuple(event_shape))), (batch,)

    def compute_output_spec(self, *args, **kwargs):
        # By running `call`, which knows the direction; Keras would go by `compute_output_shape`.
        return keras.Operation.compute_output_spec(self, *args, **kwargs)

    @overridable
    def output_shape(self):
        """Shape of the latents, which stands for the layer in a model's summary."""
        return self.compute_output_shape(**self._build_shapes_dict)[0]

    def pull_back(self, y, upstream, condition, inverse, sources):
        """Input of the map and gradients in it, of an output: nothing else need be kept.

        A map may override it to run its network once for both; this one rebuilds the input by the
        other direction and then goes through the map again.

        Args:
            y: the value that the map gave, `[batch, ...]`.
            upstream: pair of the gradients of a scalar in respect of `y` and of the
                log-determinant.
            condition: as it was given to the map.
            inverse: the direction of the map: True for data -> latent.
            sources: list of tensors that the map reads, such as its weights and the condition.

        Returns:
            The input `x`, the gradient in it, and the list of the gradients in the sources, None
            for those that the map does not read.

        >>> import tensorflow as tf, tfgen
        >>> norm = tfgen.bijectors.ActNorm()
        >>> y, log_det = norm.inverse_and_log_det(tf.constant([[1.0, 3.0]]))
        >>> x, gradient, _ = norm.pull_back(y, (tf.ones_like(y), log_det), None, True, [])
        >>> x.numpy().tolist(), gradient.numpy().tolist()
        ([[1.0, 3.0]], [[1.0, 1.0]])
        """
        # A value of its own: TFP's bijectors remember what the last one was made of.
        x = tf.identity(self(y, condition=condition, inverse=not inverse)[0])
        there = functools.partial(self, condition=condition, inverse=inverse)
        return x, *gradients(there, x, upstream, sources)

    def adapt(self, batches, conditions=None):
        """Sets data-dependent weights and carries the batches through.

        Args:
            batches: list of `[batch, *event_shape]` tensors on the data side.
            conditions: list of conditions, one per batch, or None.

        Returns:
            The list of the batches on the latent side, under the weights just set.
        """
        self._build_for(batches, conditions)
        conditions = conditions or [None] * len(batches)
        return [self._carry(x, c) for x, c in zip(batches, conditions, strict=True)]

    def _build_for(self, batches, conditions):
        """Builds the layer for these batches, if it is not."""
        if not self.built:
            shape = conditions and tuple(conditions[0].shape)
            self.build((None, *batches[0].shape[1:]), shape or None)

    def _carry(self, x, condition):
        """Data -> latent for `adapt`; compiled from the second time on."""
        if self._compiled_carry is None:

            def carry(x, condition):
                return self.inverse_and_log_det(x, condition=condition)[0]

            specs = [
                v if v is None else tf.TensorSpec([None, *v.shape[1:]], v.dtype)
                for v in (x, condition)
            ]
            # Concrete at the second call: many maps are no reason to warn of retracing.
            self._compiled_carry = tf.function(carry, autograph=False), specs
            return carry(x, condition)
        function, specs = self._compiled_carry
        return function.get_concrete_function(*specs)(x, condition)

    @property
    def adaptive(self):
        """True if the map, or one inside it, has data-dependent weights.

        >>> import tfgen
        >>> tfgen.bijectors.ActNorm().adaptive, tfgen.bijectors.Squeeze().adaptive
        (True, False)
        """
        return any(b.adaptive for b in self._parts())

    def mixing_log_dets(self):
        """`log|det|` of every `InvertibleConv` inside, data -> latent, `[m]`, in nats.

        >>> import tfgen
        >>> conv = tfgen.bijectors.InvertibleConv("reverse")
        >>> conv.build((None, 4, 4, 3))
        >>> conv.mixing_log_dets().numpy().tolist()
        [0.0]
        """
        values = [b.mixing_log_dets() for b in self._parts()]
        return tf.concat(values, 0) if values else tf.zeros([0], self.compute_dtype)

    def _parts(self):
        """The bijectors directly inside this one."""
        return []

    def to_tfp(self, condition=None):
        """View of this map as a `tfb.Bijector`.

        It has the weights' values at each use, and those that are not frozen as its
        `trainable_variables`. Only of a value that it made itself it gives back what it was made
        of, as all of TFP's bijectors do: make a new view after the weights have changed, if such
        values are kept. Values and log-determinants of both directions come from one pass.

        Args:
            condition: `[features]` or `[n, features]` that the view is bound to, a tensor or a
                `tfp.util.DeferredTensor`, or None.

        Raises:
            ValueError: the map is not built.

        >>> import tfgen
        >>> centre = tfgen.bijectors.Centre(8)
        >>> centre.build((None, 1))
        >>> centre.to_tfp().inverse([[64.0]]).numpy().tolist()
        [[-0.25]]
        """
        if not self.built:
            raise ValueError(
                f"{self.name} has no weights yet: call it on data or `build` it before `to_tfp`."
            )
        return TFPView(self, condition)

    def get_config(self):
        # Keras's policy of the layer itself is that of the flow's state.
        dtype = keras.dtype_policies.serialize(self.network_dtype)
        return {**super().get_config(), "dtype": dtype}


def zeros_log_det(x):
    """Zeros `[batch]` in the dtype of `x`, the log-determinants of a map that keeps volumes."""
    return tf.zeros(tf.shape(x)[:1], x.dtype)


def sum_event(x):
    """Sum over all axes but the first: `[batch, ...]` -> `[batch]`."""
    return tf.reduce_sum(x, axis=list(range(1, x.shape.rank)))


def value_and_log_det(bijector, x, inverse):
    """Value and elementwise log-determinant of a scalar `tfb.Bijector`, both shaped as `x`.

    TFP's cache gives the second call what the first one computed.

    Args:
        bijector: scalar `tfb.Bijector`, latent -> data.
        x: tensor.
        inverse: True for data -> latent.
    """
    if inverse:
        value, log_det = bijector.inverse(x), bijector.inverse_log_det_jacobian(x, 0)
    else:
        value, log_det = bijector.forward(x), bijector.forward_log_det_jacobian(x, 0)
    # A sum, not `broadcast_to`: XLA cannot differentiate that in a loop.
    return value, tf.cast(log_det, x.dtype) + tf.zeros_like(x)
