"""A GAN whose critic is a classifier, of examples of which few have labels."""

import keras
import tensorflow as tf

from tfgen.models.adversarial.classifying import Classifying
from tfgen.models.adversarial.gan import GAN
from tfgen.objectives import generator_loss
from tfgen.utils import checks
from tfgen.utils.replicas import sum_over_replicas


@keras.saving.register_keras_serializable(package="tfgen")
class SemiSupervisedGAN(Classifying, GAN):
    """GAN whose critic tells the classes of examples from each other, and all of them from samples
    (Salimans et al. 2016, section 5): it learns to classify from few labels and many examples.

    `fit(x, y)` takes labels, of which -1 is that of an example without; without `y` no example has
    one. Each step needs some: where few have, `tfgen.data.repeat_labelled` shows them more often.

    Args:
        event_shape: `[size]` or `[height, width, channels]`.
        latent_dim: number of latents.
        num_classes: number of classes.
        feature_matching: True: the generator makes the mean of the critic's features that of
            examples (section 3.1), which makes the better classifiers; False: it plays the game of
            `GAN`.
        label_weight: weight of the classification in the critic's loss: of the mean
            cross-entropy of the batch's labelled examples.
        **kwargs: as for `GAN`, but for conditions: there are none.

    The logs hold `classification`, the cross-entropy in nats, and `feature_matching`, the squared
    distance of means.

    Raises:
        ValueError: as for `GAN`; a condition; steps ahead beside `feature_matching`.

    References:
        Salimans et al., Improved Techniques for Training GANs, 2016, arXiv:1606.03498.

    >>> import numpy as np, tfgen
    >>> x = np.random.default_rng(0).integers(256, size=(32, 8, 8, 1))
    >>> y = np.repeat([0, 1, -1, -1], 8)
    >>> networks = {"decoder": "mlp", "critic": "mlp"}
    >>> model = tfgen.SemiSupervisedGAN((8, 8, 1), latent_dim=2, num_classes=2, **networks)
    >>> model.compile()
    >>> history = model.fit(x, y, verbose=0)
    >>> model.classify(x).shape, model.class_log_probs(x).shape
    (TensorShape([32]), TensorShape([32, 2]))
    """

    _role = "target"
    _takes_unlabelled = True
    _y_kinds = ("label",)
    _minimises = "feature_matching or adversarial"

    def __init__(
        self,
        event_shape,
        latent_dim=64,
        *,
        num_classes,
        feature_matching=True,
        label_weight=1.0,
        **kwargs,
    ):
        if kwargs.get("condition_shape") is not None:
            raise ValueError(
                "`condition_shape` must be None: labels are what this model learns to tell; got "
                f"{kwargs['condition_shape']!r}"
            )
        super().__init__(event_shape, latent_dim, num_classes=num_classes, **kwargs)
        self.feature_matching = checks.check_bool(feature_matching, "feature_matching")
        self.label_weight = checks.check_weight(label_weight, "label_weight")
        if self.feature_matching and self.unrolled_steps:
            raise ValueError(
                "`unrolled_steps` go with `feature_matching=False`: features are not scores; got "
                f"{self.unrolled_steps}"
            )

    # --- hooks ----------------------------------------------------------------

    @property
    def _num_logits(self):
        return self.data_spec.y.num_classes

    @property
    def _sees_examples(self):
        return self.feature_matching

    def _term_names(self):
        own = ["classification", *["feature_matching"] * self.feature_matching]
        return (*super()._term_names(), *own)

    def _class_log_probs(self, x):
        logits, _ = self.critic.logits_and_features(self._observed.inputs(x))
        return tf.nn.log_softmax(logits)

    def _real_terms(self, x, condition, training):
        logits, _ = self.critic.logits_and_features(x, training=training)
        return {"real_score": self.critic.score_of(logits), "logits": logits}

    def _critic_terms(self, batch, seed, training):
        terms = super()._critic_terms(batch, seed, training)
        logits = terms.pop("logits")
        labels = batch.get("target")
        if labels is None:
            labels = tf.fill(tf.shape(logits)[:1], -1)
        known = tf.cast(labels >= 0, logits.dtype)
        loss = known * tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(labels, 0), logits)
        # The mean of those that have labels, as a mean of all.
        sums = [tf.reduce_sum(known), tf.reduce_sum(tf.ones_like(known))]
        num_known, num_rows = sum_over_replicas(sums)
        loss *= num_rows / tf.maximum(num_known, 1)
        terms["classification"] = loss
        terms["loss"] += self.label_weight * loss
        return terms

    def _terms(self, x, condition, noise, training):
        if not self.feature_matching:
            return super()._terms(x, condition, noise, training)
        _, for_fakes, (for_reals, _) = noise
        fakes = self._fakes(for_fakes, condition, training)
        logits, of_fakes = self.critic.logits_and_features(fakes)
        reals = self._reals(x, condition, for_reals, training)
        _, of_reals = self.critic.logits_and_features(reals)
        # In half precision the difference would be rounded as the features are.
        of_fakes, of_reals = (tf.cast(f, self.variable_dtype) for f in (of_fakes, of_reals))
        apart = of_fakes - tf.stop_gradient(of_reals)
        # Means are of the whole batch.
        count = tf.cast(tf.shape(apart)[0], apart.dtype)
        total, count = sum_over_replicas([tf.reduce_sum(apart, 0), count])
        distance = tf.reduce_sum((total / tf.maximum(count, 1)) ** 2)
        score = self.critic.score_of(logits)
        adversarial = generator_loss(score, self.adversarial_loss)
        return {"adversarial": adversarial, "feature_matching": distance, "loss": distance}
