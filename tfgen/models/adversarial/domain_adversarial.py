"""Classifiers that carry over from one domain to another."""

import keras
import tensorflow as tf

from tfgen.models.adversarial.classifying import Classifying
from tfgen.models.adversarial.mapping import Mapping
from tfgen.networks import MLP
from tfgen.networks import GradientReversal
from tfgen.networks.named import get_network
from tfgen.utils import checks
from tfgen.utils.layers import build_once
from tfgen.utils.layers import with_role
from tfgen.utils.replicas import sum_over_replicas


@keras.saving.register_keras_serializable(package="tfgen")
class DomainAdversarial(Classifying, Mapping):
    """Classifier of a domain without labels, by those of another one (Ganin et al. 2016): from
    features that tell the classes of the labelled domain, and do not tell the domains.

    `fit(x, y)` takes examples of both domains together: labels of those of the source, and -1 for
    those of the target. In each step both domains count alike, whatever their shares.

    Args:
        event_shape: `[size]` or `[height, width, channels]`.
        num_classes: number of classes.
        features: layer from reals of order 1 to features `[batch, size]`, or `"mlp"`, or of images
            `"conv"` (the default) or `"resnet"`.
        head_units: size of the hidden layer of both heads, of labels and of domains.
        domain_weight: weight of the reversed gradient of the domains' head; 0 is a classifier of
            the source alone.
        warm_up_steps: steps in which that weight grows from 0, as `2 / (1 + exp(-10 p)) - 1` of
            their part `p` (section 5.2.2); 0 for none.
        data_kind: `"uint8"` or `"real"`.
        **kwargs: `dtype` and `name`.

    `model(x)` and `predict` give log-probabilities of the classes. The logs hold
    `classification`, the cross-entropy of labels in nats, `domain_loss`, that of domains, and
    `domain_accuracy`, which is 0.5 where features do not tell them.

    Raises:
        ValueError: labels beyond the classes; networks that do not fit.

    References:
        Ganin et al., Domain-Adversarial Training of Neural Networks, 2016, arXiv:1505.07818.

    >>> import numpy as np, tfgen
    >>> rng = np.random.default_rng(0)
    >>> source, target = rng.normal(size=(20, 2)), rng.normal(size=(30, 2)) + 1
    >>> x, y = np.concatenate([source, target]), [0, 1] * 10 + [-1] * 30
    >>> model = tfgen.DomainAdversarial(2, 2, data_kind="real", features="mlp")
    >>> model.compile()
    >>> history = model.fit(x, y, verbose=0)
    >>> model.classify(target).shape, model.class_log_probs(target).shape, model(target).shape
    (TensorShape([30]), TensorShape([30, 2]), TensorShape([30, 2]))
    """

    _role = "target"
    _takes_unlabelled = True
    _kinds = ("real", "uint8")
    _y_kinds = ("label",)
    _sampling = None
    _minimises = "classification + domain_loss"

    def __init__(
        self,
        event_shape,
        num_classes,
        features=None,
        head_units=100,
        domain_weight=1.0,
        warm_up_steps=1000,
        data_kind="uint8",
        dtype=None,
        name=None,
    ):
        super().__init__(event_shape, data_kind, num_classes=num_classes, dtype=dtype, name=name)
        if len(self.event_shape) not in (1, 3):
            raise ValueError(
                "`event_shape` must be [size] or [height, width, channels]; got "
                f"{list(self.event_shape)}"
            )
        self.head_units = checks.check_count(head_units, "head_units")
        self.domain_weight = checks.check_weight(domain_weight, "domain_weight")
        self.warm_up_steps = checks.check_int(warm_up_steps, "warm_up_steps", 0, 2**31 - 1)
        policy = self.dtype_policy
        network = get_network(features, "critic", self.event_shape, policy, name="features")
        self.features = with_role(network, "features")
        checks.check_same_dtype(self, features=network)

    # --- hooks ----------------------------------------------------------------

    @property
    def _output_event_shape(self):
        return (self.data_spec.y.num_classes,)

    @property
    def _scales_x(self):
        return self.data_kind == "real"

    def _build_parts(self):
        shape = (None, *self.event_shape)
        build_once(self.features, shape)
        shape = tuple(self.features.compute_output_shape(shape))
        if len(shape) != 2:
            raise ValueError(f"`features` must be [batch, size]; got {list(shape)}")
        kind = {"dtype": self.dtype_policy}
        self.reversal = GradientReversal(self.domain_weight, **kind)
        for name, units in (("label", self.data_spec.y.num_classes), ("domain", 1)):
            hidden = MLP((self.head_units,), "relu", **kind)
            layers = [hidden, keras.layers.Dense(units, **kind)]
            head = keras.Sequential(layers, name=f"{name}_head")
            head.build(shape)
            setattr(self, f"{name}_head", head)

    def _term_names(self):
        return ("classification", "domain_loss", "domain_accuracy")

    _unordered_terms = frozenset({"domain_loss", "domain_accuracy"})

    def _encoded(self, x, training=False):
        x = tf.cast(x, self.variable_dtype)
        standard = self.data_kind == "real"
        x = (x - self.x_loc) / self.x_scale if standard else x / 127.5 - 1
        return self.features(x, training=training)

    def _class_log_probs(self, x):
        logits = self.label_head(self._encoded(x))
        return tf.nn.log_softmax(tf.cast(logits, self.variable_dtype))

    def _outputs(self, x, condition, seed, start):
        return self._class_log_probs(x)

    def _batch_terms(self, batch, seed, training):
        labels, kind = batch["target"], self.variable_dtype
        features = self._encoded(batch["x"], training)
        logits = tf.cast(self.label_head(features, training=training), kind)
        features = self.reversal(features, scale=self._warmth())
        domain = tf.cast(self.domain_head(features, training=training)[:, 0], kind)
        source = tf.cast(labels >= 0, kind)
        sums = [tf.reduce_sum(source), tf.reduce_sum(1 - source)]
        of_source, of_target = (tf.maximum(part, 1) for part in sum_over_replicas(sums))
        num_rows = tf.add_n(sum_over_replicas(sums))
        # Means of those that have labels, and of each domain, as means of all.
        classification = source * tf.nn.sparse_softmax_cross_entropy_with_logits(
            tf.maximum(labels, 0), logits
        )
        balance = num_rows * (source / of_source + (1 - source) / of_target) / 2
        domain_loss = tf.nn.sigmoid_cross_entropy_with_logits(source, domain)
        right = tf.cast((domain > 0) == (labels >= 0), kind)
        terms = {
            "classification": classification * num_rows / of_source,
            "domain_loss": balance * domain_loss,
            "domain_accuracy": balance * right,
        }
        return {**terms, "loss": terms["classification"] + terms["domain_loss"]}

    def _warmth(self):
        """The part of the reversed gradient that there is at this step."""
        if not self.warm_up_steps:
            return 1.0
        part = tf.cast(self.steps_taken, self.variable_dtype) / self.warm_up_steps
        return 2 * tf.sigmoid(10 * part) - 1
