"""Mapping: models that are trained as generative ones are, and give one answer for an example."""

import tensorflow as tf

from tfgen.core.portable import Portable


class Mapping(Portable):
    """Model from an example to an answer, with players, presets and files as generative ones have.

    A subclass has `_outputs`, `_output_event_shape` and what is trained. Arguments as for
    `GenerativeModel`.

    >>> import tfgen
    >>> model = tfgen.DomainAdversarial(2, 3, data_kind="real", features="mlp")
    >>> isinstance(model, tfgen.models.Mapping), model.num_dims, model.has_likelihood
    (True, 2, False)
    >>> model.player_argument_names, model.compile_argument_names[0]
    ([], 'optimizer')
    >>> type(model.default_optimizer()).__name__
    'FusedAdam'
    >>> model.signatures(), sorted(model.graph_function("classify").structured_outputs)
    (['classify'], ['label', 'log_probs'])
    """

    def call(self, inputs, training=False):
        """The answer for a batch.

        Args:
            inputs: `[n, *event_shape]`.
            training: as in Keras; answers are those of prediction.
        """
        self.data_spec.require_shape(inputs)
        return self._outputs(tf.convert_to_tensor(inputs), None, tf.zeros([2], tf.int32), 0)

    def compute_output_shape(self, input_shape):
        """The shape of `call`'s outputs."""
        return (input_shape[0], *self._output_event_shape)
