"""Flows of flowjax, in JAX, compiled by XLA as its own training does."""

import equinox as eqx
import flowjax.bijections
import flowjax.distributions
import flowjax.flows
import jax
import numpy as np
import optax
import paramax
from digits import digits
from flowjax.train.losses import MaximumLikelihoodLoss
from flowjax.train.train_utils import step

from contestants import Contestant

BINS = 8


class Vectors(Contestant):
    """A flow over vectors, with affine transforms or splines."""

    def make(self):
        coupling = self.name in ("RealNVP", "NSF")
        make = flowjax.flows.coupling_flow if coupling else flowjax.flows.masked_autoregressive_flow
        transformer = None
        if "NSF" in self.name:
            spline = flowjax.bijections.RationalQuadraticSpline
            transformer = spline(knots=BINS, interval=5)
        self.flow = make(
            jax.random.key(0),
            base_dist=flowjax.distributions.Normal(jax.numpy.zeros(self.size)),
            transformer=transformer,
            flow_layers=self.layers,
            nn_width=self.width,
            nn_depth=2,
        )
        self.x = jax.numpy.asarray(digits()[: self.batch])
        self.params, self.static = eqx.partition(
            self.flow,
            eqx.is_inexact_array,
            is_leaf=lambda leaf: isinstance(leaf, paramax.NonTrainable),
        )
        self.optimizer = optax.adam(1e-3)
        self.state, self.loss = self.optimizer.init(self.params), MaximumLikelihoodLoss()
        self.density = eqx.filter_jit(lambda flow, x: flow.log_prob(x))
        self.draw = eqx.filter_jit(lambda flow, key: flow.sample(key, (self.batch,)))

    def steps(self, count):
        for _ in range(count):
            self.params, self.state, loss = step(
                self.params,
                self.static,
                self.x,
                optimizer=self.optimizer,
                opt_state=self.state,
                loss_fn=self.loss,
            )
            yield float(loss)

    @property
    def trained(self):
        return eqx.combine(self.params, self.static)

    def log_prob(self):
        np.asarray(self.density(self.trained, self.x))

    def sample(self):
        np.asarray(self.draw(self.trained, jax.random.key(0)))
