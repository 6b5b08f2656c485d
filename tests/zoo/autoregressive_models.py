"""The models without latents of the registry, value by value."""

import tfgen

from .entries import model


def pixelcnn(shape=(4, 3, 1), **arguments):
    return tfgen.PixelCNN(shape, 4, 2, **arguments)


def pixelrnn(shape=(3, 3, 1), **arguments):
    return tfgen.PixelRNN(shape, filters=3, num_layers=2, kernel_size=3, **arguments)


AUTOREGRESSIVE = {
    "pixelcnn": model(pixelcnn, costly=True),
    "pixelcnn_colour": model(
        pixelcnn,
        (3, 4, 2),
        data_kind="uint8",
        num_bits=5,
        num_mixtures=2,
        num_classes=2,
        terms=("bpd",),
    ),
    "pixelcnn_gated": model(pixelcnn, network="gated", condition_shape=(4, 3, 2)),
    "pixelrnn": model(pixelrnn, (4, 3, 1), num_classes=2),
    "pixelrnn_row": model(
        pixelrnn,
        (3, 4, 2),
        kind="row",
        condition_shape=(2,),
        data_kind="uint8",
        num_bits=5,
        num_mixtures=2,
        terms=("bpd",),
    ),
    "fvsbn": model(tfgen.FVSBN, (3, 2, 1), num_classes=2),
    "nade": model(tfgen.NADE, (5,), 4, "random", num_classes=2),
    "nade_colour": model(
        tfgen.NADE, (1, 2, 2), 4, data_kind="uint8", num_bits=5, num_mixtures=2, terms=("bpd",)
    ),
    "nade_real": model(tfgen.NADE, (3,), 8, data_kind="real", num_mixtures=2, condition_shape=(2,)),
    # What a step sees of an example is drawn, as noise of a posterior is.
    "deep_nade": model(
        tfgen.DeepNADE, (3, 2, 1), (8, 8), num_orders=3, num_classes=2, summed=("nll",)
    ),
    "deep_nade_colour": model(
        tfgen.DeepNADE,
        (1, 2, 2),
        (8,),
        num_orders=2,
        data_kind="uint8",
        num_bits=5,
        num_mixtures=2,
        terms=("bpd",),
        summed=("bpd",),
    ),
    "deep_nade_real": model(
        tfgen.DeepNADE,
        (3,),
        (8, 8),
        num_orders=2,
        data_kind="real",
        num_mixtures=2,
        condition_shape=(2,),
        summed=("nll",),
    ),
    "made": model(
        tfgen.MADE, (4, 3, 1), (8, 8), num_masks=2, ordering="random", condition_shape=(2,)
    ),
    "made_colour": model(
        tfgen.MADE,
        (1, 2, 2),
        (8, 8),
        direct=True,
        residual=True,
        data_kind="uint8",
        num_bits=5,
        num_mixtures=2,
        terms=("bpd",),
    ),
}
