"""The scores of samples against what can be computed by hand or otherwise; the callback."""

import keras
import numpy as np
import pytest
import scipy.linalg

import tfgen
from tfgen.metrics import KerasExtractor
from tfgen.metrics import Moments
from tfgen.metrics import frechet_distance
from tfgen.metrics import inception_score
from tfgen.metrics import kernel_distance
from tfgen.metrics import moments
from tfgen.metrics import neighbours
from tfgen.metrics import precision_recall
from tfgen.metrics import reference
from tfgen.metrics import sample_quality


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def covariance(width, seed):
    root = normal(width, width, seed=seed)
    return root @ root.T / width


# ----------------------------------------------------------------------------------- Frechet


def test_frechet_of_commuting_gaussians_is_the_closed_form():
    a, b = np.linspace(0.1, 3, 20), np.linspace(5, 0.2, 20)
    turn = np.linalg.qr(normal(20, 20))[0]
    means = normal(2, 20, seed=1)
    got = frechet_distance(
        Moments(9, means[0], turn * a @ turn.T), Moments(9, means[1], turn * b @ turn.T)
    )
    expected = np.sum((means[0] - means[1]) ** 2) + np.sum((np.sqrt(a) - np.sqrt(b)) ** 2)
    assert got == pytest.approx(expected, rel=1e-12)


def test_frechet_of_two_dimensions_is_the_closed_form():
    """The trace of a root of 2 x 2 is tr M^(1/2) = (tr M + 2 det(M)^(1/2))^(1/2)."""
    a, b = covariance(2, 0), covariance(2, 1)
    overlap = np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a @ b)))
    got = frechet_distance(Moments(9, np.zeros(2), a), Moments(9, np.zeros(2), b))
    assert got == pytest.approx(np.trace(a) + np.trace(b) - 2 * overlap, rel=1e-12)


def test_frechet_agrees_with_a_root_by_schur():
    x, y = normal(300, 30), normal(200, 30, seed=1) @ covariance(30, 2) + 0.3
    a, b = np.cov(x.T), np.cov(y.T)
    root = scipy.linalg.sqrtm(a @ b).real
    expected = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(a + b - 2 * root)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(y, moments(x)) == pytest.approx(expected, rel=1e-9)


def test_frechet_of_fewer_examples_than_features():
    x, y = normal(10, 50), normal(10, 50, seed=1)
    # Their differences from the means span spaces that are apart but for the angles between.
    a, b = (z - z.mean(0) for z in (x, y))
    overlap = np.linalg.svd(a @ b.T, compute_uv=False).sum() / 9
    expected = (
        np.sum((x.mean(0) - y.mean(0)) ** 2) + (np.sum(a**2) + np.sum(b**2)) / 9 - 2 * overlap
    )
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("shape", [(500, 20), (10, 200), (2, 3), (50, 1)])
@pytest.mark.parametrize("scale", [1e-3, 1, 1e3])
def test_frechet_distance_to_itself_is_zero(shape, scale):
    x = scale * normal(*shape)
    assert 0 <= frechet_distance(x, x[::-1]) < 1e-11 * scale**2 * shape[1]
    same = np.full(shape, scale)
    assert frechet_distance(same, same) == 0


def test_moments_are_in_double_precision(monkeypatch):
    x = (1000 + normal(1003, 3)).astype("float32")
    got = moments(x)
    np.testing.assert_allclose(got.mean, x.astype("float64").mean(0), rtol=1e-14)
    np.testing.assert_allclose(got.covariance, np.cov(x.T.astype("float64")), rtol=1e-9)
    assert (got.count, got.mean.dtype, got.covariance.dtype) == (1003, "float64", "float64")
    monkeypatch.setattr(tfgen.metrics.frechet, "_ROWS", 100)
    np.testing.assert_allclose(moments(x).covariance, got.covariance, rtol=1e-12)


# ------------------------------------------------------------------------------------ kernel


def test_kernel_distance_is_that_of_a_double_loop():
    x, y = normal(6, 3), normal(5, 3, seed=1)

    def kernel(a, b):
        return (np.dot(a, b) / 3 + 1) ** 3

    def mean(a, b, same=False):
        rows = [(i, j) for i in range(len(a)) for j in range(len(b)) if not (same and i == j)]
        return np.mean([kernel(a[i], b[j]) for i, j in rows])

    # Of the larger set as many as the smaller has: here all, once.
    x = x[:5]
    expected = mean(x, x, True) + mean(y, y, True) - 2 * mean(x, y)
    assert kernel_distance(x, y).value == pytest.approx(expected, rel=1e-12)
    assert kernel_distance(x, y).value == pytest.approx(kernel_distance(y, x).value, rel=1e-12)


@pytest.mark.parametrize("subset_size", [1000, 20])
def test_kernel_distance_is_unbiased(subset_size):
    """The average over divisions of one set in two is 0, whatever the subsets."""
    found = []
    for seed in range(300):
        x = normal(101, 5, seed=seed)
        found.append(kernel_distance(x[:50], x[50:], subset_size, seed=seed))
    values, errors = np.transpose(found)
    assert abs(values.mean()) < 3 * values.std() / np.sqrt(300)
    assert values.min() < 0
    # Where there is no difference, the error is too large rather than too small.
    assert values.std() < np.sqrt(np.mean(errors**2)) < 1.7 * values.std()


def test_kernel_distance_of_different_sets_has_a_right_error():
    found = [
        kernel_distance(normal(100, 5, seed=i), normal(100, 5, seed=-i - 1 + 10**6) + 0.5, 40)
        for i in range(200)
    ]
    values, errors = np.transpose(found)
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(values.std(), rel=0.2)


def test_kernel_distance_leaves_no_row_out():
    x = normal(50, 2)
    x[-1] = 1e6
    for seed in range(10):  # in whichever of the subsets of 15 to 20 the row comes
        assert kernel_distance(x, normal(50, 2, seed=1), 15, seed).value > 1e6


# --------------------------------------------------------------------------- inception score


def test_inception_score_by_hand():
    assert inception_score(np.full([20, 4], 0.25)) == pytest.approx((1, 0))
    assert inception_score(np.eye(4)[[0] * 20]) == pytest.approx((1, 0))
    p = np.array([[0.9, 0.1], [0.5, 0.5]])
    marginal = p.mean(0)
    expected = np.exp(np.mean(np.sum(p * np.log(p / marginal), 1)))
    assert inception_score(p, num_splits=1) == pytest.approx((expected, 0))


def test_inception_score_of_sorted_classes():
    """Every split sees all classes, though the rows come class by class."""
    mean, deviation = inception_score(np.repeat(np.eye(5), 200, axis=0))
    assert mean > 4.7 and 0 < deviation < 0.2


def test_inception_score_leaves_no_row_out():
    # Splits of 3, 2 and 2 rows: with all rows alike but one, one split is above 1.
    p = np.eye(2)[[0] * 6 + [1]]
    for seed in range(10):
        two, three = (np.exp(-np.log(a) * a - np.log(1 - a) * (1 - a)) for a in (1 / 2, 1 / 3))
        mean = inception_score(p, num_splits=3, seed=seed).mean
        assert min(abs(3 * mean - 2 - other) for other in (two, three)) < 1e-12


# ---------------------------------------------------------------------- precision and recall


def test_precision_recall_by_hand():
    x = normal(40, 3)
    assert precision_recall(x, x) == (1, 1)
    assert precision_recall(x, x + 100) == (0, 0)
    # Two modes, of which one is dropped.
    modes = np.concatenate([x, x + 100])
    precision, recall = precision_recall(modes, x)
    assert (precision, recall) == (1, 0.5)
    assert precision_recall(x, modes) == (0.5, 1)


def test_a_point_is_not_its_own_neighbour_but_a_duplicate_is():
    real = np.array([[0.0], [1.0], [3.0], [7.0]])  # radii 1, 1, 2, 4 to the first neighbour
    generated = np.array([[-0.9], [-1.1], [5.1], [10.9], [11.1], [2.1]])
    assert precision_recall(real, generated, k=1).precision == 4 / 6
    doubled = np.repeat(real, 2, axis=0)
    assert precision_recall(doubled, generated, k=1).precision == 0
    assert precision_recall(doubled, np.repeat(real[:2], 2, axis=0), k=1) == (1, 0.5)


def test_duplicates_far_from_the_origin_are_covered():
    x = np.float32(1e3) + normal(200, 16).astype("float32")
    copies = np.repeat(x[:50], 4, axis=0)
    assert precision_recall(x, copies).precision == 1
    # The fourth of a kind is at distance 0 of the first: just these images are covered.
    assert precision_recall(x, copies).recall == 0.25


def test_precision_recall_in_chunks(monkeypatch):
    x, y = normal(203, 4), 0.7 * normal(101, 4, seed=1) + 0.5
    squares = ((x[:, None] - y) ** 2).sum(-1)
    radii = [np.sort(((a[:, None] - a) ** 2).sum(-1), 1)[:, 3] for a in (x, y)]
    expected = (squares <= radii[0][:, None]).any(0).mean(), (squares <= radii[1]).any(1).mean()
    assert 0 < expected[0] < 1 and 0 < expected[1] < 1
    assert precision_recall(x, y) == expected
    for num_bytes in (1, 8 * 203 * 7):
        monkeypatch.setattr(neighbours, "_BYTES", num_bytes)
        assert precision_recall(x, y) == expected


# -------------------------------------------------------------------------------------- both


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: moments([1.0, 2.0]), r"`features` must have shape \[n, d\].*got \[2\]"),
        (lambda: frechet_distance([[1.0]], [[1.0], [2.0]]), "`real`.*at least 2.*got"),
        (lambda: frechet_distance(normal(3, 2), normal(3, 4)), "`generated`.*`real`, 2; got 4"),
        (lambda: frechet_distance(normal(3, 2), [[1, np.nan]] * 3), "`generated` must be finite"),
        (lambda: Moments(3, np.zeros(2), np.zeros(3)), r"`mean` and `covariance`.*\[2\] and \[3\]"),
        (lambda: kernel_distance(normal(3, 2), normal(3, 4)), "`generated`.*`real`, 2; got 4"),
        (lambda: kernel_distance(normal(3, 2), normal(3, 2), 1), "`subset_size`.*from 2.*got 1"),
        (lambda: inception_score(np.ones([20, 3])), "`probabilities`.*sums from 3 to 3"),
        (lambda: inception_score([[1.5, -0.5]] * 20), "`probabilities`.*values from -0.5"),
        (lambda: inception_score(np.eye(3)), "`probabilities`.*n at least 10; got"),
        (lambda: precision_recall(normal(3, 2), normal(9, 2)), "`real`.*n at least 4; got"),
        (lambda: precision_recall(normal(9, 2), normal(9, 2), k=0), "`k` must be.*got 0"),
    ],
)
def test_refuses(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.fixture
def extractor():
    """A small random classifier of images `[4, 4, 1]`."""
    layers = [keras.layers.Flatten(), keras.layers.Dense(5), keras.layers.Dense(3, "softmax")]
    return KerasExtractor(keras.Sequential([keras.Input([4, 4, 1]), *layers]), name="random")


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"extractor": "net"}, "`extractor` must be a FeatureExtractor"),
        ({"reference": None}, "`reference` must be a Reference; got None"),
        ({"images": None}, "`images` is missing"),
        ({"scores": 3}, "`scores` must be some of .*; got 3"),
        ({"scores": [["frechet"]]}, "`scores` must be some of"),
        ({"seed": -1}, "`seed` must be .*; got -1"),
    ],
)
def test_sample_quality_names_the_argument(extractor, changed, words):
    given = {"extractor": extractor, "reference": reference(extractor, images(20))}
    with pytest.raises(ValueError, match=words):
        sample_quality(**{**given, "images": images(20), **changed})


def images(n, seed=0):
    return np.random.default_rng(seed).integers(0, 256, [n, 4, 4, 1], dtype=np.uint8)


def test_sample_quality_is_the_functions(extractor):
    real, generated = images(60), images(50, seed=1)
    got = sample_quality(extractor, reference(extractor, real), generated, batch_size=7)
    a, b = extractor(real), extractor(generated)
    assert got.scores["frechet"] == pytest.approx(frechet_distance(a, b), rel=1e-4)
    assert got.scores["kernel"] == pytest.approx(kernel_distance(a, b)[0], rel=1e-3)
    assert 0 < got.scores["precision"] <= 1 and 0 < got.scores["recall"] <= 1
    score = inception_score(extractor.probabilities(generated))
    assert got.scores["inception_score"] == pytest.approx(score.mean, rel=1e-4)
    assert (got.num_samples, got.num_real) == (50, 60)
    assert str(got).startswith(f"50 samples against 60 real images by random ({extractor.hash}): ")


def test_sample_quality_of_some_scores(extractor):
    x = images(20)
    got = sample_quality(extractor, reference(extractor, x), x, ["frechet", "precision_recall"])
    assert set(got.scores) == {"frechet", "precision", "recall"}
    assert got.scores["precision"] == got.scores["recall"] == 1
    assert got.scores["frechet"] < 1e-5


def test_sample_quality_refuses(extractor):
    x = images(20)
    real = reference(extractor, x)
    with pytest.raises(ValueError, match=r"`scores` must be some of .*; got \['fid'\]"):
        sample_quality(extractor, real, x, ["fid"])
    with pytest.raises(ValueError, match="need at least 10 samples and real images; got 9 and 20"):
        sample_quality(extractor, real, x[:9])
    model = keras.Sequential([keras.Input([4, 4, 1]), keras.layers.Flatten()], name="flat")
    other = KerasExtractor(model)
    with pytest.raises(ValueError, match=r"`reference` must be of .*flat \(.*got one of random"):
        sample_quality(other, real, x)
    with pytest.raises(ValueError, match="inception_score of classifiers only; got flat"):
        sample_quality(other, reference(other, x), x, ["inception_score"])
    # Without that, it is left out.
    assert "inception_score" not in sample_quality(other, reference(other, x), x).scores


def compiled(recipe=tfgen.VAE, **options):
    model = recipe((4, 4, 1), latent_dim=2, encoder="mlp", decoder="mlp", **options)
    model.compile()
    return model


def test_callback_adds_to_the_logs(extractor, capsys, tmp_path):
    x, model = images(40) // 128, compiled()
    callback = tfgen.callbacks.SampleQuality(x, extractor, every=3, num_samples=30, seed=5)
    log = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    stop = keras.callbacks.EarlyStopping("frechet", mode="min", min_delta=1e6, patience=3)
    history = model.fit(x, epochs=9, verbose=0, callbacks=[callback, log, stop]).history

    # It stops after three epochs that are no better than the first.
    assert np.isfinite(history["frechet"]).tolist() == [True, False, True, False]
    assert list(callback.reports) == [1, 3]
    assert history["recall"][2] == callback.reports[3].scores["recall"]
    assert "inception_score" in (tmp_path / "log.csv").read_text().splitlines()[0]
    line = f"\nepoch 3, 30 samples against 40 real images by {extractor}: frechet "
    assert line in capsys.readouterr().out

    # The last epoch's scores are of the model as it is, whose 0 and 1 are black and white.
    found = model.fit(x, verbose=0, callbacks=[callback]).history["frechet"][0]
    real, drawn = (extractor(z.astype(bool)) for z in (x, model.sample(30, seed=5).numpy()))
    assert found == pytest.approx(frechet_distance(real, drawn), rel=1e-4)


def test_callback_cuts_real_samples(extractor):
    model, pixels = compiled(observation="normal"), np.resize([np.nan, 3.0, -1.0], [30, 4, 4, 1])
    model.sample = lambda num_samples, condition, seed: pixels
    x = images(30) / 255
    callback = tfgen.callbacks.SampleQuality(x, extractor, num_samples=30)
    model.fit(x, verbose=0, callbacks=[callback])
    drawn = np.resize([0.0, 1.0, 0.0], [30, 4, 4, 1])
    expected = frechet_distance(extractor(x), extractor(drawn))
    assert callback.reports[1].scores["frechet"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"every": 0}, "`every` must be"),
        ({"num_samples": 0.5}, "`num_samples` must be"),
        ({"seed": -1}, "`seed` must be"),
        ({"condition": 3}, "`condition` was given"),
        ({"scores": ["fid"]}, "`scores` must be some of"),
        ({"num_samples": 5}, "need at least 10 samples"),
        ({"x": images(40)}, "`x` must hold 0 or 1"),
    ],
)
def test_callback_refuses_before_training(extractor, options, words):
    x, model = images(40) // 128, compiled()
    before = [w.numpy() for w in model.weights]
    with pytest.raises(ValueError, match=words):
        callback = tfgen.callbacks.SampleQuality(**{"x": x, "extractor": extractor, **options})
        model.fit(x, verbose=0, callbacks=[callback])
    for a, b in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(a, b.numpy())


def test_callback_needs_samples(extractor):
    model = keras.Sequential([keras.Input([1]), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="SampleQuality needs a model with `sample`.*Sequential"):
        callback = tfgen.callbacks.SampleQuality(images(20), extractor)
        model.fit(np.ones([4, 1]), np.ones([4, 1]), verbose=0, callbacks=[callback])
