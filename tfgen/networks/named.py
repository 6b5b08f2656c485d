"""Networks by name: encoders, decoders, generators and critics of the recipes."""

import keras

from tfgen.networks.autoencoders import ResNetDecoder
from tfgen.networks.autoencoders import ResNetEncoder
from tfgen.networks.conditioners import MLP
from tfgen.networks.convolutional import ConvDecoder
from tfgen.networks.convolutional import ConvEncoder

FOR_VECTORS = ("mlp",)
FOR_IMAGES = ("mlp", "conv", "resnet")

# Of images, where no name is given.
_DEFAULTS = {"encoder": "resnet", "decoder": "resnet", "generator": "conv", "critic": "conv"}


def get_network(given, role, event_shape, dtype=None, default=None, spectral_norm=False, name=None):
    """Network for a name; a Keras layer comes back as it is.

    Args:
        given: `"mlp"`, for images also `"conv"` or `"resnet"`, a Keras layer, or None for the
            default.
        role: `"encoder"` (examples to features), `"decoder"` (latents to features), `"generator"`
            (a decoder of adversarial training, after Radford et al. 2016, "Unsupervised
            Representation Learning with Deep Convolutional Generative Adversarial Networks",
            arXiv:1511.06434) or `"critic"` (examples to features).
        event_shape: `[size]` or `[height, width, channels]` of the examples.
        dtype: dtype policy of a network made here.
        default: name that None means for images; by default `"resnet"` for an encoder and a
            decoder, `"conv"` for a generator and a critic. For vectors it means `"mlp"`.
        spectral_norm: True for spectral normalisation in the convolutional networks of a critic.
        name: the argument's name, for errors; by default the role.

    Returns:
        A Keras layer, not built if it was made here.

    Raises:
        ValueError: another name.

    >>> import tfgen
    >>> type(tfgen.networks.get_network("conv", "decoder", (28, 28, 1))).__name__
    'ConvDecoder'
    """
    if isinstance(given, keras.layers.Layer):
        return given
    images = len(event_shape) == 3
    allowed = FOR_IMAGES if images else FOR_VECTORS
    if given is None:
        given = (default or _DEFAULTS[role]) if images else "mlp"
    if given not in allowed:
        raise ValueError(
            f"`{name or role}` must be one of {list(allowed)} or a Keras layer; got {given!r}"
        )
    kind = {"dtype": dtype}
    if given == "mlp":
        network = MLP((512, 512), "elu", **kind)
        if images and role in ("encoder", "critic"):
            return keras.Sequential([keras.layers.Flatten(**kind), network])
        return network
    if role == "critic":
        kind["spectral_norm"] = spectral_norm
        if given == "resnet":
            return ResNetEncoder((32, 64, 128), weight_norm=False, **kind)
        settings = {"batch_norm": False, "activation": "leaky_relu"}
        return ConvEncoder((64, 128, 256), (2, 2, 2), **settings, **kind)
    if role == "encoder":
        return (ConvEncoder if given == "conv" else ResNetEncoder)(**kind)
    sides = event_shape[:2]
    if given == "resnet":
        return ResNetDecoder(sides, **kind)
    if role == "generator":
        return ConvDecoder(sides, (256, 128, 64), (2, 2, 2), activation="relu", **kind)
    return ConvDecoder(sides, **kind)
