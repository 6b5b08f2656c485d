"""DBN: directed layers below a restricted Boltzmann machine."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.core.data_spec import first_row
from tfgen.core.players import Player
from tfgen.models.energy.layered import Layered
from tfgen.models.energy.layers_in_turn import layer_contrast
from tfgen.models.energy.layers_in_turn import layer_in_turn
from tfgen.models.energy.layers_in_turn import require_layers
from tfgen.models.energy.layers_in_turn import stage
from tfgen.utils import checks
from tfgen.utils.random import Stream
from tfgen.utils.random import fold_in
from tfgen.utils.random import row_seeds_of


class Recognition(keras.layers.Layer):
    """Weights of the way up: from each layer to the next, but for the top one.

    Args:
        sizes: pairs of the size of what a layer gives and that of the next.
        **kwargs: `keras.layers.Layer` arguments.
    """

    def __init__(self, sizes, **kwargs):
        super().__init__(**kwargs)
        pairs = list(enumerate(sizes))
        self.kernels = [self.add_weight(name=f"kernel_{i}", shape=pair) for i, pair in pairs]
        self.biases = [
            self.add_weight(name=f"bias_{i}", shape=(n,), initializer="zeros")
            for i, (_, n) in pairs
        ]
        self.built = True


@keras.saving.register_keras_serializable(package="tfgen")
class DBN(Layered):
    """Deep belief network (Hinton, Osindero and Teh 2006, "A Fast Learning Algorithm for Deep
    Belief Nets", Neural Computation 18).

    `p(x, h) = p(x | h_1) p(h_1 | h_2) ... p(h_(L-1), h_L)`, of which the last is a restricted
    Boltzmann machine. One `fit` trains the layers in turn, `layer_steps` steps each, as restricted
    Boltzmann machines of what those below make of the data; the term `layer` says which one it is.
    The steps after these, where `layer` is 0, are of the wake-sleep algorithm (the paper's section
    5, "up-down"): the model learns to make what the way up finds in data, and the player
    `recognition` to find what the model has made.

    `log_prob`, once the partition function of the top is estimated, is a bound by one draw of the
    way up, and `estimate_log_prob` tightens it by importance weights (Salakhutdinov and Murray
    2008, section 4.3). Samples are chains of the top, and one way down.

    Latents are the means of the top layer: `encode` goes up, `decode` down by means, to the
    likeliest example.

    Args:
        event_shape: shape of one example.
        hidden_units: width of each hidden layer, two or more.
        layer_steps: steps in which each layer is trained by itself.
        gibbs_steps: steps of the chains in one step of training.
        sample_steps: steps of the chains of `sample`.
        data_kind: `"binary"`, or `"real"`, normal given the first hidden layer.
        **kwargs: `GenerativeModel` arguments: `condition_shape` (`[features]`), `num_classes`,
            `dtype`, `name`. Conditions shift all biases.

    Raises:
        ValueError: fewer than two hidden layers, another kind, or sizes that are no positive
            numbers.

    >>> import numpy as np, tfgen
    >>> x = np.random.default_rng(0).integers(2, size=(32, 6))
    >>> model = tfgen.DBN(6, hidden_units=(5, 4), layer_steps=1, sample_steps=20)
    >>> model.compile()
    >>> history = model.fit(x, batch_size=32, epochs=3, verbose=0).history
    >>> history["layer"]
    [1.0, 2.0, 0.0]
    >>> total = model.estimate_partition(method="enumeration")
    >>> model.likelihood, model.log_prob(x).shape, model.encode(x).shape
    ('bound', TensorShape([32]), TensorShape([32, 4]))
    """

    _kinds = ("binary", "real")
    _estimators = ("cd",)
    _unordered_terms = Layered._unordered_terms | {"layer"}
    _latents = "hidden_units[-1]"
    _player_names = ("model", "recognition")
    _likelihoods = ("unnormalised", "estimate", "bound")

    def __init__(
        self,
        event_shape,
        hidden_units=(500, 500, 2000),
        layer_steps=10_000,
        gibbs_steps=1,
        sample_steps=1000,
        data_kind="binary",
        dtype=None,
        **kwargs,
    ):
        require_layers(hidden_units)
        super().__init__(
            event_shape,
            hidden_units,
            gibbs_steps=gibbs_steps,
            sample_steps=sample_steps,
            data_kind=data_kind,
            dtype=dtype,
            **kwargs,
        )
        self.hidden_units = tuple(self._hidden_sizes)
        self.layer_steps = checks.check_count(layer_steps, "layer_steps")
        # Keras's: XLA does not compile the gradients of `layer_in_turn`.
        self.supports_jit = False
        self._bottom = len(self.units) - 2

    def _build_parts(self):
        super()._build_parts()
        sizes = [units.num_fields for units in self.units[:-1]]
        self.recognition = Recognition(
            list(zip(sizes[:-1], sizes[1:], strict=True)),
            name="recognition",
            dtype=self.variable_dtype,
        )
        self._tie(self._bottom)

    def _tie(self, count):
        """Makes the way up through the lowest layers that of the machines they were trained as."""
        for i in range(count):
            self.recognition.kernels[i].assign(self.kernels[i])
            self.recognition.biases[i].assign(self.biases[i + 1])

    def default_optimizer(self):
        """Stochastic gradient descent with momentum, as of an `RBM`."""
        return keras.optimizers.SGD(0.05, momentum=0.5)

    @property
    def latent_shape(self):
        """Shape of the top layer."""
        return (self.units[-1].size,) if self.built else None

    # --- what users call ------------------------------------------------------

    def classifier(self, num_classes):
        """Makes a network of the way up, with one more layer, to be trained with labels.

        Args:
            num_classes: number of labels.

        Returns:
            `keras.Model` from examples to the probabilities of labels, with copies of the weights;
            the last layer's are new. Not compiled.

        Raises:
            ValueError: a model that is conditional.

        >>> import numpy as np, tfgen
        >>> network = tfgen.DBN(6, hidden_units=(5, 4)).classifier(3)
        >>> network.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        >>> x = np.random.default_rng(0).integers(2, size=(32, 6))
        >>> history = network.fit(x, x.sum(1) % 3, verbose=0)
        >>> network(x).shape
        TensorShape([32, 3])
        """
        num_classes = checks.check_count(num_classes, "num_classes")
        if self.condition_shape is not None:
            raise ValueError(
                "`classifier` is of a model without conditions: this one is given "
                f"{'a label' if self.num_classes else 'a vector'} already"
            )
        kernels = [w.numpy() for w in (*self.recognition.kernels, self.kernels[-1])]
        biases = [w.numpy() for w in (*self.recognition.biases, self.biases[-1])]
        inputs = keras.Input(self.event_shape, dtype=self.variable_dtype)
        outputs = keras.layers.Flatten()(inputs)
        if self.data_kind == "real":
            # Units of the data, and their precision, go into the first layer.
            loc, scale = (
                np.broadcast_to(v.numpy(), self.event_shape).ravel() for v in self._scales("x")
            )
            kernels[0] = kernels[0] * (self._precision().numpy() / scale)[:, None]
            biases[0] = biases[0] - loc @ kernels[0]
        for i, weights in enumerate(zip(kernels, biases, strict=True)):
            layer = keras.layers.Dense(len(weights[1]), "sigmoid", name=f"hidden_{i + 1}")
            outputs = layer(outputs)
            layer.set_weights(weights)
        outputs = keras.layers.Dense(num_classes, "softmax", name="label")(outputs)
        return keras.Model(inputs, outputs, name=f"{self.name}_classifier")

    # --- ways up and down -----------------------------------------------------

    def _field_above(self, i, inputs, biases):
        """The field of layer `i + 1` on the way up."""
        if i == self._bottom:
            return biases[i + 1] + self._up(i, inputs)
        if i == 0 and self.log_variance is not None:
            inputs = inputs * tf.stop_gradient(self._precision())
        # What a condition adds is the model's own.
        offset = tf.stop_gradient(biases[i + 1] - self._weight(self.biases[i + 1]))
        field = self._product(inputs, tf.convert_to_tensor(self.recognition.kernels[i]))
        return field + tf.convert_to_tensor(self.recognition.biases[i]) + offset

    def _field_below(self, i, above, biases):
        """The field of layer `i` on the way down."""
        return biases[i] + self._down(i, above)

    def _precision_of(self, i):
        return None if i else self._precision()

    def _drawn_up(self, values, biases, seed, start):
        """List of the layers up to the lower one of the top, drawn given examples."""
        layers = [values]
        for i in range(self._bottom):
            field = self._field_above(i, self.units[i].inputs(layers[-1]), biases)
            layers.append(self.units[i + 1].sample(fold_in(seed, i), start, field))
        return layers

    def _drawn_down(self, state, biases, seed, start, temperature=1.0):
        """List of the layers down from the lower one of the top, the visible one first."""
        layers = [state]
        for i in reversed(range(self._bottom)):
            field, precision = self._field_below(i, layers[0], biases), self._precision_of(i)
            noise = fold_in(seed, i)
            drawn = self.units[i].sample(noise, start, field, precision, temperature)
            layers.insert(0, drawn)
        return layers

    # --- training -------------------------------------------------------------

    def _term_names(self):
        return (*super()._term_names(), "layer", "recognition_loss")

    def _other_players(self):
        return [
            Player(
                "recognition", self._recognition_terms, [self.recognition], self.default_optimizer
            )
        ]

    def _terms(self, x, condition, noise, training):
        if training:
            done = tf.convert_to_tensor(self.steps_taken)
            for i in range(self._bottom):
                # In the first step of the next layer for the last time.
                tied = done <= (i + 1) * self.layer_steps
                for own, other in (
                    (self.recognition.kernels[i], self.kernels[i]),
                    (self.recognition.biases[i], self.biases[i + 1]),
                ):
                    values = (tf.convert_to_tensor(weight) for weight in (other, own))
                    own.assign(tf.where(tied, *values))
        return super()._terms(x, condition, noise, training)

    def _terms_and_chains(self, x, condition, noise, training):
        values, biases = self._values(x), self._biases(self._features(condition))
        seed, start = noise
        error = self._reconstruction_error(tf.stop_gradient(values), self._features(condition))

        def terms(loss, layer):
            layer = tf.constant(float(layer), self.variable_dtype)
            return {
                "loss": loss,
                "contrast": loss,
                "reconstruction": tf.stop_gradient(error),
                "layer": layer,
            }

        def alone(i):
            below = self.units[0].inputs(values)
            for j in range(i):
                below = tf.sigmoid(self._field_above(j, below, biases))
            loss = layer_contrast(
                self,
                i,
                values,
                tf.stop_gradient(below) if i else below,
                biases,
                fold_in(seed, i),
                start,
                num_steps=self.gibbs_steps,
            )
            return terms(loss, i + 1)

        def wake():
            layers = self._drawn_up(values, biases, fold_in(seed, Stream.LATENTS), start)
            layers = [layers[0], *(tf.stop_gradient(layer) for layer in layers[1:])]
            features, state = self._features(condition), (layers[-1],)
            steps = tf.constant(self.gibbs_steps)
            chain = tf.stop_gradient(self._walk(state, features, seed, start, steps)[0])
            loss = self._log_density((chain,), features, 1.0)
            loss -= self._log_density(state, features, 1.0)
            return terms(loss - self._log_directed(layers, biases), 0)

        if not training:
            return wake(), ()
        return layer_in_turn(self, alone, wake), ()

    def _recognition_terms(self, batch, seed, training):
        """Terms of the sleep phase: the way up's log-loss in finding the model's own layers."""
        start, features = first_row(batch), self._features(batch.get("condition"))
        x = self.data_spec.draw_bits(batch["x"], seed, start)
        values, biases = self._values(x), self._biases(features)

        def sleep():
            # From where the top is in the wake phase.
            ends = self._drawn_up(values, biases, fold_in(seed, Stream.LATENTS), start)[-1]
            steps = tf.constant(self.gibbs_steps)
            (state,) = self._walk((ends,), features, seed, start, steps)
            layers = self._drawn_down(state, biases, fold_in(seed, Stream.DATA), start)
            layers = [tf.stop_gradient(layer) for layer in layers]
            biases_now = [tf.stop_gradient(bias) for bias in biases]
            total = 0.0
            for i in range(self._bottom):
                field = self._field_above(i, self.units[i].inputs(layers[i]), biases_now)
                total -= self.units[i + 1].log_prob(layers[i + 1], field)
            return total

        loss = sleep()
        if training:
            awake = tf.equal(stage(self), len(self.kernels))
            loss = tf.where(awake, loss, tf.zeros_like(loss))
        return {"loss": loss, "recognition_loss": loss}

    def _log_directed(self, layers, biases):
        """Log-density of the layers below the top given those above them, `[batch]`."""
        total = 0.0
        for i in range(self._bottom):
            field = self._field_below(i, layers[i + 1], biases)
            total += self.units[i].log_prob(layers[i], field, self._precision_of(i))
        return total

    # --- hooks of an energy ---------------------------------------------------

    def _log_prob_noise(self, seed, start, num_rows):
        return row_seeds_of(seed, start, num_rows)

    def _log_unnormalised(self, x, condition, noise):
        features, (seeds, rows) = self._features(condition), noise
        values, biases = self._values(x), self._biases(features)
        layers = self._drawn_up(values, biases, fold_in(seeds, Stream.LATENTS), rows)
        total = self._log_directed(layers, biases) + self._log_density((layers[-1],), features, 1.0)
        for i in range(self._bottom):
            field = self._field_above(i, self.units[i].inputs(layers[i]), biases)
            total -= self.units[i + 1].log_prob(layers[i + 1], field)
        return total - self._log_units()

    def _states_of(self, values, features, seed, start):
        return (self._drawn_up(values, self._biases(features), seed, start)[-1],)

    def _examples(self, states, features, seed, start, temperature):
        biases = self._biases(features)
        return self._as_data(self._drawn_down(states[0], biases, seed, start, temperature)[0])

    def _means(self, values, biases):
        means = [self.units[0].inputs(values)]
        for i in range(len(self.kernels)):
            means.append(tf.sigmoid(self._field_above(i, means[-1], biases)))
        return means

    # --- cores of latents -----------------------------------------------------

    def _encode(self, x, condition):
        return self._means(self._values(x), self._biases(self._features(condition)))[-1]

    def _decode(self, z, condition):
        biases = self._biases(self._features(condition))
        for i in reversed(range(1, len(self.kernels))):
            z = tf.sigmoid(self._field_below(i, z, biases))
        field = self._field_below(0, z, biases)
        half = tf.fill([tf.shape(field)[0], self.num_dims], tf.constant(0.5, field.dtype))
        return self._as_data(self.units[0].draw(half, field, self._precision(), 0.0))

    def _energy(self, x, hidden, condition):
        values, biases = self._values(x), self._biases(self._features(condition))
        *layers, top = [values, *tf.split(hidden, self._hidden_sizes, -1)]
        linear = tf.reduce_sum(layers[-1] * biases[-2], -1)
        linear += tf.reduce_sum(top * (biases[-1] + self._up(self._bottom, layers[-1])), -1)
        return -linear - self._log_directed(layers, biases)
