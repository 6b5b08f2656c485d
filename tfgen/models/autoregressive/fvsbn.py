"""FVSBN: logistic regressions, one for each value."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.models.autoregressive.value_by_value import Remembering


@keras.saving.register_keras_serializable(package="tfgen")
class FVSBN(Remembering):
    """Fully visible sigmoid belief network: each binary value by a logistic regression on those
    before it.

    From Frey 1998, "Graphical Models for Machine Learning and Digital Communication"; see also Gan
    et al. 2015, "Learning Deep Sigmoid Belief Networks with Data Augmentation" (AISTATS). It is the
    plainest use of the chain rule, and what `NADE` and `MADE` are measured by. Its log-likelihood
    is concave in the weights.

    A draw adds to all later logits what each new value brings: `D` steps of `D` products.

    Args:
        event_shape: shape of one example.
        order: of the values, flattened: `"natural"`, `"reverse"`, `"random"` (drawn once and saved
            with the model) or the list of their indices from the first to the last.
        data_kind: `"binary"`.
        **kwargs: `GenerativeModel` arguments: `condition_shape` (`[features]`), `num_classes`,
            `dtype`, `name`.

    Raises:
        ValueError: another `data_kind` or `order`, or conditions that are no vectors.

    >>> import numpy as np, tfgen
    >>> x = np.random.default_rng(0).integers(2, size=(32, 8, 8, 1))
    >>> model = tfgen.FVSBN((8, 8, 1))
    >>> model.compile()
    >>> history = model.fit(x, verbose=0)
    >>> model.log_prob(x).shape, model.sample(3).shape
    (TensorShape([32]), TensorShape([3, 8, 8, 1]))
    """

    _kinds = ("binary",)

    def __init__(self, event_shape, order="natural", data_kind="binary", dtype=None, **kwargs):
        super().__init__(event_shape, order=order, data_kind=data_kind, dtype=dtype, **kwargs)
        self.element = self._element(1)

    def _build_parts(self):
        super()._build_parts()
        self._build_state(self.num_dims, "zeros")
        # A value has no part in its own logit, nor in those before it.
        self._mask = np.triu(np.ones((self.num_dims, self.num_dims), bool), 1)

    def _params(self, x, features):
        kernel = tf.convert_to_tensor(self.kernel)
        kernel *= tf.cast(self._mask, kernel.dtype)
        x, kernel = (tf.cast(value, self.compute_dtype) for value in (x, kernel))
        logits = self._start(features) + tf.cast(tf.matmul(x, kernel), self.variable_dtype)
        return logits[..., None]

    def _params_at(self, state, i):
        return state[:, i, None]
