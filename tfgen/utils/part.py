"""What parts of a model share that the model builds: distributions and critics."""

import keras


class Part(keras.layers.Layer):
    """A layer whose configuration may hold other layers.

    Args:
        **kwargs: `keras.layers.Layer` arguments.
    """

    def get_config(self):
        # Without this Keras guesses the arguments, and refuses dtype policies among them.
        return super().get_config()

    def get_build_config(self):
        # The model builds it.
        return None

    @classmethod
    def from_config(cls, config):
        """Makes what the configuration holds, then the layer."""
        return cls(**{k: keras.saving.deserialize_keras_object(v) for k, v in config.items()})
