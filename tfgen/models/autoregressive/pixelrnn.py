"""PixelRNN: images by LSTMs over their pixels."""

import keras

from tfgen.models.autoregressive.pixelcnn import PixelCNN
from tfgen.networks import PixelRNNStack
from tfgen.utils import checks


@keras.saving.register_keras_serializable(package="tfgen")
class PixelRNN(PixelCNN):
    """PixelRNN (van den Oord et al. 2016, "Pixel Recurrent Neural Networks", arXiv:1601.06759):
    each pixel given those before it in raster order, by LSTMs over rows or diagonals.

    A pass goes through an image in one loop for each LSTM, over its rows or its diagonals. Samples
    are drawn one pixel after the other, each of which computes only what is new.

    Args:
        event_shape: `[height, width, channels]`.
        kind: `"diagonal"` (`networks.DiagonalBiLSTM`, which sees all pixels before) or `"row"`
            (`networks.RowLSTM`, which is quicker, and sees a triangle of them).
        filters: units of the LSTMs; between them there are twice as many.
        num_layers: number of LSTMs.
        kernel_size: odd side of the first convolution.
        num_mixtures: components of the mixture of discretised logistic distributions (uint8 data).
        num_bits: bits of a value that the model sees of uint8 data.
        data_kind: `"binary"` or `"uint8"`.
        **kwargs: `GenerativeModel` arguments: `condition_shape` (`[features]` or
            `[height, width, channels]`), `num_classes`, `dtype`, `name`. Every LSTM sees them.

    Raises:
        ValueError: another `data_kind` or `kind`, or conditions of another shape.

    >>> import numpy as np, tfgen
    >>> x = np.random.default_rng(0).integers(2, size=(32, 4, 4, 1))
    >>> model = tfgen.PixelRNN((4, 4, 1), filters=4, num_layers=2, kernel_size=3)
    >>> model.compile()
    >>> history = model.fit(x, verbose=0)
    >>> model.log_prob(x).shape, model.sample(3).shape
    (TensorShape([32]), TensorShape([3, 4, 4, 1]))
    """

    _sampling = "one pixel after the other"

    def __init__(
        self,
        event_shape,
        kind="diagonal",
        filters=16,
        num_layers=7,
        kernel_size=7,
        num_mixtures=10,
        num_bits=8,
        data_kind="binary",
        dtype=None,
        **kwargs,
    ):
        policy = checks.as_policy(dtype)
        super().__init__(
            event_shape,
            filters,
            num_layers,
            kernel_size,
            PixelRNNStack(kind, filters, num_layers, kernel_size, dtype=policy),
            num_mixtures,
            num_bits,
            data_kind,
            dtype=policy,
            **kwargs,
        )
        self.kind = kind
