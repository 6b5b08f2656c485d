"""Steps that are skipped, because what they would do to the weights cannot be mended."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.utils.replicas import sum_over_replicas

# Norm of a gradient from which on a step is skipped. Models see data of order 1, and gradients of
# sound steps lie far below; a larger one would stay in an optimizer's moments for ever.
LIMIT = 1e8
# Skipped steps, less those that were sound, after which what they log is shown, and after which
# training is refused.
SHOWN, MOST = 10, 20


def is_sound(loss, gradients, scale, strikes):
    """Two bools: that a step may be taken, and that it is far from one that may not.

    Sound is a step in which all replicas' losses are finite and no gradient is beyond the limit.

    Args:
        loss: the scalar loss.
        gradients: list of gradients, or None for some.
        scale: factor of the gradients, where the optimizer scales losses; else None. Such an
            optimizer looks for gradients that are not finite itself, and finds its scale by them.
        strikes: int, the skipped steps less those that were far from it: each makes the limit ten
            times higher, so that gradients that are large for good come through in the end.
    """
    norm = tf.cast(tf.linalg.global_norm(gradients), tf.float32)
    if scale is not None:
        scale = tf.cast(scale, norm.dtype)
        # Below 1 the scale is no reason any more.
        norm = tf.where(tf.math.is_finite(norm) | (scale < 1), norm / scale, 0.0)
    # Not NaN: graphs take "not less" to be "greater or equal".
    known = tf.math.is_finite(norm) & tf.math.is_finite(loss)
    norm = tf.where(known, norm, np.inf)
    limits = LIMIT * 10.0 ** tf.cast(tf.stack([tf.minimum(strikes, MOST), 0]), norm.dtype)
    return tf.unstack(tf.equal(sum_over_replicas(tf.cast(norm >= limits, tf.int32)), 0))


def zero_unless(sound, gradients):
    """The gradients of a sound step; of another one zeros."""
    return [None if g is None else _zero_unless(sound, g) for g in gradients]


def _zero_unless(sound, gradient):
    if isinstance(gradient, tf.IndexedSlices):
        values = _zero_unless(sound, gradient.values)
        return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
    # Zero times NaN is NaN but here.
    return tf.math.multiply_no_nan(gradient, tf.cast(sound, gradient.dtype))


def averages_of(model):
    """State of a model's layers that passes change, as the averages of batch normalisation."""
    own = {id(v) for v in model._non_trainable_variables}
    own |= {id(v) for player in model.players for v in player.variables}
    others = (v for v in model.non_trainable_variables if id(v) not in own)
    return [v for v in others if keras.backend.is_float_dtype(v.dtype)]


def values_of(variables):
    """The values of variables now, for `put_back`."""
    return [(variable, tf.identity(variable.value)) for variable in variables]


def put_back(kept, where):
    """Gives variables the values that they had, where that is so.

    Args:
        kept: as of `values_of`.
        where: bool, a scalar tensor.
    """
    for variable, value in kept:
        variable.assign(tf.where(where, value, variable.value))


class SkippedSteps(keras.callbacks.Callback):
    """Callback that logs the number of skipped steps, where there are any, and refuses many.

    `fit` has it before all others.

    Raises:
        ArithmeticError: in training, once nearly all steps are skipped and no other callback has
            stopped it.
    """

    def on_train_begin(self, logs=None):
        self._batches = 0
        if int(self.model.strikes.numpy()) >= MOST:
            # What was lost is to be tried again, with other data or another optimizer.
            self.model.strikes.assign(0)

    def on_epoch_begin(self, epoch, logs=None):
        self._at_start, self._steps = self._count(), int(self.model.steps_taken.numpy())

    def on_train_batch_begin(self, batch, logs=None):
        # Not at every step, which would have to be over. After a batch all other callbacks, which
        # may stop training, have seen what it logged.
        self._batches += 1
        if self._batches % 10 != 1:
            return
        if int(self.model.strikes.numpy()) >= MOST:
            raise ArithmeticError(
                f"training is lost: {self._count()} steps had a loss or gradients "
                f"that are not finite or beyond {LIMIT:g}, of the last {MOST} nearly all, and were "
                "skipped. Look for such values in `x`, take a smaller learning rate, or clip "
                "gradients (`global_clipnorm` of Keras's optimizers)"
            )

    def on_epoch_end(self, epoch, logs=None):
        count, steps = self._count(), int(self.model.steps_taken.numpy()) - self._steps
        if not count or logs is None:
            return
        logs["skipped_steps"] = count
        if count - self._at_start >= steps:
            # No step is in the means, which Keras then takes to be 0.
            logs.update({name: np.nan for name in logs if name in self._terms()})

    def _terms(self):
        return {"loss", *self.model.term_names}

    def _count(self):
        return int(self.model.skipped_steps.numpy())


def with_first(own, callbacks):
    """Callbacks as `fit` takes them, those of its own first."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        for callback in own:
            callback.set_model(callbacks.model)
        callbacks.callbacks[:0] = own
        return callbacks
    given = callbacks if isinstance(callbacks, list | tuple) else [callbacks] * bool(callbacks)
    return [*own, *given]
