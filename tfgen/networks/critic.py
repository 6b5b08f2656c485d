"""Critics: networks that score examples in adversarial training."""

import keras
import tensorflow as tf

from tfgen.networks.spectral_norm import spectrally_normalised
from tfgen.utils import checks
from tfgen.utils.layers import build_once
from tfgen.utils.part import Configured
from tfgen.utils.part import Part

CONDITIONINGS = ("projection", "concatenation", "joint")
# Of the hidden layers that see features and condition.
_JOINT_UNITS = (256, 256)


def check_conditioning(conditioning):
    """Returns the name of a way to see conditions if it is one of `CONDITIONINGS`; else raises a
    ValueError."""
    if conditioning not in CONDITIONINGS:
        raise ValueError(
            f"`conditioning` must be one of {list(CONDITIONINGS)}; got {conditioning!r}"
        )
    return conditioning


@keras.saving.register_keras_serializable(package="tfgen")
class MinibatchFeatures(Configured):
    """Minibatch discrimination: features of the nearness of the other examples of the batch.

    They stand beside each example's own features, so that a critic sees that samples are all alike
    (Salimans et al. 2016, "Improved Techniques for Training GANs", arXiv:1606.03498, section 3.2).
    On several replicas each sees its share of the batch.

    Shapes: `[batch, size]` -> `[batch, size + num_features]`.

    Args:
        num_features: number of features added.
        num_values: number of values that each compares.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: `num_features` or `num_values` is no positive number.

    >>> import numpy as np, tfgen
    >>> alike = tfgen.networks.MinibatchFeatures(2)(np.zeros((3, 4), "float32"))
    >>> alike[0].numpy().tolist()
    [0.0, 0.0, 0.0, 0.0, 3.0, 3.0]
    """

    def __init__(self, num_features, num_values=16, **kwargs):
        super().__init__(**kwargs)
        self.num_features = checks.check_count(num_features, "num_features")
        self.num_values = checks.check_count(num_values, "num_values")

    def build(self, input_shape):
        self.compared = keras.layers.Dense(
            self.num_features * self.num_values, use_bias=False, dtype=self.dtype_policy
        )
        self.compared.build(input_shape)

    def call(self, inputs):
        values = tf.reshape(self.compared(inputs), [-1, self.num_features, self.num_values])
        distances = tf.reduce_sum(tf.abs(values[:, None] - values[None]), -1)
        return tf.concat([inputs, tf.reduce_sum(tf.exp(-distances), 1)], -1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1] + self.num_features)


@keras.saving.register_keras_serializable(package="tfgen")
class Critic(Part):
    """Score of each example: a network's features, and a linear layer over them.

    A condition is seen in one of three ways:

    - `"projection"`: its score is a product with the features (Miyato and Koyama 2018, "cGANs with
      Projection Discriminator", arXiv:1802.05637, eq. 3);
    - `"concatenation"`: it stands beside the inputs, in images as channels that are the same at
      all pixels (Mirza and Osindero 2014, "Conditional Generative Adversarial Nets",
      arXiv:1411.1784);
    - `"joint"`: it stands beside the features, and two hidden layers see both (Dumoulin et al.
      2017, "Adversarially Learned Inference", arXiv:1606.00704, figure 1).

    Shapes: `[batch, *event_shape]`, and a condition `[batch, features]` if it has one, ->
    `[batch]`.

    Args:
        network: layer from examples to features `[batch, size]`.
        minibatch_features: `num_features` of a `MinibatchFeatures` beside the features; 0 for none.
        spectral_norm: True for `keras.layers.SpectralNormalization` of the layers made here, but
            not of the minibatch features.
        conditioning: `"projection"`, `"concatenation"` or `"joint"`.
        num_classes: number of classes whose logits the linear layer gives; the score is the
            logarithm of the sum of their exponentials: that of examples of any class, against
            samples whose logit is 0 (Salimans et al. 2016, "Improved Techniques for Training
            GANs", arXiv:1606.03498, section 5). None: the score alone.
        **kwargs: `keras.layers.Layer` arguments.

    Raises:
        ValueError: another `conditioning`; on `build`, a network whose features are no vectors.

    >>> import numpy as np, tfgen
    >>> critic = tfgen.networks.Critic(tfgen.networks.MLP((8,)))
    >>> critic(np.zeros((3, 4), "float32")).shape
    TensorShape([3])
    >>> critic = tfgen.networks.Critic(tfgen.networks.MLP((8,)), num_classes=2)
    >>> critic.build((None, 4))
    >>> logits, features = critic.logits_and_features(np.zeros((3, 4), "float32"))
    >>> logits.shape, features.shape, critic.score_of(logits).shape
    (TensorShape([3, 2]), TensorShape([3, 8]), TensorShape([3]))
    """

    def __init__(
        self,
        network,
        minibatch_features=0,
        spectral_norm=False,
        conditioning="projection",
        num_classes=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.network = checks.check_instance(network, keras.layers.Layer, "network")
        self.minibatch_features = checks.check_int(
            minibatch_features, "minibatch_features", 0, 10_000
        )
        self.spectral_norm = checks.check_bool(spectral_norm, "spectral_norm")
        self.conditioning = check_conditioning(conditioning)
        if num_classes is not None:
            num_classes = checks.check_count(num_classes, "num_classes")
        self.num_classes = num_classes

    def build(self, inputs_shape, condition_shape=None):
        how = None if condition_shape is None else self.conditioning
        if how == "concatenation":
            channels = inputs_shape[-1] + condition_shape[-1]
            inputs_shape = (*inputs_shape[:-1], channels)
        build_once(self.network, inputs_shape)
        shape = tuple(self.network.compute_output_shape(inputs_shape))
        if len(shape) != 2:
            raise ValueError(f"`critic` must give features [batch, size]; got {list(shape)}")
        self.of_condition, self.joint = None, []
        if how == "projection":
            self.of_condition = self._linear(shape[-1], condition_shape, use_bias=False)
        elif how == "joint":
            shape = (None, shape[-1] + condition_shape[-1])
            for units in _JOINT_UNITS:
                self.joint.append(self._linear(units, shape))
                shape = (None, units)
        self.minibatch = None
        if self.minibatch_features:
            self.minibatch = MinibatchFeatures(self.minibatch_features, dtype=self.dtype_policy)
            self.minibatch.build(shape)
            shape = self.minibatch.compute_output_shape(shape)
        self.head = self._linear(self.num_classes or 1, shape)

    def _linear(self, units, input_shape, **arguments):
        layer = keras.layers.Dense(units, dtype=self.dtype_policy, **arguments)
        if self.spectral_norm:
            layer = spectrally_normalised(layer)
        layer.build(input_shape)
        return layer

    def call(self, inputs, condition=None, training=False):
        logits, features = self.logits_and_features(inputs, condition, training)
        scores = self.score_of(logits)
        if self.of_condition is not None:
            weights = tf.cast(self.of_condition(condition, training=training), scores.dtype)
            scores += tf.reduce_sum(weights * tf.cast(features, scores.dtype), -1)
        return scores

    def score_of(self, logits):
        """Scores `[batch]` of the outputs of the linear layer."""
        return logits[:, 0] if self.num_classes is None else tf.reduce_logsumexp(logits, -1)

    def logits_and_features(self, inputs, condition=None, training=False):
        """Outputs of the linear layer, `[batch, num_classes or 1]`, and the features that it sees.

        Args:
            inputs: `[batch, *event_shape]`.
            condition: `[batch, features]`, if it has one.
            training: as in `call`.
        """
        if condition is not None and self.conditioning == "concatenation":
            inputs = _beside(inputs, condition)
        features = self.network(inputs, training=training)
        if condition is not None and self.conditioning == "joint":
            features = tf.concat([features, tf.cast(condition, features.dtype)], -1)
            for layer in self.joint:
                features = tf.nn.leaky_relu(layer(features, training=training))
        seen = features if self.minibatch is None else self.minibatch(features)
        # Summed in the precision of weights, as all that enters an objective.
        return tf.cast(self.head(seen, training=training), self.variable_dtype), features

    def compute_output_shape(self, inputs_shape, condition_shape=None):
        return (inputs_shape[0],)


def _beside(inputs, condition):
    """Inputs with a condition's values as more values, in images as more channels."""
    condition = tf.cast(condition, inputs.dtype)
    if inputs.shape.rank == 4:
        sides = tf.shape(inputs)[1:3]
        condition = tf.tile(condition[:, None, None], tf.concat([[1], sides, [1]], 0))
    return tf.concat([inputs, condition], -1)


@keras.saving.register_keras_serializable(package="tfgen")
class WeightClip(keras.constraints.Constraint):
    """Constraint of weights to within a distance of 0.

    From Arjovsky et al. 2017, "Wasserstein GAN", arXiv:1701.07875, Algorithm 1.

    Args:
        limit: the distance, above 0.

    Raises:
        ValueError: `limit` is not above 0.

    >>> import numpy as np, tfgen
    >>> tfgen.networks.WeightClip(0.5)(np.array([-3.0, 0.1])).numpy().tolist()
    [-0.5, 0.1]
    """

    def __init__(self, limit):
        self.limit = checks.check_positive(limit, "limit")

    def __call__(self, value):
        return tf.clip_by_value(tf.convert_to_tensor(value), -self.limit, self.limit)

    def get_config(self):
        return {"limit": self.limit}
