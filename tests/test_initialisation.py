"""Initialisation from data: from all of them, in any order and scale, but outliers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import zoo

import tfgen
from tfgen.core import adapt
from tfgen.utils.digits import as_reals

RNG = np.random.default_rng(0)
X = RNG.normal(3, 2, (400, 2)).astype("float32")


def flow(recipe=tfgen.RealNVP, size=2, **arguments):
    model = recipe(size, num_layers=2, hidden_units=(8,), **arguments)
    model.compile(keras.optimizers.SGD(0.0))
    return model


def standardised(model):
    """The location and scale that a flow over vectors begins with, in the data's units."""
    layer = model.bijector.bijectors[0].bijectors[0]
    scale = np.exp(-layer.log_scale.numpy())
    return -layer.shift.numpy() * scale, scale


# ------------------------------------------------------------------------------ of all the data


@pytest.mark.parametrize("recipe", [tfgen.RealNVP, *zoo.slow(tfgen.MAF, tfgen.NSF, tfgen.IAF)])
def test_statistics_are_of_all_data_and_not_of_the_first(recipe):
    ordered = X[np.argsort(X[:, 0])]
    for x in (X, ordered, tf.data.Dataset.from_tensor_slices(ordered).batch(32)):
        model = flow(recipe)
        model.fit(x, verbose=0)
        loc, scale = standardised(model)
        np.testing.assert_allclose(loc, X.mean(0), rtol=1e-4)
        np.testing.assert_allclose(scale, X.std(0), rtol=1e-3)


@pytest.mark.parametrize("transform", ["affine", *zoo.slow("additive")])
@pytest.mark.parametrize("method", ["fit", "adapt"])
def test_an_outlier_changes_nothing(transform, method):
    x = X.copy()
    x[5] = 1e4
    model = flow(transform=transform)
    getattr(model, method)(x, **({"verbose": 0} if method == "fit" else {}))
    loc, scale = standardised(model)
    np.testing.assert_allclose(loc, np.delete(x, 5, 0).mean(0), rtol=1e-4)
    np.testing.assert_allclose(scale, np.delete(x, 5, 0).std(0), rtol=1e-3)
    assert np.std(model.sample(1000, seed=0), 0).max() < 4


def test_what_is_left_out_is_far_from_nearly_all():
    def kept(x):
        batch = {"x": np.asarray(x, "float32"), "row": np.arange(len(x))}
        return len(adapt.without_outliers(batch, ["x"])["row"])

    normal = RNG.normal(size=(4000, 1))
    assert kept(normal) == 4000
    assert kept(np.concatenate([normal, [[50.0]], [[-50.0]]])) == 4000
    # Another mode, heavy tails, columns that are nearly always 0: no outliers.
    assert kept(np.concatenate([normal[:200], 50 + normal[:20]])) == 220
    assert kept(RNG.standard_t(2, (4000, 1))) > 3980
    assert kept((RNG.random((4000, 3)) < 1e-3).astype(float)) == 4000
    # Few rows tell nothing.
    assert kept([[0.0]] * 14 + [[9.0]]) == 15
    # Where there would be too few left.
    wide = np.eye(200) * 1e6 + RNG.normal(size=(200, 200))
    assert kept(wide) == 200


def test_many_rows_are_drawn_by_the_models_seed():
    arrays = {"x": np.arange(10_000.0)[:, None]}
    a, b, c = (adapt.draw_rows(arrays, seed)["x"] for seed in ([1, -2], [1, -2], [2, 2]))
    np.testing.assert_array_equal(a, b)
    assert len(np.unique(a)) == len(a) == adapt.NUM_ROWS
    assert not np.array_equal(a, c)
    assert abs(a.mean() - 5000) < 200


def test_images_and_numbers_of_minibatches_are_initialised_as_in_the_paper():
    """The first minibatch decides, outliers and all."""
    x = np.clip(RNG.normal(100, 20, (40, 4, 4, 1)), 0, 255).round()
    glow, again = zoo.glow(), zoo.glow()
    assert glow.num_init_batches == 1
    again.set_weights(glow.get_weights())
    glow.adapt(x, batch_size=8)
    again.adapt(x[:8], batch_size=8)
    for a, b in zip(glow.weights, again.weights, strict=True):
        if "log_scale" in a.path:
            np.testing.assert_allclose(a, b, rtol=1e-5)
    model = flow(num_init_batches=1)
    model.fit(X, batch_size=16, shuffle=False, verbose=0)
    np.testing.assert_allclose(standardised(model)[0], X[:16].mean(0), rtol=1e-4)


def test_constant_columns_are_told():
    x = np.concatenate([X, np.full((400, 1), 7.0)], 1)

    class Frame(np.ndarray):
        columns = ("age", "height", "planet")

    model = flow(size=3)
    with pytest.warns(UserWarning, match="`x` is constant in column 2, over 400 rows: .* no upper"):
        model.fit(x, verbose=0)
    np.testing.assert_allclose(standardised(model)[1][2], 1.0)
    with pytest.warns(UserWarning, match="in column planet, over 400 rows"):
        flow(size=3).adapt(x.view(Frame))
    # Integers have their noise.
    flow(size=3, data_kind="uint8").fit(np.clip(x, 0, 255).round(), verbose=0)


UNBOUNDED = ["realnvp_2", "vae_real", "nade_real", *zoo.slow("maf", "nsf", "flow", "glow_real")]


@pytest.mark.parametrize("name", UNBOUNDED)
def test_constant_columns_are_told_by_every_density_without_end(name):
    model = zoo.MODELS[name].build()
    x, y = zoo.make_data(model)
    x[(slice(None), *(0 for _ in model.event_shape))] = 7.0
    with pytest.warns(
        UserWarning, match=r"`x` is constant in column (0|\(0, 0, 0\)), over 20 rows"
    ):
        model.adapt(x, y)


def test_a_scale_with_a_floor_has_no_such_warning(recwarn):
    model = zoo.vae(tfgen.VAE, observation="normal", data_kind="real", observation_scale=0.1)
    model.adapt(np.full((20, 4), 7.0))
    assert not [w for w in recwarn if "constant in column" in str(w.message)]


# ------------------------------------------------------------------------------------- digits


@pytest.mark.parametrize(
    "offset, deviation, lost",
    [
        (2_460_000.5, 0.05, True),
        pytest.param(1.7e9, 100.0, True, marks=pytest.mark.slow),
        (1.7e9, 1e7, False),
        (1e4, 1.0, False),
    ],
)
def test_digits_are_not_lost_in_silence(offset, deviation, lost):
    x = offset + deviation * RNG.normal(size=(200, 2))
    if not lost:
        as_reals(x, "float32", "x")
        return
    model = flow()
    for call in (model.fit, model.log_prob, model.encode, model.adapt):
        with pytest.raises(ValueError, match='`x` has values up to .*`dtype="float64"'):
            call(x)
    with pytest.raises(ValueError, match="`y` has values up to .* float32 has steps"):
        flow(condition_shape=2).fit(X[:200], x, verbose=0)
    model = flow(dtype="float64")
    model.fit(x, verbose=0)
    samples = model.sample(500, seed=0).numpy()
    np.testing.assert_allclose(samples.mean(0), x.mean(0), atol=deviation)
    np.testing.assert_allclose(samples.std(0), deviation, rtol=0.3)
    assert abs(np.mean(model.log_prob(x)) + 2 * np.log(deviation * np.sqrt(2 * np.pi * np.e))) < 0.5


def test_constants_and_single_rows_lose_no_digits():
    for x in (np.full((3, 1), 0.1), np.array([[1e12]]), 0.1 + 1e-17 * np.arange(5)[:, None]):
        np.testing.assert_allclose(as_reals(x, "float32", "x"), x, rtol=1e-6)
    as_reals(np.array([[2**40], [5]]), "float32", "x")


# --------------------------------------------------------------------------------- conditions


VECTORS = {n for n, e in zoo.MODELS.items() if e.build.keywords.get("condition_shape")}
FEW = {"realnvp_condition"}


@pytest.mark.parametrize("name", zoo.but_slow(FEW, VECTORS))
def test_conditions_come_in_any_units(name):
    """Given in other units, a model is the same but for rounding."""
    case = zoo.case(name)
    size, offset = 1e3, 1e5
    keras.utils.set_random_seed(0)
    # Layers that start at zero see no condition.
    model = zoo.perturb(case.entry.build(), scale=1.0)
    model.noise_seed.assign(case.model.noise_seed)
    x, y = case.x, case.y
    scores = []
    for units in (y, y.astype("float64") * size + offset):
        model.adapted.assign(0)
        model.condition_loc.assign(tf.zeros_like(model.condition_loc))
        model.condition_scale.assign(tf.ones_like(model.condition_scale))
        model._adapt(
            None if model.num_init_batches is None else [batch(model, x, units)],
            batch(model, x, units),
        )
        scores.append(zoo.eager_outputs(model, x, units))
    channels = y.reshape(-1, y.shape[-1])
    np.testing.assert_allclose(model.condition_loc, channels.mean(0) * size + offset, rtol=1e-3)
    np.testing.assert_allclose(model.condition_scale, channels.std(0) * size, rtol=0.1)
    np.testing.assert_allclose(*scores, rtol=0.02, atol=0.02 * model.num_dims)
    others = zoo.eager_outputs(model, x, units[::-1])
    assert not np.allclose(scores[-1], others, rtol=0.02, atol=0.02 * model.num_dims)


def batch(model, x, y):
    return model.data_spec.batch((tf.constant(x), tf.constant(y.astype("float32"))))


def test_fit_standardises_conditions_once():
    """Conditions of a model that has nothing else to initialise are standardised, too."""
    model = tfgen.VAE(2, 2, "mlp", "mlp", data_kind="real", condition_shape=1)
    model.compile()
    for y in (X[:, :1], 10 * X[:, :1]):
        model.fit(X, y, verbose=0)
        np.testing.assert_allclose(model.condition_loc, X[:, :1].mean(0), rtol=1e-5)
    assert int(model.adapted) == 1


def test_the_vectors_beside_labels_are_standardised():
    model = tfgen.RealNVP(2, num_layers=1, condition_shape=1, num_classes=2)
    vectors = 100 + 10 * X[:, :1]
    condition = {"label": np.arange(len(X)) % 2, "vector": vectors}
    model.adapt(X, condition)
    seen = model._features(condition)[:, -1:]
    expected = (vectors - vectors.mean(0)) / vectors.std(0)
    np.testing.assert_allclose(seen, expected, rtol=1e-3, atol=1e-3)


def test_conditions_of_a_model_that_was_trained_before_stay_as_they_were():
    """Conditions of a model in a file of version 0.1 are not standardised."""
    model = tfgen.VAE(2, 2, "mlp", "mlp", data_kind="real", condition_shape=1)
    model.compile()
    model.steps_taken.assign(5)
    model.fit(X, X[:, :1], verbose=0)
    np.testing.assert_array_equal(model.condition_loc, [0.0])
    np.testing.assert_array_equal(model.condition_scale, [1.0])


def test_a_generators_standardisation_goes_with_its_decoder():
    networks = {"decoder": "mlp", "critic": "mlp"}
    gan = tfgen.GAN(2, latent_dim=2, data_kind="real", condition_shape=1, **networks)
    gan.adapt(X, 100 * X[:, :1])
    model = tfgen.VAE.from_generator(gan, encoder="mlp")
    z, y = np.zeros((3, 2), "float32"), 100 * X[:3, :1]
    np.testing.assert_allclose(model.decode(z, y), gan.decode(z, y), rtol=1e-6)
    model.compile()
    model.fit(X, -5 * X[:, :1], verbose=0)
    np.testing.assert_array_equal(model.condition_loc, gan.condition_loc)


# That units do not matter is seen above, of models that are not trained.
@pytest.mark.parametrize("offset", zoo.slow(5e5, 0.0))
def test_a_conditional_density_is_learned_in_any_units(offset):
    y = X[:, :1].astype("float64") * 1e5 + offset
    model = tfgen.MAF(2, num_layers=2, hidden_units=(16,), condition_shape=1)
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(X, y, epochs=15, verbose=0)
    # Of the first value nothing is left open; the second is normal with deviation 2.
    assert -np.mean(model.log_prob(X, y)) < 2.3
