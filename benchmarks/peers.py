"""Equal flows over vectors in tfgen, zuko, normflows and nflows, and how torch's are trained."""

import keras
import nflows.flows
import nflows.transforms
import normflows
import numpy as np
import torch
import zuko

import tfgen

BINS = 8


def digits(split="train"):
    """The 64 pixels of the digits, 17 levels each, with uniform noise and through a logit."""
    x, _ = getattr(tfgen.data.load("digits"), split)
    levels = np.round(x.reshape(len(x), -1) * (16 / 255))
    noise = np.random.default_rng(len(x)).uniform(size=levels.shape)
    part = 0.05 + 0.9 * (levels + noise) / 17
    return np.log(part / (1 - part)).astype("float32")


def tfgen_flow(name, size, layers, hidden, rate, seed=0):
    keras.utils.set_random_seed(seed)
    if name == "RealNVP":
        model = tfgen.RealNVP(size, layers, hidden)
    elif name == "MAF":
        model = tfgen.MAF(size, layers, hidden)
    else:
        autoregressive = name == "autoregressive NSF"
        model = tfgen.NSF(size, layers, hidden, BINS, autoregressive=autoregressive)
    model.compile(keras.optimizers.Adam(rate))
    return model


def zuko_flow(name, size, layers, hidden, seed=0):
    """The flow, and its log-density as a function."""
    torch.manual_seed(seed)
    sizes = {"transforms": layers, "hidden_features": hidden}
    if name == "RealNVP":
        model = zuko.flows.RealNVP(size, **sizes)
    elif name == "MAF":
        model = zuko.flows.MAF(size, **sizes)
    else:
        passes = None if name == "autoregressive NSF" else 2
        model = zuko.flows.NSF(size, bins=BINS, passes=passes, **sizes)
    return model, lambda x: model().log_prob(x)


def normflows_flow(name, size, layers, hidden, seed=0):
    """The flow, and its log-density as a function; it has no MAF with a quick density."""
    torch.manual_seed(seed)
    flows = []
    for _ in range(layers):
        if name == "RealNVP":
            kept = (size + 1) // 2
            net = normflows.nets.MLP([kept, *hidden, 2 * (size - kept)], init_zeros=True)
            flows.append(normflows.flows.AffineCouplingBlock(net))
            flows.append(normflows.flows.Permute(size, "swap"))
        else:
            # Its blocks are residual: one of them is two hidden layers.
            spline = normflows.flows.CoupledRationalQuadraticSpline
            if name == "autoregressive NSF":
                spline = normflows.flows.AutoregressiveRationalQuadraticSpline
            flows.append(spline(size, 1, hidden[0], num_bins=BINS, tail_bound=5))
            flows.append(normflows.flows.LULinearPermute(size))
    model = normflows.NormalizingFlow(normflows.distributions.DiagGaussian(size), flows)
    return model, model.log_prob


def nflows_maf(size, layers, hidden):
    """The flow, and its log-density as a function."""
    parts = []
    for _ in range(layers):
        maf = nflows.transforms.MaskedAffineAutoregressiveTransform
        parts.append(maf(size, hidden[0], num_blocks=2, use_residual_blocks=False))
        parts.append(nflows.transforms.ReversePermutation(size))
    base = nflows.distributions.StandardNormal([size])
    model = nflows.flows.Flow(nflows.transforms.CompositeTransform(parts), base)
    return model, model.log_prob


def torch_steps(model, log_prob, batches, rate):
    """Trains a flow, a step for each of the batches; yields after each."""
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    for batch in torch.from_numpy(batches):
        optimizer.zero_grad()
        loss = -log_prob(batch).mean()
        loss.backward()
        optimizer.step()
        yield loss.item()
