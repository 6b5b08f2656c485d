"""Flows of zuko, normflows and nflows with the sizes of tfgen's, and how they are trained."""

import nflows.flows
import nflows.transforms
import normflows
import torch
import zuko

BINS = 8


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


def normflows_glow(shape, levels, steps, filters):
    """The flow over images `[channels, height, width]`."""
    height, width, channels = shape
    flows, merges, bases = [], [], []
    for i in range(levels):
        depth = levels - i
        block = normflows.flows.GlowBlock
        part = [block(channels * 2 ** (depth + 1), filters) for _ in range(steps)]
        flows.append([*part, normflows.flows.Squeeze()])
        if i:
            merges.append(normflows.flows.Merge())
        latent = channels * 2 ** (depth + (i == 0)), height // 2**depth, width // 2**depth
        bases.append(normflows.distributions.GlowBase(latent))
    return normflows.MultiscaleFlow(bases, flows, merges, class_cond=False)


def torch_steps(log_prob, optimizer, batches):
    """Trains a flow, a step for each of the batches, which are tensors; yields after each."""
    for batch in batches:
        optimizer.zero_grad()
        loss = -log_prob(batch).mean()
        loss.backward()
        optimizer.step()
        yield loss.item()
