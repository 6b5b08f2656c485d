"""Distributions fitted to codes: what models of categories share."""

from tfgen.core.fit_base import train_base
from tfgen.data.binarise import draw_bits
from tfgen.distributions import AutoregressiveCodes
from tfgen.utils import checks


class FitsCodes:
    """`fit_latents` of categories, named before a `VAE` among the bases."""

    latent_kinds = ("autoregressive",)
    _sampling = "one pass; waves over the codes after `fit_latents`"
    # Whether latents are indices of categories, and not one-hot vectors.
    _are_indices = False
    # Height and width of the places of the codes; None: all are in a row.
    _code_sides = None

    def fit_latents(self, x, kind="autoregressive", condition=None, seed=0, **kwargs):
        """Fits an autoregressive distribution to the codes of examples, and puts it in the prior's
        place (van den Oord et al. 2017, "Neural Discrete Representation Learning",
        arXiv:1711.00937, section 3.3).

        From then on `sample` draws from it, and `log_prob` counts with it. Conditional models get
        one distribution for all conditions.

        Args:
            x: `[n, *event_shape]`; of binary data also probabilities, which are drawn from once.
            kind: `"autoregressive"`, an `AutoregressiveCodes` of 32 filters, or such a
                distribution.
            condition: as in `log_prob`.
            seed: integer, of the posterior's draws.
            **kwargs: of `fit`; by default 20 epochs of 100 steps or more, with batches of 256.

        Returns:
            The model's `fitted_latents`.

        Raises:
            ValueError: another `kind`.

        >>> import numpy as np, tfgen
        >>> x = np.random.default_rng(0).integers(2, size=(64, 6))
        >>> model = tfgen.DiscreteVAE(6, num_latents=2, num_categories=3)
        >>> latents = model.fit_latents(x, epochs=1, verbose=0)
        >>> model.latents is latents, model.sample(3).shape
        (True, TensorShape([3, 6]))
        """
        base = kind
        if kind == "autoregressive":
            base = AutoregressiveCodes(
                self.num_categories, self._code_sides, self._are_indices, dtype=self.variable_dtype
            )
        if not isinstance(base, AutoregressiveCodes):
            raise ValueError(
                f'`kind` must be "autoregressive" or an AutoregressiveCodes; got {kind!r}'
            )
        seed = checks.check_int(seed, "seed", 0, 2**32 - 1)
        x = self.data_spec.check_x(x, probabilities=True)
        if self.data_kind == "binary":
            x = draw_bits(x, seed)
        z = self._map_examples("draw_latents", x, condition, 256, seed).numpy()
        with self.distribute_strategy.scope():
            base = train_base(z, base, self.variable_dtype, **kwargs)
        self.set_latents(base)
        return self.fitted_latents
