"""What models that tell the class of an example share."""

import tensorflow as tf


class Classifying:
    """Classes of examples, named before a `Portable` among the bases; it has `_class_log_probs`."""

    def classify(self, x, batch_size=256):
        """The likeliest class of each example, int32 `[n]`.

        Args:
            x: `[n, *event_shape]`.
            batch_size: rows computed at a time.
        """
        return self._map("classify", x, batch_size)["label"]

    def class_log_probs(self, x, batch_size=256):
        """Log-probabilities of the classes of examples, `[n, num_classes]`.

        Arguments as in `classify`.
        """
        return self._map("class_log_probs", x, batch_size)

    def signatures(self):
        """Names of the functions that `export` serves, `classify` among them."""
        return [*super().signatures(), "classify"]

    def _classify(self, x):
        log_probs = self._class_log_probs(x)
        return {"label": tf.argmax(log_probs, -1, tf.int32), "log_probs": log_probs}
