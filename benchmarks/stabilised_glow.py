"""Table 2 and Figures 4 and 5 of Tatsunami and Taki, in small, on cifar10_jpeg.

    python benchmarks/stabilised_glow.py table2 --data-dir DIR --out runs/table2
    python benchmarks/stabilised_glow.py init --data-dir DIR --out runs/init

`table2` trains four Glows (additive and affine, `exp(s) x + t`, penalty 0 and 1e-5) for `--epochs`
at most, with the paper's early stopping: two epochs in a row without a better validation figure. It
can be interrupted and given again. `init` trains with minibatches of one image after an
initialisation from one minibatch and from 256.
"""

import argparse
import csv
from pathlib import Path

import keras
import matplotlib.figure
import numpy as np
import tensorflow as tf

import tfgen
from tfgen.app import runs


class Watch(keras.callbacks.Callback):
    """Logs what the penalty acts on: log-determinants, inversion, range of samples."""

    def __init__(self, x):
        super().__init__()
        self.x = tf.constant(x, tf.float32) + 0.5

    def on_epoch_end(self, epoch, logs=None):
        model = self.model
        flow = model.bijector
        log_dets = model.bijector.mixing_log_dets().numpy()
        z, _ = flow.inverse_and_log_det(self.x)
        error = tf.abs(flow.forward_and_log_det(z)[0] - self.x)
        noise = model.base.noise(tf.constant([0, 0]), 0, 256)
        samples = flow.forward_and_log_det(noise)[0].numpy()
        logs["log_dets_squared"] = float(np.sum(log_dets**2))
        logs["largest_log_det"] = float(np.abs(log_dets).max())
        logs["worst_inversion"] = float(tf.reduce_max(error))
        with np.errstate(invalid="ignore"):
            inside = (samples >= 0) & (samples < 256)
        logs["outside"] = float(1 - inside.mean())


def table2(args):
    examples = tfgen.data.load("cifar10_jpeg", data_dir=args.data_dir)
    for coupling in ("additive", "affine"):
        for penalty in (0.0, 1e-5):
            out = Path(args.out) / f"{coupling}_{penalty:g}"
            if not (out / "evaluation.json").is_file():
                stop = keras.callbacks.EarlyStopping("val_bpd", mode="min", patience=2)
                runs.train(
                    out,
                    "Glow",
                    "cifar10_jpeg",
                    data_dir=args.data_dir,
                    preset=f"glow_stabilised_cifar10_{coupling}",
                    overrides={
                        "coupling": coupling,
                        "num_levels": args.num_levels,
                        "num_steps": args.num_steps,
                        "filters": args.filters,
                        "log_det_penalty": penalty,
                    },
                    epochs=args.epochs,
                    verbose=2,
                    callbacks=[Watch(examples.test[0][:64]), stop],
                )
            report(out, coupling, penalty)


def report(out, coupling, penalty):
    history = runs.read_history(out)
    best = int(np.nanargmin(history["val_bpd"]))
    nan = runs.read_stopped(out)
    columns = ("largest_log_det", "log_dets_squared", "worst_inversion", "outside")
    last = "  ".join(f"{name} {history[name][-1]:.3g}" for name in columns)
    print(
        f"{coupling} {penalty:g}: best bpd {history['val_bpd'][best]:.3f}, objective "
        f"{history['val_loss'][best]:.3f}, epoch {best + 1} of {len(history['bpd'])}, "
        f"{history['seconds'][-1]:.0f} s; NaN: {nan}; at the end {last}",
        flush=True,
    )


class Steps(keras.callbacks.Callback):
    """The bits per dimension of every step."""

    def __init__(self):
        super().__init__()
        self.bpd = []

    def on_train_batch_end(self, batch, logs=None):
        self.bpd.append(float(logs["bpd"]))
        # Keras logs means since the epoch's start: let each be of one step.
        self.model.reset_metrics()


def coupling_outputs(model, x):
    """The largest absolute output of each coupling, nearest to the data first."""
    found = []

    def walk(bijector, x):
        if isinstance(bijector, tfgen.bijectors.Repeat):
            for k in range(bijector.times):
                for variable, stacked in zip(
                    bijector.step.variables, copies(bijector), strict=True
                ):
                    variable.assign(stacked[k])
                x = walk(bijector.step, x)
            return x
        if isinstance(bijector, tfgen.bijectors.Chain):
            for part in bijector.bijectors:
                x = walk(part, x)
            return x
        if isinstance(bijector, tfgen.bijectors.Split):
            x = bijector.prior.inverse_and_log_det(x)[0]
            return walk(bijector.rest, x[..., : x.shape[-1] // 2])
        x = bijector.inverse_and_log_det(x)[0]
        if isinstance(bijector, tfgen.bijectors.Coupling):
            found.append(float(tf.reduce_max(tf.abs(x))))
        return x

    def copies(repeat):
        order = repeat.step.trainable_variables + repeat.step.non_trainable_variables
        stacked = {id(v): w for v, w in zip(order, repeat.stacked, strict=True)}
        return [stacked[id(v)] for v in repeat.step.variables]

    walk(model.bijector, tf.constant(x, tf.float32) + 0.5)
    return found


def init(args):
    x = tfgen.data.load("cifar10_jpeg", data_dir=args.data_dir).train[0]
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    curves, outputs = {}, {}
    for num_batches in (1, 256):
        name = f"{num_batches} minibatch{'es' * (num_batches > 1)}"
        keras.utils.set_random_seed(0)
        model = tfgen.Glow(
            (32, 32, 3),
            num_levels=args.num_levels,
            num_steps=args.num_steps,
            filters=args.filters,
            coupling="additive",
            log_det_penalty=1e-3,
            num_init_batches=num_batches,
        )
        model.compile(tfgen.optimizers.RAdam(1e-5))
        steps = Steps()
        arguments = {"batch_size": 1, "shuffle": False, "verbose": 0}
        model.fit(x[:num_batches], steps_per_epoch=1, **arguments)
        outputs[name] = coupling_outputs(model, x[num_batches : num_batches + 1])
        model.fit(x, steps_per_epoch=args.steps, callbacks=[steps], **arguments)
        curves[name] = steps.bpd
        print(
            f"{name}: largest output after one update 10^{np.log10(max(outputs[name])):.1f}; "
            f"median bpd, first 20 {np.median(steps.bpd[:20]):.2f}, last 20 "
            f"{np.median(steps.bpd[-20:]):.2f}, largest {np.max(steps.bpd):.3g}",
            flush=True,
        )
    with open(out / "steps.csv", "w", newline="") as lines:
        rows = csv.writer(lines)
        rows.writerow(["step", *curves])
        rows.writerows(zip(range(1, args.steps + 1), *curves.values(), strict=True))
    figure = matplotlib.figure.Figure((10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, curve in curves.items():
        left.plot(curve, label=name)
        right.plot(np.log10(outputs[name]), label=name)
    left.set(xlabel="step", ylabel="bits per dimension", yscale="log")
    right.set(xlabel="coupling, from the data on", ylabel="log10 of the largest |output|")
    left.legend()
    figure.savefig(out / "init.png")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("table2", "init"))
    parser.add_argument("--data-dir")
    parser.add_argument("--out", required=True)
    parser.add_argument("--num-levels", type=int, default=4, help="L")
    parser.add_argument("--num-steps", type=int, default=8, help="K")
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=14, help="of each run of table2, at most")
    parser.add_argument("--steps", type=int, default=300, help="of init")
    args = parser.parse_args()
    {"table2": table2, "init": init}[args.what](args)


if __name__ == "__main__":
    main()
