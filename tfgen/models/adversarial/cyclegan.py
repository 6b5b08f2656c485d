"""Translation between two kinds of images, without pairs."""

import keras
import numpy as np
import tensorflow as tf

from tfgen.core.data_spec import DataSpec
from tfgen.core.data_spec import first_row
from tfgen.core.data_spec import is_array
from tfgen.core.players import Player
from tfgen.core.symbolic import is_symbolic
from tfgen.models.adversarial.mapping import Mapping
from tfgen.networks import PatchCritic
from tfgen.networks import ResNetTranslator
from tfgen.optimizers import FusedAdam
from tfgen.utils import checks
from tfgen.utils.layers import build_once
from tfgen.utils.layers import with_role
from tfgen.utils.random import fold_in
from tfgen.utils.random import row_uniform


@keras.saving.register_keras_serializable(package="tfgen")
class CycleGAN(Mapping):
    """Two generators that translate images of one set to those of another and back (Zhu et al.
    2017): critics compare translations with the other set, and what is translated there and back
    must be what it was.

    `fit((x, y))` takes two arrays of any lengths, of which no image belongs to any other: the
    shorter one is repeated. A `tf.data.Dataset` has batches `(x, y)` of one size.

    Args:
        event_shape: `[height, width, channels]` of the first set.
        target_shape: of the second one, with the same sides; None for the same.
        generator: layer from images of the first set to those of the second, as values of order 1;
            None for a `networks.ResNetTranslator` by `filters`, `num_blocks` and `num_halvings`.
        back_generator: layer from the second set to the first, or None.
        critic: layer from images of the second set to scores, `[batch]` or of patches, such as
            `[batch, rows, columns]`; None for a `networks.PatchCritic` with as many `filters`.
        back_critic: the same of the first set, or None.
        filters: of networks made here.
        num_blocks: of generators made here.
        num_halvings: of generators made here.
        cycle_weight: weight of the mean absolute error of images that were there and back.
        identity_weight: weight of the mean absolute error of images of the set that a generator
            leads to (section 5.2, "photo generation"); None for half of the other weight, or for 0
            where the sets differ in channels. It holds colours and what is light or dark: 0 for
            translations that are to change these.
        buffer_size: earlier translations that are kept for the critics, who see one of them in the
            place of every other new one (Shrivastava et al. 2017, arXiv:1612.07828); they are
            weights, so that a resumed training has them. Several replicas keep the first one's.
        data_kind: `"uint8"`, or `"real"`, of values of order 1.
        **kwargs: `dtype` and `name`.

    The game is of squared scores (Mao et al. 2017, arXiv:1611.04076). The logs hold
    `adversarial`, `cycle` and `identity`, the sums over both ways, `critic_loss`, and the mean
    scores `real_score` and `fake_score`.

    Raises:
        ValueError: no images, sets of different sides, or images too small for a generator.

    References:
        Zhu et al., Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks,
        2017, arXiv:1703.10593.

    >>> import numpy as np, tfgen
    >>> rng = np.random.default_rng(0)
    >>> grey = rng.integers(256, size=(3, 8, 8, 1))
    >>> colour = rng.integers(256, size=(4, 8, 8, 3))
    >>> model = tfgen.CycleGAN((8, 8, 1), (8, 8, 3), filters=2, num_blocks=1)
    >>> model.compile()
    >>> history = model.fit((grey, colour), batch_size=3, verbose=0)
    >>> model.translate(grey).shape, model.translate_back(colour).shape
    (TensorShape([3, 8, 8, 3]), TensorShape([4, 8, 8, 1]))
    >>> sorted(history.history)
    ['adversarial', 'critic_loss', 'cycle', 'fake_score', 'identity', 'loss', 'real_score']
    """

    _role = "target"
    _kinds = ("real", "uint8")
    _y_kinds = ("image",)
    _sampling = None
    _minimises = "adversarial + cycle + identity"
    _player_names = ("model", "critic")

    def __init__(
        self,
        event_shape,
        target_shape=None,
        generator=None,
        back_generator=None,
        critic=None,
        back_critic=None,
        filters=64,
        num_blocks=None,
        num_halvings=2,
        cycle_weight=10.0,
        identity_weight=None,
        buffer_size=50,
        data_kind="uint8",
        dtype=None,
        name=None,
    ):
        shapes = {"event_shape": event_shape}
        shapes["target_shape"] = event_shape if target_shape is None else target_shape
        shapes = {name: checks.as_shape(shape, name) for name, shape in shapes.items()}
        first, second = shapes.values()
        for argument, shape in shapes.items():
            if len(shape) != 3:
                raise ValueError(
                    f"`{argument}` must be [height, width, channels]; got {list(shape)}"
                )
        if first[:2] != second[:2]:
            raise ValueError(
                "`event_shape` and `target_shape` must have the same sides; got "
                f"{list(first)} and {list(second)}"
            )
        super().__init__(first, data_kind, second, dtype=dtype, name=name)
        self.target_shape, self._target_spec = second, DataSpec(second, data_kind)
        self.filters, self.num_blocks, self.num_halvings = filters, num_blocks, num_halvings
        self.cycle_weight = checks.check_weight(cycle_weight, "cycle_weight")
        if identity_weight is None:
            identity_weight = self.cycle_weight / 2 if first == second else 0.0
        self.identity_weight = checks.check_weight(identity_weight, "identity_weight")
        if self.identity_weight and first != second:
            raise ValueError(
                f"`identity_weight` must be 0 where the sets differ in channels; got "
                f"{identity_weight!r}"
            )
        self.buffer_size = checks.check_int(buffer_size, "buffer_size", 0, 100_000)
        kind = {"dtype": self.dtype_policy}
        sizes = {"num_blocks": num_blocks, "num_halvings": num_halvings, **kind}
        given = {
            "generator": generator or ResNetTranslator(second[-1], filters, **sizes),
            "back_generator": back_generator or ResNetTranslator(first[-1], filters, **sizes),
            "critic": critic or PatchCritic(filters, **kind),
            "back_critic": back_critic or PatchCritic(filters, **kind),
        }
        for argument, network in given.items():
            checks.check_instance(network, keras.layers.Layer, argument)
            setattr(self, argument, with_role(network, argument))
        checks.check_same_dtype(self, **given)
        checks.check_apart(**given)

    def default_optimizer(self):
        """Adam as of Zhu et al. 2017, section 4."""
        return FusedAdam(2e-4, beta_1=0.5)

    # --- what users call ------------------------------------------------------

    def fit(self, x=None, y=None, batch_size=1, validation_data=None, **kwargs):
        """Keras's `fit`, of two sets of images.

        Args:
            x: pair of arrays `[n, *event_shape]` and `[m, *target_shape]`; or the first of them; or
                batches of such pairs, of one size, as a `tf.data.Dataset`.
            y: the second array, where `x` is the first.
            batch_size: images of each set in a step.
            validation_data: pair of arrays, or batches.
            **kwargs: as of `GenerativeModel.fit`.

        Returns:
            A `keras.callbacks.History`.

        Raises:
            ValueError: images of another shape or kind than the set's, or of one set alone.
        """
        x, y = self._sets(x, y)
        if validation_data is not None and is_array(validation_data):
            validation_data = self._sets(validation_data, None)
        if y is not None:
            kwargs |= {"batch_size": batch_size}
        return super().fit(x, y, validation_data=validation_data, **kwargs)

    def evaluate(self, x=None, y=None, **kwargs):
        """Keras's `evaluate`, of two sets of images as `fit` takes them."""
        if not kwargs.get("_use_cached_eval_dataset"):
            x, y = self._sets(x, y)
        return super().evaluate(x, y, **kwargs)

    def translate(self, x, batch_size=256):
        """Images of the first set as images of the second, `[n, *target_shape]`.

        Args:
            x: `[n, *event_shape]`.
            batch_size: rows computed at a time.
        """
        return self._map("translate", x, batch_size)

    def translate_back(self, y, batch_size=256):
        """Images of the second set as images of the first, `[n, *event_shape]`.

        Args:
            y: `[n, *target_shape]`.
            batch_size: rows computed at a time.
        """
        if not is_symbolic(y):
            y = tf.convert_to_tensor(self._target_spec.check_x(y, "y"))
        return self._rows.run("translate_back", y.shape[0], batch_size, y=y)

    def signatures(self):
        """Names of the functions that `export` serves."""
        return ["translate", "translate_back"]

    def _sets(self, x, y):
        """Both sets as arrays of one length; a stream as it is."""
        if y is None and isinstance(x, tuple | list) and len(x) == 2:
            x, y = x
        if not is_array(x):
            return x, y
        if y is None:
            raise ValueError(
                "`x` must be a pair of arrays, one of each set, or batches of such pairs; got one "
                "array"
            )
        x, y = self.data_spec.check_x(x), self._target_spec.check_x(y, "y")
        rng = np.random.default_rng(self.noise_seed.numpy().view(np.uint32))
        return tuple(_repeated(values, max(len(x), len(y)), rng) for values in (x, y))

    # --- hooks ----------------------------------------------------------------

    def _build_parts(self):
        x, y = (None, *self.event_shape), (None, *self.target_shape)
        for name, given, wanted in (("generator", x, y), ("back_generator", y, x)):
            network = getattr(self, name)
            build_once(network, given)
            shape = tuple(network.compute_output_shape(given))
            if shape != wanted:
                raise ValueError(
                    f"`{name}` must give images {list(wanted[1:])}; got {list(shape[1:])}"
                )
        build_once(self.critic, y)
        build_once(self.back_critic, x)
        self.buffers = []
        if self.buffer_size:
            kind = self.variable_dtype
            for name, shape in (("buffer", y), ("back_buffer", x)):
                kept = np.zeros((self.buffer_size, *shape[1:]))
                self.buffers.append(self._state(name, kept, kind))
            self.num_kept = self._state("num_kept", np.array(0), "int32")

    def _other_players(self):
        layers = [self.critic, self.back_critic]
        return [Player("critic", self._critic_terms, layers, self.default_optimizer)]

    @property
    def _output_event_shape(self):
        return self.target_shape

    _unordered_terms = frozenset({"real_score", "fake_score"})

    def _term_names(self):
        return ("adversarial", "cycle", "identity", "critic_loss", "real_score", "fake_score")

    def _argument_specs(self):
        kind = self._target_spec.x_spec.dtype if self.data_kind == "uint8" else self.variable_dtype
        spec = tf.TensorSpec([None, *self.target_shape], kind, name="y")
        return {**super()._argument_specs(), "y": spec}

    def _values(self, images):
        """Images as networks see them, of order 1."""
        values = tf.cast(images, self.variable_dtype)
        return values if self.data_kind == "real" else values / 127.5 - 1

    def _images(self, values):
        if self.data_kind == "real":
            return values
        return tf.cast(tf.clip_by_value(tf.round((values + 1) * 127.5), 0, 255), tf.uint8)

    def _through(self, generator, values, training=False):
        made = tf.cast(generator(values, training=training), self.variable_dtype)
        return made if self.data_kind == "real" else tf.tanh(made)

    def _translate(self, x):
        return self._images(self._through(self.generator, self._values(x)))

    def _translate_back(self, y):
        return self._images(self._through(self.back_generator, self._values(y)))

    def _outputs(self, x, condition, seed, start):
        return self._translate(x)

    def _ways(self, batch):
        """`(values, those of the other set, generator, the one back, critic)` of both ways."""
        x, y = self._values(batch["x"]), self._values(batch["target"])
        there = (x, y, self.generator, self.back_generator, self.critic)
        return [there, (y, x, self.back_generator, self.generator, self.back_critic)]

    def _scores(self, critic, values, training):
        scores = tf.cast(critic(values, training=training), self.variable_dtype)
        return tf.reshape(scores, [tf.shape(values)[0], -1])

    def _batch_terms(self, batch, seed, training):
        terms = {name: [] for name in ("adversarial", "cycle", "identity")}
        for values, others, generator, back, critic in self._ways(batch):
            made = self._through(generator, values, training)
            scores = self._scores(critic, made, training=False)
            terms["adversarial"].append(tf.reduce_mean((scores - 1) ** 2, -1))
            terms["cycle"].append(_apart(self._through(back, made, training), values))
            apart = tf.zeros_like(terms["cycle"][0])
            if self.identity_weight:
                apart = _apart(self._through(generator, others, training), others)
            terms["identity"].append(apart)
        terms = {name: tf.add_n(both) for name, both in terms.items()}
        loss = terms["adversarial"] + self.cycle_weight * terms["cycle"]
        return {**terms, "loss": loss + self.identity_weight * terms["identity"]}

    def _critic_terms(self, batch, seed, training):
        terms = {"critic_loss": [], "real_score": [], "fake_score": []}
        start, shown = first_row(batch), []
        for number, (values, others, generator, _, critic) in enumerate(self._ways(batch)):
            made = tf.stop_gradient(self._through(generator, values, training))
            if self.buffer_size and training:
                own = fold_in(seed, 1000 + number)
                made, kept = self._remembered(self.buffers[number], made, own, start)
                shown.append(kept)
            real, fake = (self._scores(critic, v, training) for v in (others, made))
            loss = tf.reduce_mean((real - 1) ** 2, -1) + tf.reduce_mean(fake**2, -1)
            terms["critic_loss"].append(loss / 2)
            terms["real_score"].append(tf.reduce_mean(real, -1) / 2)
            terms["fake_score"].append(tf.reduce_mean(fake, -1) / 2)
        if shown:
            for buffer, kept in zip(self.buffers, shown, strict=True):
                buffer.assign(kept)
            count = tf.convert_to_tensor(self.num_kept) + tf.shape(batch["x"])[0]
            self.num_kept.assign(tf.minimum(count, self.buffer_size))
        terms = {name: tf.add_n(both) for name, both in terms.items()}
        return {**terms, "loss": terms["critic_loss"]}

    def _remembered(self, buffer, made, seed, start):
        """New images, some of them exchanged for earlier ones, and the buffer after that.

        As long as it is not full, it takes in all, and gives none."""
        size, buffer = self.buffer_size, tf.convert_to_tensor(buffer)
        num_rows, count = tf.shape(made)[0], tf.convert_to_tensor(self.num_kept)
        rows = tf.range(tf.minimum(num_rows, size))
        filling = count < size
        # Each row has a place of its own: places are drawn by sorting.
        drawn = tf.argsort(row_uniform(fold_in(seed, 1), 0, 1, (size,))[0])
        places = tf.where(filling, (count + rows) % size, drawn[: tf.size(rows)])
        chance = row_uniform(seed, start, num_rows, ())[: tf.size(rows)] < 0.5
        taken = tf.where(filling, count + rows < size, chance)[:, None, None, None]
        earlier, fresh = tf.gather(buffer, places), made[:size]
        kept = tf.where(taken, fresh, earlier)
        shown = tf.where(taken & ~filling, earlier, fresh)
        buffer = tf.tensor_scatter_nd_update(buffer, places[:, None], kept)
        return tf.concat([shown, made[size:]], 0), buffer


def _apart(a, b):
    return tf.reduce_mean(tf.abs(a - b), [1, 2, 3])


def _repeated(values, length, rng):
    """Rows repeated up to a length, each time in another order."""
    if len(values) == length:
        return values
    passes = -(-length // len(values))
    rows = np.concatenate([rng.permutation(len(values)) for _ in range(passes)])
    return values[rows[:length]]
