"""A table with columns of every kind: train a flow, draw samples as a frame, score rows.

python examples/table.py --out runs/table_example
"""

import argparse
from pathlib import Path

import keras
import numpy as np
import pandas as pd

import tfgen


def make_people(num_rows=4000, seed=0):
    """People whose columns tell of each other, some without a known weight."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 90, num_rows)
    member = rng.random(num_rows) < 0.2 + 0.5 * (age > 60)
    height = rng.normal(172, 8, num_rows)
    weight = 22 * (height / 100) ** 2 + rng.normal(0, 8, num_rows)
    weight[rng.random(num_rows) < 0.1 + 0.2 * member] = np.nan
    city = np.where(member, "Bern", rng.choice(["Basel", "Bern", "Chur"], num_rows))
    days = rng.integers(0, 3650, num_rows)
    return pd.DataFrame(
        {
            "id": np.arange(num_rows),
            "age": age,
            "height": height,
            "weight": weight,
            "income": np.exp(rng.normal(10 + 0.01 * age, 0.6)),
            "city": pd.Categorical(city),
            "member": member,
            "joined": pd.Timestamp("2014-01-01") + pd.to_timedelta(days, unit="D"),
        }
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--out", type=Path, default=Path("runs/table_example"))
    args = parser.parse_args()

    keras.utils.set_random_seed(0)
    people = make_people(args.rows)
    table = tfgen.data.Table(people, missing="indicator", index="id")
    print(table)
    model = table.model(tfgen.NSF, num_layers=4, hidden_units=(64, 64))
    model.compile(keras.optimizers.Adam(1e-3))
    x, y = table.train
    model.fit(x, y, epochs=args.epochs, batch_size=128, validation_data=table.test[0], verbose=2)

    args.out.mkdir(parents=True, exist_ok=True)
    samples = table.to_frame(model.sample(args.rows, seed=0))
    samples.to_csv(args.out / "samples.csv", index=False)
    tfgen.plots.save_pairs(args.out / "pairs.png", people, samples)
    log_prob = np.asarray(model.estimate_log_prob(table.test[0], 20))
    print(f"Held-out rows have {log_prob.mean():.3f} nats on average")
    model.save(args.out / "model.keras")
    print(f"Picture, samples and model are in {args.out}")


if __name__ == "__main__":
    main()
