"""Flows of zuko, normflows and nflows, in PyTorch; as they are, or through `torch.compile`."""

import numpy as np
import peers
import torch
from digits import digits

from contestants import Contestant


class _Flow(Contestant):
    """Trained by Adam on one batch; `log_prob` and `sample` are of a batch."""

    compiled = False

    def make(self):
        self.model, self.log_prob_of, self.sample_of = self.flow()
        self.x = torch.from_numpy(self.data())
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)
        if self.compiled:
            self.log_prob_of = torch.compile(self.log_prob_of)
            self.sample_of = torch.compile(self.sample_of)

    def steps(self, count):
        return peers.torch_steps(self.log_prob_of, self.optimizer, [self.x] * count)

    def log_prob(self):
        with torch.no_grad():
            self.log_prob_of(self.x).numpy()

    def sample(self):
        with torch.no_grad():
            self.sample_of(self.batch).numpy()


class Vectors(_Flow):
    """A flow over vectors: `name` of `library`."""

    def data(self):
        return digits()[: self.batch]

    def flow(self):
        sizes = self.name, self.size, self.layers, [self.width] * 2
        if self.library == "zuko":
            model, log_prob = peers.zuko_flow(*sizes)
            return model, log_prob, lambda n: model().sample((n,))
        if self.library == "nflows":
            model, log_prob = peers.nflows_maf(*sizes[1:])
            return model, log_prob, model.sample
        model, log_prob = peers.normflows_flow(*sizes)
        return model, log_prob, lambda n: model.sample(n)[0]


class Glow(_Flow):
    """normflows's Glow; on numbers as they are, so it is spared dequantisation."""

    tiny = {"steps_of_flow": 1, "filters": 4, "batch": 1}

    def data(self):
        height, width, channels = self.shape
        shape = self.batch, channels, height, width
        return np.random.default_rng(0).uniform(-0.5, 0.5, shape).astype("float32")

    def flow(self):
        torch.manual_seed(0)
        model = peers.normflows_glow(self.shape, self.levels, self.steps_of_flow, self.filters)
        return model, lambda x: model.log_prob(x, None), lambda n: model.sample(n)[0]
