"""What `fit` logs and what is scored afterwards agree where batch statistics are in play."""

import inspect

import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen.networks import ConvDecoder
from tfgen.networks import ConvEncoder

# Two kinds of images.
X = np.clip(
    np.where(np.arange(64)[:, None, None, None] % 4 == 0, 200, 40)
    + np.random.default_rng(0).normal(0, 12, (64, 4, 4, 1)),
    0,
    255,
).astype("uint8")
RECIPES = [
    name
    for name, made in vars(tfgen).items()
    if inspect.isclass(made)
    and issubclass(made, tfgen.models.DecoderModel)
    # Whose latents are categories: other networks and arguments; and a GAN that needs labels.
    and made not in (tfgen.DiscreteVAE, tfgen.VQVAE, tfgen.SemiSupervisedGAN)
]
BATCH_SIZE = 16
# A VLAE's pixels lean on their neighbours: its averages hold much of the start for longer.
STEPS = {name: 208 if name == "VLAE" else 52 for name in RECIPES}


def with_batch_norm(recipe, **arguments):
    """A model of images whose encoder and decoder have batch normalisation."""
    sizes = {"filters": (8, 8), "kernel_size": 3}
    networks = {
        "encoder": ConvEncoder(strides=(2, 1), **sizes),
        "decoder": ConvDecoder((4, 4), strides=(1, 2), **sizes),
        "critic": ConvEncoder(strides=(2, 1), batch_norm=False, spectral_norm=True, **sizes),
    }
    if not issubclass(recipe, tfgen.models.EncoderDecoder):
        del networks["encoder"]
    if not issubclass(recipe, tfgen.models.Adversarial):
        del networks["critic"]
    if issubclass(recipe, tfgen.VAE):
        arguments["beta"] = 0.01
    if issubclass(recipe, tfgen.VAE) and recipe is not tfgen.VLAE:
        arguments["data_kind"] = "uint8"
        if recipe not in (tfgen.VAEF, tfgen.CQ, tfgen.CQF):
            arguments["observation"] = "normal"
    model = recipe((4, 4, 1), 2, **networks, **arguments)
    if "encoder" in networks:
        # Latents of the data far from the prior's: what is decoded of the two is not alike.
        bias = model.posterior.head.bias
        bias.assign(tf.tensor_scatter_nd_update(bias, [[0], [1]], [4.0, -4.0]))
    return model


def of_passes(model, x):
    """Means of the terms over batches, by their own statistics, of several draws of noise each."""
    whole = []
    for i in range(0, len(x), BATCH_SIZE):
        batch = model.data_spec.batch(tf.constant(x[i : i + BATCH_SIZE]))
        for seed in range(4):
            terms = model._batch_terms(batch, tf.constant([seed, i]), training=True)
            whole.append({name: np.mean(value) for name, value in terms.items()})
    return {name: np.mean([terms[name] for terms in whole]) for name in whole[0]}


@pytest.mark.slow
@pytest.mark.parametrize("name", zoo.but_slow({"CQ"}, RECIPES))
def test_what_is_logged_is_what_is_scored(name):
    model = with_batch_norm(getattr(tfgen, name))
    assert any("moving" in v.path for v in model.decoder.weights)
    x = X if model.data_kind == "uint8" else (X > 99).astype("uint8")
    model.compile()
    epochs = STEPS[name] * BATCH_SIZE // len(x)
    history = model.fit(x, batch_size=BATCH_SIZE, epochs=epochs, verbose=0).history
    term = model.term_names[0]
    scored = model.evaluate(x, verbose=0, return_dict=True)[term]
    # Of the weights as they are, and of those of the last epoch's steps.
    by_batches = of_passes(model, x)[term]
    close = 0.05 if model.likelihood == "bound" else 0.2
    np.testing.assert_allclose(scored, by_batches, rtol=close, atol=0.05)
    np.testing.assert_allclose(scored, history[term][-1], rtol=2 * close, atol=0.1)
