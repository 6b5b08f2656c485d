"""PixelRNN: what a position sees, LSTMs written out, densities that sum to 1, draws."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
import zoo
from test_pixelcnn import field
from test_pixelcnn import naive

import tfgen
from tfgen.networks import DiagonalBiLSTM
from tfgen.networks import PixelRNNStack
from tfgen.networks import RowLSTM


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def written_out(layer, gates, seen):
    """Outputs and memories of a layer's cells in raster order, `[height, width, filters]`."""
    size = layer.filters
    outputs, memories = {}, {}
    for i, j in itertools.product(range(gates.shape[0]), range(gates.shape[1])):
        around, kept = seen(i, j)
        beside = [outputs.get(place, np.zeros(size)) for place in around]
        total = gates[i, j] + np.concatenate(beside) @ layer.kernel_of_cell
        write, keep, show, value = np.split(total, 4)
        memory = sigmoid(keep) * memories.get(kept, 0) + sigmoid(write) * np.tanh(value)
        outputs[i, j], memories[i, j] = sigmoid(show) * np.tanh(memory), memory
    shape = (*gates.shape[:2], size)
    return np.array([outputs[place] for place in np.ndindex(shape[:2])]).reshape(shape)


def test_lstms_are_their_cells_in_raster_order():
    x = np.random.default_rng(0).normal(size=(1, 4, 5, 3))
    row, diagonal = RowLSTM(2, 5, dtype="float64"), DiagonalBiLSTM(2, dtype="float64")
    for layer in (row, diagonal):
        layer.build(x.shape)
        zoo.perturb(layer, scale=0.5)
        layer.gates = layer.read(x).numpy()[0]
    row.kernel_of_cell = row.kernel.numpy()
    found = row(x).numpy()[0]
    expected = written_out(
        row, row.gates, lambda i, j: ([(i - 1, j + n) for n in range(-2, 3)], (i - 1, j))
    )
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    expected = np.zeros_like(expected)
    for n, gates in enumerate(np.split(diagonal.gates, 2, -1)):
        diagonal.kernel_of_cell = diagonal.kernel.numpy()[n]
        # The second one is mirrored, and seen one row below.
        part = written_out(
            diagonal, gates[:, :: 1 - 2 * n], lambda i, j: ([(i, j - 1), (i - 1, j)], (i, j - 1))
        )
        expected += np.concatenate([np.zeros((1, 5, 2)), part[:-1, ::-1]]) if n else part
    np.testing.assert_allclose(diagonal(x).numpy()[0], expected, rtol=1e-10)


@pytest.mark.parametrize("kind", ["row", "diagonal"])
def test_what_a_position_sees(kind):
    sides, (i, j) = (6, 11), (4, 4)
    network = PixelRNNStack(kind, 8, 1, 3, dtype="float64")
    network.build((None, *sides, 1))
    seen = field(zoo.perturb(network), sides, (i, j))
    if kind == "diagonal":
        # All before it but the last of the row above: the first convolution's features there do
        # not have it, and those right of it would.
        expected = {place for place in np.ndindex(sides) if place < (i, j)} - {(i - 1, 10)}
    else:
        # A triangle, of itself and one to its left; the first convolution sees one further.
        offsets = [(-r, n) for r in range(i + 1) for n in range(-r - 2, r + 1) if r or n]
        expected = {(i + r, j + n) for r, n in offsets if 0 <= j + n < sides[1]}
    assert set(zip(*np.nonzero(seen), strict=True)) == expected


@pytest.mark.parametrize("kind", ["row", "diagonal"])
def test_binary_images_sum_to_one(kind):
    model = zoo.perturb(tfgen.PixelRNN((3, 3, 1), kind, 4, 2, 3), scale=1.0)
    images = np.array(list(itertools.product([0, 1], repeat=9))).reshape(-1, 3, 3, 1)
    log_prob = zoo.eager_outputs(model, images)
    np.testing.assert_allclose(np.exp(log_prob).sum(), 1, rtol=1e-5)
    assert np.std(log_prob) > 0.1


def draws():
    """Both networks with all sides and kinds of data, each pair of these in a quick case."""
    every = itertools.product(enumerate([(1, 5), (5, 1), (4, 6)]), ("row", "diagonal"), range(2))
    for (i, sides), network, kind in every:
        quick = i == 2 and kind == (network == "row")
        marks = [] if quick else pytest.mark.slow
        yield pytest.param(sides, network, ["binary", "uint8"][kind], marks=marks)


@pytest.mark.parametrize("sides, network, kind", list(draws()))
def test_draws_are_those_of_passes_pixel_by_pixel(sides, network, kind):
    model = tfgen.PixelRNN(
        (*sides, 2), network, 4, 2, 5, data_kind=kind, num_mixtures=2, num_classes=3
    )
    zoo.perturb(model, scale=1.0)
    noise = model._sample_noise(tf.constant([1, 2]), tf.constant(0, tf.int64), 6)
    features = model._features(tf.constant([0, 1, 2, 0, 1, 2]))
    temperatures = (1.0, 0.5)
    drawn = [model.observation.sample(noise, features, t).numpy() for t in temperatures]
    expected = naive(model.observation, noise, features, temperatures, drawn[0])
    for got, wanted in zip(drawn, expected, strict=True):
        assert got.std() > 0
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("kind", ["row", "diagonal"])
def test_every_lstm_sees_the_condition(kind):
    network = PixelRNNStack(kind, 4, 3, 3)
    network.build((None, 4, 4, 1), (None, 4, 4, 2))
    added = network._added(network.read_context(tf.ones([1, 4, 4, 2])))
    assert len(added) == 3 and {int(a.shape[-1]) for a in added} == {network.lstms[0].num_gates}
    x = tf.ones([1, 4, 4, 8])
    for lstm, more in zip(network.lstms, added, strict=True):
        assert np.abs(lstm(x, more) - lstm(x)).max() > 1e-3


def test_inpainting_keeps_what_is_known():
    model = zoo.perturb(zoo.pixelrnn(), scale=1.0)
    x, known = np.ones((8, 3, 3, 1), "uint8"), np.arange(9).reshape(3, 3) < 4
    drawn = model.inpaint(x, known, seed=0).numpy()
    assert drawn[:, known].all() and not drawn[:, ~known].all()


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"kind": "column"}, r"`kind` must be one of \['row', 'diagonal'\]; got 'column'"),
        ({"kernel_size": 4}, "`kernel_size` must be 3, 5, ...; got 4"),
        ({"filters": 0}, "`filters` must .* got 0"),
        ({"data_kind": "real"}, "`data_kind` must be one of .* got 'real'"),
        ({"event_shape": (4,)}, r"`event_shape` of a PixelCNN must be \[height, width, channels\]"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        tfgen.PixelRNN(**{"event_shape": (4, 4, 1), **arguments})
    with pytest.raises(ValueError, match="`kernel_size` must be an odd number; got 2"):
        RowLSTM(4, 2)
