"""Categories as latents, codebooks, and images that are painted in steps."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen.app import evaluation
from tfgen.distributions import AutoregressiveCodes
from tfgen.distributions import CodebookPosterior
from tfgen.distributions import IndependentCodes
from tfgen.metrics import gradient_variance
from tfgen.models import Reinforce
from tfgen.models import Vimco
from tfgen.networks import MLP
from tfgen.networks import attention_window

DATA = np.array([[1, 1, 0], [0, 1, 0], [1, 0, 1]], "uint8")


def perturbed(model, scale=0.5, seed=0):
    rng = np.random.default_rng(seed)
    for weight in model.trainable_variables:
        weight.assign_add(scale * rng.normal(size=weight.shape))
    return model


def discrete_vae(**arguments):
    keras.utils.set_random_seed(0)
    networks = {name: MLP((4,)) for name in ("encoder", "decoder")}
    sizes = {"num_latents": 2, "num_categories": 3}
    return perturbed(tfgen.DiscreteVAE(3, **sizes, **networks, **arguments), 0.3)


def vqvae(shape=(3,), **arguments):
    keras.utils.set_random_seed(0)
    networks = {name: MLP((4,)) for name in ("encoder", "decoder")}
    arguments = {"num_latents": 2, "num_codes": 3, "code_dim": 2, **arguments}
    return perturbed(tfgen.VQVAE(shape, **networks, **arguments))


# ------------------------------------------------------------------------------- categories


def test_the_bound_is_below_the_enumerated_likelihood():
    model = discrete_vae()
    exact = model.exact_log_prob(DATA).numpy()
    every = np.array(list(itertools.product(range(2), repeat=3)), "uint8")
    np.testing.assert_allclose(np.exp(model.exact_log_prob(every)).sum(), 1, rtol=1e-5)
    assert (-model.exact_loss(tf.constant(DATA)).numpy() < exact).all()
    np.testing.assert_allclose(model.estimate_log_prob(DATA, 2000), exact, atol=0.1)
    # The bound by one draw is of the same three densities.
    length = model.code_length(DATA)
    np.testing.assert_allclose(
        -np.log(2) * (length["latents"] + length["data"]), model.log_prob(DATA), rtol=1e-4
    )


@pytest.mark.slow
@pytest.mark.parametrize("estimator", [Reinforce("mean"), Vimco(2)], ids=["reinforce", "vimco"])
def test_estimators_are_unbiased_for_categories(estimator):
    model = discrete_vae(estimator=estimator)
    drawn = gradient_variance(model, np.repeat(DATA, 500, 0), num_draws=40)
    error = np.sqrt(drawn.variances / drawn.num_draws)
    assert (abs(drawn.mean - drawn.exact) <= 4 * error + 1e-6).all()
    assert drawn.norm > 5 * drawn.bias


@pytest.mark.parametrize("indices", [True, *zoo.slow(False)])
def test_distributions_of_codes_are_normalised(indices):
    size = 2 if indices else 6
    codes = np.array(list(itertools.product(range(3), repeat=2)))
    z = codes if indices else np.eye(3)[codes].reshape(9, 6)
    z = z.astype("float32")
    for prior in (IndependentCodes(3, indices), AutoregressiveCodes(3, None, indices)):
        prior.build((None, size))
        perturbed(prior)
        logs = prior.log_prob(z).numpy()
        np.testing.assert_allclose(np.exp(logs).sum(), 1, rtol=1e-5)
        drawn = prior.sample(prior.noise([0, 1], 0, 4000)).numpy()
        found = [np.mean((drawn == one).all(-1)) for one in z]
        np.testing.assert_allclose(found, np.exp(logs), atol=4 * np.sqrt(0.25 / 4000))
    prior = IndependentCodes(3, indices)
    prior.build((None, size))
    perturbed(prior)
    np.testing.assert_allclose(prior.to_tfd().log_prob(z), prior.log_prob(z), rtol=1e-5)


@pytest.mark.slow
def test_fitted_codes_score_better_than_a_prior_of_independent_ones():
    rng = np.random.default_rng(0)
    x = np.repeat(rng.integers(2, size=(200, 1)), 4, 1)
    keras.utils.set_random_seed(0)
    model = tfgen.VQVAE(4, num_latents=2, num_codes=3, encoder=MLP((8,)), decoder=MLP((8,)))
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(x, epochs=10, verbose=0)
    before = model.log_prob(x).numpy().mean()
    np.testing.assert_allclose(
        -before, model.evaluate(x, verbose=0, return_dict=True)["negative_elbo"], rtol=1e-3
    )
    model.fit_latents(x, epochs=2, steps_per_epoch=50, verbose=0)
    assert model.log_prob(x).numpy().mean() > before + 1
    # Constant rows, as the data.
    drawn = model.sample(100, seed=0, temperature=0.5).numpy()
    assert (drawn.min(1) == drawn.max(1)).mean() > 0.8


def test_what_a_run_fits_and_looks_at():
    x = np.random.default_rng(0).integers(2, size=(20, 6)).astype("uint8")
    networks = {"encoder": MLP((4,)), "decoder": MLP((4,))}
    model = tfgen.VQVAE(6, num_latents=2, num_codes=3, **networks)
    kind = model.usual_latents
    assert kind in model.latent_kinds and tfgen.DiscreteVAE.usual_latents is None
    codes = AutoregressiveCodes(3, None, model._are_indices)
    codes.build((None, model.latent_dim))
    model.set_latents(codes)
    drawn = model.sample(8, seed=0).numpy()
    data = tfgen.data.Data("bits", "binary", (x, None), (x, None))
    names = [name for name, _ in evaluation._image_sets(model, data, x[:4], None)]
    assert names[2:] == ["samples of the prior", "samples, fitted latents"]
    np.testing.assert_array_equal(model.sample(8, seed=0), drawn)


# -------------------------------------------------------------------------------- codebooks


def test_the_codebook_follows_moving_averages():
    posterior = CodebookPosterior(2, 1, decay=0.5)
    posterior.build((None, 2), latent_dim=2)
    posterior.codebook.assign([[0.0], [10.0]])
    posterior.sums.assign([[0.0], [10.0]])
    posterior.counts.assign([1.0, 1.0])
    vectors = tf.constant([[[1.0], [3.0]], [[2.0], [12.0]]])
    index = posterior.nearest(vectors)
    np.testing.assert_array_equal(index, [[0, 0], [0, 1]])
    posterior.move(vectors, index)
    # Half of the old sums and counts, and half of the new ones.
    np.testing.assert_allclose(posterior.codebook, [[3.0 / 2.0], [11.0]])
    np.testing.assert_allclose(posterior.counts, [2.0, 1.0])


def test_gradients_pass_the_codebook():
    model = vqvae()
    x = tf.constant(DATA)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model.loss(x, return_dict=True)["reconstruction"])
    kernel = model.encoder.trainable_variables[0]
    assert np.abs(tape.gradient(loss, kernel)).max() > 0
    assert not model.posterior.codebook.trainable


@pytest.mark.slow
def test_the_codebook_starts_at_the_data_and_is_used():
    rng = np.random.default_rng(0)
    x = rng.integers(2, size=(64, 8, 8, 1))
    model = tfgen.VQVAE((8, 8, 1), num_codes=4, code_dim=2)
    model.compile()
    history = model.fit(x, epochs=2, verbose=0).history
    assert history["perplexity"][-1] > 2
    codes = model.encode(x).numpy()
    assert codes.shape == (64, 4)
    assert set(np.unique(codes)) <= set(range(4))


# ------------------------------------------------------------------------------------- DRAW


def draw(shape=(4, 3, 1), **arguments):
    keras.utils.set_random_seed(0)
    sizes = {"num_steps": 1, "latent_dim": 2, "hidden_units": 5, **arguments}
    return perturbed(tfgen.DRAW(shape, **sizes))


@keras.saving.register_keras_serializable(package="tests")
class OfDraw(keras.layers.Layer):
    """The encoder or decoder of a DRAW of one step, as a network of a VAE."""

    def __init__(self, model, encodes, **kwargs):
        super().__init__(**kwargs)
        self.model, self.encodes = (lambda: model), encodes
        self.built = True

    def call(self, inputs):
        model = self.model()
        state, canvas = model._blank(tf.shape(inputs)[0])
        if not self.encodes:
            return model._painted(inputs, state, canvas, None)[1]
        values = (tf.reshape(inputs, [-1, model.num_dims]) + 1) / 2
        given = [*model._seen(values, canvas, state[0]), state[0]]
        return model.encoder.step(given, state)[0]

    def compute_output_shape(self, shape):
        model = self.model()
        return (shape[0], model.hidden_units if self.encodes else model.num_dims)


@pytest.mark.parametrize("sizes", [{}, {"read_size": 2, "write_size": 3}], ids=["whole", "windows"])
def test_one_step_is_a_vae(sizes):
    model = draw(**sizes)
    x = np.random.default_rng(0).integers(2, size=(5, 4, 3, 1))
    networks = {"encoder": OfDraw(model, True), "decoder": OfDraw(model, False)}
    vae = tfgen.VAE((4, 3, 1), latent_dim=2, **networks)
    vae.posterior.set_weights(model.posterior.get_weights())
    vae.observation.head.layer.set_weights([np.eye(12), np.zeros(12)])
    noise = model._log_prob_noise(tf.constant([1, 2]), 0, 5)
    of_vae = vae._log_weight(tf.constant(x), None, (noise[:, 0], None))
    np.testing.assert_allclose(model._log_weight(x, None, noise), of_vae, rtol=1e-5)
    terms = model._terms(x, None, noise, True), vae._terms(x, None, (noise[:, 0], None), True)
    for name in model.term_names:
        np.testing.assert_allclose(*(t[name] for t in terms), rtol=1e-4)


@pytest.mark.parametrize("size", [1, 2, 5])
def test_windows_read_and_write(size):
    image = np.random.default_rng(0).normal(size=(2, 6, 8, 3)).astype("float32")
    # Sharp filters at the middle, as far apart as pixels are.
    step, log_intensity = np.log(max(size - 1, 1) / 7), np.log(2.0)
    # The middle is between pixels; half a pixel further the middle of an odd window is on one.
    params = [[size % 2 / 9, size % 2 / 7, -6.0, step, log_intensity]] * 2
    params = tf.constant(params, tf.float32)
    rows, columns, _ = window = attention_window.filters(params, (6, 8), size)
    np.testing.assert_allclose(tf.reduce_sum(rows, -1), 1, rtol=1e-5)
    np.testing.assert_allclose(tf.reduce_sum(columns, -1), 1, rtol=1e-5)
    expected = 2 * np.einsum("bnh,bmw,bhwc->bnmc", rows, columns, image)
    seen = attention_window.read(image, window)
    np.testing.assert_allclose(seen, expected, rtol=1e-4, atol=1e-5)
    top, left = np.argmax(rows[0], -1), np.argmax(columns[0], -1)
    assert (np.diff(top) == 1).all()
    assert (np.diff(left) == 1).all()
    np.testing.assert_allclose(seen, 2 * image[:, top][:, :, left], rtol=2e-2, atol=2e-2)
    written = attention_window.write(seen, window).numpy()
    np.testing.assert_allclose(written[:, top][:, :, left], seen / 2, rtol=2e-2, atol=2e-2)


def test_canvases_end_where_samples_are_drawn():
    model = draw(num_steps=3, write_size=2)
    canvases = model.canvases(4000, seed=3).numpy()
    assert canvases.shape == (4000, 3, 4, 3, 1)
    assert canvases.min() >= 0
    assert canvases.max() <= 1
    x = model.sample(4000, seed=3).numpy()
    np.testing.assert_allclose(x.mean(0), canvases[:, -1].mean(0), atol=0.04)
    # The first draw does not depend on how many there are.
    np.testing.assert_allclose(model.canvases(1, seed=3)[0], canvases[0], rtol=1e-5)


@pytest.mark.slow
def test_many_draws_tighten_the_bound_of_draw():
    model = draw(num_steps=2, num_classes=2)
    x, y = model.sample(20, [1] * 20, seed=0), np.ones(20, int)
    bounds = [np.mean(model.estimate_log_prob(x, k, y)) for k in (1, 10, 200)]
    assert bounds[0] < bounds[1] < bounds[2]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: discrete_vae(estimator="em"), "`estimator` must be one of"),
        (lambda: tfgen.DiscreteVAE(3, num_latents=0), "`num_latents`"),
        (lambda: tfgen.DiscreteVAE(3, num_categories=1), "`num_categories` must be"),
        (lambda: discrete_vae().fit_latents(DATA, "gmm"), '`kind` must be "autoregressive"'),
        (lambda: vqvae(decay=1.0), "`decay` must be within"),
        (lambda: vqvae(commitment=-1.0), "`commitment` must be"),
        (lambda: vqvae(num_latents=3), "3 latents divide among them; got 4"),
        (lambda: tfgen.VQVAE(3, num_codes=1), "`num_codes` must be"),
        (lambda: AutoregressiveCodes(3, (2, 2), True).build((None, 6)), "with 6 places; got"),
        (lambda: IndependentCodes(4).build((None, 6)), "a multiple of 4 latents; got 6"),
        (lambda: tfgen.DRAW(4, read_size=2), "`read_size` is of windows on images"),
        (lambda: tfgen.DRAW((4, 4, 1), write_size=0), "`write_size`"),
        (lambda: tfgen.DRAW(4, data_kind="real"), "`data_kind` must be one of ..binary"),
        (lambda: tfgen.DRAW(4, num_steps=0), "`num_steps`"),
        (lambda: tfgen.plots.save_animation("x.png", DATA), "`path` must end in .gif"),
        (lambda: tfgen.plots.save_animation("x.gif", DATA), "`sequences` must have shape"),
    ],
)
def test_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
