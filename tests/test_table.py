"""Tables: columns of every kind become numbers of a flow, and samples frames of the same types."""

import sys

import keras
import numpy as np
import pandas as pd
import pytest
import scipy.stats
import tensorflow as tf
import zoo
from sklearn import datasets

import tfgen
from tfgen.app import runs
from tfgen.data import Columns
from tfgen.data import Table
from tfgen.data.column import Column

SMALL = {"num_layers": 2, "hidden_units": (16,)}


def every_kind(num_rows=200, seed=0):
    """A frame that holds every kind of column, some of them with missing values."""
    rng = np.random.default_rng(seed)

    def some(values, none):
        return np.where(rng.random(num_rows) < 0.2, none, values)

    days = pd.to_timedelta(rng.integers(0, 9000, num_rows), unit="D")
    seconds = pd.to_timedelta(rng.integers(0, 90_000_000, num_rows), unit="s")
    return pd.DataFrame(
        {
            "Unnamed: 0": np.arange(num_rows),
            "height": rng.normal(170, 8, num_rows),
            "small": rng.normal(0, 1, num_rows).astype("float32"),
            "age": rng.integers(18, 90, num_rows),
            "visits": rng.poisson(2, num_rows).astype("int16"),
            "income": np.exp(rng.normal(10, 1, num_rows)),
            "share": rng.beta(2, 3, num_rows),
            "stars": rng.integers(1, 6, num_rows),
            "whole": np.round(rng.normal(0, 30, num_rows)),
            "number": 3_000_000_000 + rng.integers(0, 1000, num_rows),
            "city": rng.choice(["Bern", "Basel", "Chur"], num_rows, p=[0.6, 0.3, 0.1]),
            "grade": pd.Categorical(rng.choice([*"cba"], num_rows), [*"cbaz"], ordered=True),
            "zone": pd.Categorical(some(rng.integers(1, 4, num_rows), np.nan)),
            "member": rng.random(num_rows) < 0.3,
            "agrees": pd.array(some(rng.random(num_rows) < 0.5, None), dtype="boolean"),
            "born": pd.Timestamp("1980-01-05") + days,
            "seen": (pd.Timestamp("2020-01-05 10:00") + seconds).tz_localize("UTC"),
            "left": pd.Series(some((pd.Timestamp("2020-01-01") + days).to_numpy(), None)).astype(
                "datetime64[ns]"
            ),
            "weight": some(rng.normal(70, 9, num_rows), np.nan),
            "kids": pd.array(some(rng.poisson(1.3, num_rows), None), dtype="Int64"),
            "note": some(rng.choice(["a", "b"], num_rows), None),
            "land": "CH",
        }
    )


@pytest.fixture(scope="module")
def table():
    with pytest.warns(UserWarning) as told:
        table = Table(
            every_kind(),
            condition=["city", "kids", "born"],
            missing="indicator",
            bounds={"share": (0, 1), "visits": (0, None)},
        )
    words = [str(warning.message) for warning in told]
    assert len(words) == 2
    assert "['Unnamed: 0']" in words[0] and "['land']" in words[1]
    return table


@pytest.fixture(scope="module")
def model(table):
    """Briefly trained, and perturbed."""
    keras.utils.set_random_seed(0)
    model = table.model(tfgen.NSF, **SMALL)
    model.compile()
    history = model.fit(*table.train, epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    return zoo.perturb(model)


def test_kinds_are_found(table):
    kinds = {column.name: column.kind for column in table.columns.columns}
    assert kinds == {
        **dict.fromkeys(["height", "small", "income", "share", "weight"], "number"),
        **dict.fromkeys(["age", "visits", "stars", "whole", "number", "kids"], "integer"),
        **dict.fromkeys(["city", "grade", "zone", "note"], "category"),
        **dict.fromkeys(["member", "agrees"], "boolean"),
        **dict.fromkeys(["born", "seen", "left"], "date"),
        "land": "constant",
    }
    text = repr(table)
    for words in (
        "'income': number, above 0\n",
        "'share': number, 0..1\n",
        "'stars': integer, 1..5\n",
        "'visits': integer, 0 or more\n",
        "'city': category, 3 levels (Basel, Bern, Chur), given\n",
        "'weight': number, missing in",
        "'born': date, in days, from 1980-01-",
        "'seen': date, in days, continuous, from 2020-",
        "'land': constant, 'CH'",
    ):
        assert words in text, words
    assert len(table.test[0]) == 20 and len(table.train[0]) == 180


def test_a_frame_comes_back(table):
    """Names, order, types, and every value, through float64 numbers."""
    frame = every_kind().drop(columns="Unnamed: 0")
    pd.testing.assert_frame_equal(table.to_frame(table.x, table.y), frame)
    again = table.arrays(frame.sample(frac=1, random_state=0).sort_index())
    np.testing.assert_array_equal(again[0], table.x)


def test_samples_have_the_types_of_the_data(table, model):
    frame = every_kind(50, seed=1)
    y = table.conditions(frame)
    samples = table.to_frame(model.sample(50, y, seed=0), y)
    expected = frame.drop(columns="Unnamed: 0")
    assert list(samples) == list(expected)
    pd.testing.assert_series_equal(samples.dtypes, expected.dtypes)
    for name in ("city", "kids", "born", "land"):
        pd.testing.assert_series_equal(samples[name], expected[name])
    for name in ("weight", "zone", "agrees", "left", "note"):
        assert samples[name].isna().any() and not samples[name].isna().all(), name
    assert (
        not samples.drop(columns=["weight", "zone", "agrees", "left", "note", "kids"])
        .isna()
        .any(axis=None)
    )
    assert (samples["income"] > 0).all() and samples["stars"].between(1, 5).all()
    assert (samples["whole"] % 1 == 0).all() and (samples["visits"] >= 0).all()
    assert (samples["born"].dt.normalize() == samples["born"]).all()
    # Scored again, as any frame.
    assert np.isfinite(model.log_prob(*table.arrays(samples))).all()


def test_hot_samples_are_still_rows_of_the_table(table, model):
    y = table.y[:40]
    samples = table.to_frame(model.sample(40, y, temperature=20.0, seed=0), y)
    assert np.isfinite(model.log_prob(*table.arrays(samples))).all()


def test_a_saved_model_gives_frames(table, model, tmp_path):
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.columns == table.columns and loaded.columns is not table.columns
    x, y = loaded.columns.arrays(every_kind(20, seed=2))
    np.testing.assert_array_equal(loaded.log_prob(x, y), model.log_prob(x, y))
    frames = [
        columns.to_frame(of.sample(20, y, seed=1), y)
        for of, columns in ((loaded, loaded.columns), (model, table.columns))
    ]
    pd.testing.assert_frame_equal(*frames)


# `test_server` has an exported model of a table.
@pytest.mark.slow
def test_an_exported_model_scores_rows(table, model, tmp_path):
    model.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(tmp_path / "served").signatures["log_prob"]
    x, y = (tf.constant(a[:5], tf.float32) for a in (table.x, table.y))
    got = served(x=x, condition=y)["log_prob"]
    np.testing.assert_allclose(got, model.log_prob(x, y), rtol=1e-5)


# ------------------------------------------------------------------------------------ closed forms


CITIES, MISSING = {"a": 0.5, "b": 0.3, "c": 0.2}, 0.25


def independent(num_rows, seed=0):
    """A frame of independent columns, and the log-density of each row."""
    rng = np.random.default_rng(seed)
    income, height = rng.normal(3.0, 0.5, num_rows), rng.normal(170.0, 8.0, num_rows)
    gone, flag = rng.random(num_rows) < MISSING, rng.random(num_rows) < 0.1
    city = rng.choice([*CITIES], num_rows, p=[*CITIES.values()])
    count = rng.binomial(4, 0.5, num_rows)
    log_prob = scipy.stats.norm(3.0, 0.5).logpdf(income) - income
    known = np.log(1 - MISSING) + scipy.stats.norm(170.0, 8.0).logpdf(height)
    log_prob += np.where(gone, np.log(MISSING), known)
    log_prob += np.log([CITIES[name] for name in city]) + np.log(np.where(flag, 0.1, 0.9))
    log_prob += scipy.stats.binom(4, 0.5).logpmf(count)
    columns = {"income": np.exp(income), "height": np.where(gone, np.nan, height)}
    columns |= {"city": city, "flag": flag, "count": count}
    return pd.DataFrame(columns), log_prob


@pytest.mark.parametrize("passes", [(0,), *zoo.slow((0, 2))])
def test_log_prob_is_the_closed_form(passes):
    """From the start but for the moments, and after training."""
    frame, _ = independent(4000)
    table = Table(frame, missing="indicator")
    assert "'income': number, above 0" in repr(table) and "'count': integer, 0..4" in repr(table)
    model = table.model(tfgen.NSF, **SMALL)
    model.compile(keras.optimizers.Adam(2e-3))
    model.adapt(table.x)
    frame, expected = independent(1000, seed=1)
    x, _ = table.arrays(frame)
    for epochs in passes:
        model.fit(table.x, epochs=epochs, batch_size=128, verbose=0)
        got = model.estimate_log_prob(x, 20, batch_size=1000).numpy()
        assert abs(np.mean(got - expected)) < 0.05
        assert np.mean(np.abs(got - expected)) < 0.15
        assert np.corrcoef(got, expected)[0, 1] > 0.99


@pytest.mark.slow
def test_probabilities_sum_to_one():
    """Of all states of discrete columns, missing among them, whatever the weights are."""
    columns = Columns(
        [
            {"name": "city", "kind": "category", "levels": ["a", "b"], "missing": True},
            {"name": "n", "kind": "integer", "low": 1.0, "high": 3.0, "missing": True}
            | {"missing_share": 0.2, "loc": 0.3, "scale": 1.7},
            {"name": "k", "kind": "integer", "low": 5.0, "high": 6.0, "probs": [0.9, 0.1]},
        ]
    )
    model = zoo.perturb(tfgen.NSF(columns.event_shape, columns=columns, **SMALL), scale=0.2)
    frame = pd.DataFrame(
        [(a, n, k) for a in ("a", "b", None) for n in (1, 2, 3, None) for k in (5, 6)],
        columns=["city", "n", "k"],
    )
    x, _ = columns.arrays(frame)
    assert x.shape == (24, 4)
    got = np.exp(model.estimate_log_prob(x, 2000))
    np.testing.assert_allclose(got.sum(), 1, atol=0.02)
    # As often as they are drawn.
    samples = model.sample(20_000, seed=0, batch_size=20_000).numpy()
    shares = (samples[:, None] == x.astype("float32")).all(-1).mean(0)
    np.testing.assert_allclose(shares.sum(), 1)
    np.testing.assert_allclose(shares, got, atol=0.02)


def test_a_bounded_density_integrates_to_one():
    columns = Columns(
        [
            {"name": "share", "kind": "number", "low": -1.0, "high": 2.0},
            {"name": "income", "kind": "number", "low": 5.0},
        ]
    )
    model = zoo.perturb(tfgen.NSF(2, columns=columns, **SMALL), scale=0.5)
    assert model.likelihood == "exact"
    # Midpoints: even in the share, and in the logarithm of what the income is above 5.
    share = -1 + 3 * (np.arange(300) + 0.5) / 300
    log = np.linspace(-9, 9, 601)
    points = np.stack(np.meshgrid(share, 5 + np.exp(log), indexing="ij"), -1).reshape(-1, 2)
    cells = 3 / 300 * np.exp(log) * (log[1] - log[0])
    mass = np.exp(model.log_prob(points, batch_size=100_000)).reshape(300, -1) * cells
    np.testing.assert_allclose(mass.sum(), 1, atol=5e-3)


def test_units():
    """Another unit of a column changes the density by its factor, and the samples by it."""
    frame, _ = independent(300)
    factors = {"income": 1e-6, "height": 1000.0}
    tables = [Table(frame, missing="indicator")]
    scaled = frame.assign(**{name: frame[name] * factor for name, factor in factors.items()})
    tables.append(Table(scaled, missing="indicator"))
    models = []
    for table in tables:
        keras.utils.set_random_seed(0)
        models.append(table.model(tfgen.NSF, **SMALL))
        models[-1].adapt(table.x)
    a, b = (zoo.eager_outputs(m, t.x).numpy() for m, t in zip(models, tables, strict=True))
    # That a value is missing has no unit.
    expected = np.log(factors["income"]) + frame["height"].notna() * np.log(factors["height"])
    np.testing.assert_allclose(a - b, expected, atol=2e-3)
    drawn = [t.to_frame(zoo.eager_samples(m, 20)) for m, t in zip(models, tables, strict=True)]
    for name, factor in factors.items():
        np.testing.assert_allclose(drawn[0][name] * factor, drawn[1][name], rtol=1e-3)
    pd.testing.assert_frame_equal(drawn[0].iloc[:, 2:], drawn[1].iloc[:, 2:])


def test_what_stands_in_the_place_of_a_missing_value_does_not_matter():
    frame, _ = independent(100)
    table = Table(frame, missing="indicator")
    model = zoo.perturb(table.model(tfgen.NSF, **SMALL))
    x = table.x.copy()
    gone = frame["height"].isna().to_numpy()
    at = [dim.name for dim in table.columns.dims].index("height")
    assert gone.any() and (x[gone, at + 1] == 1).all()
    x[gone, at] = -1e4
    np.testing.assert_array_equal(zoo.eager_outputs(model, x), zoo.eager_outputs(model, table.x))
    samples = table.to_frame(zoo.eager_samples(model, 2000))
    assert 0.05 < samples["height"].isna().mean() < 0.6


# -------------------------------------------------------------------------------- tables of others


def load(name):
    return getattr(datasets, f"load_{name}")(as_frame=True)


# The table above has given columns, too; here long training shows that they are heeded.
@pytest.mark.slow
def test_iris_given_the_species():
    """Each species is drawn as it is."""
    iris = load("iris")
    names = iris.target_names[iris.target]
    frame = iris.data.assign(species=pd.Categorical(names))
    table = Table(frame, condition="species")
    assert table.event_shape == (4,) and table.condition_shape == (3,)
    model = table.model(tfgen.MAF, **SMALL)
    assert model.likelihood == "exact"
    model.compile(keras.optimizers.Adam(1e-2))
    model.fit(table.x, table.y, epochs=40, verbose=0)
    for species in iris.target_names:
        y = table.conditions({"species": species})
        samples = table.to_frame(model.sample(300, y, seed=0), y)
        assert (samples["species"] == species).all() and samples["species"].dtype == "category"
        expected = frame[frame["species"] == species].iloc[:, :4].mean()
        np.testing.assert_allclose(samples.iloc[:, :4].mean(), expected, atol=0.35)


@pytest.mark.parametrize(
    "name, integers",
    [
        # Other frames than the ones above, with the same kinds of columns.
        pytest.param("wine", {"magnesium", "proline", "target"}, marks=pytest.mark.slow),
        pytest.param("diabetes", {"target"}, marks=pytest.mark.slow),
    ],
)
def test_tables_of_scikit_learn(name, integers):
    frame = load(name).frame
    table = Table(frame, kinds={"sex": "category"} if name == "diabetes" else None)
    kinds = {c.name for c in table.columns.columns if c.kind == "integer"}
    assert kinds == integers
    model = table.model(tfgen.RealNVP, **SMALL)
    model.compile(keras.optimizers.Adam(1e-3))
    history = model.fit(*table.train, epochs=5, verbose=0).history["loss"]
    assert history[-1] < history[0]
    samples = table.to_frame(model.sample(50, seed=0))
    pd.testing.assert_series_equal(samples.dtypes, frame.dtypes)
    assert (samples["target"] % 1 == 0).all()
    if "sex" in frame:
        assert samples["sex"].isin(frame["sex"].unique()).all()


# ------------------------------------------------------------------------------------------- kinds


@pytest.mark.parametrize(
    "values, told, words",
    [
        (np.exp(np.linspace(-2, 3, 100)), None, "number, above 0"),
        (np.linspace(1, 2, 100), None, "number"),
        (np.linspace(0.001, 0.999, 100), None, "number, 0..1"),
        (np.arange(100) % 2, None, "integer, 0..1"),
        (np.arange(100) ** 2, None, "integer"),
        (np.arange(100.0) * 7, None, "integer"),
        (np.arange(100) * 1_000_003, None, "number"),
        (np.arange(100) % 2, "boolean", "boolean"),
        (np.arange(100) % 3, "category", "category, 3 levels (0, 1, 2)"),
        (np.arange(1.0, 101), "positive", "number, above 0"),
        (np.arange(100) * 7, "number", "number"),
        (["2020-01-01", "2020-03-01"] * 50, "date", "date, in days, from 2020-01-01"),
        (pd.date_range("2020", periods=100, freq="7h"), None, "date, in hours, from 2020-01-01"),
    ],
)
def test_a_kind(values, told, words):
    table = Table(pd.DataFrame({"c": values}), kinds={"c": told} if told else None)
    assert repr(table.columns.columns[0]).startswith(f"'c': {words}")
    # Texts come back as dates.
    expected = table.frame.apply(pd.to_datetime) if told == "date" else table.frame
    pd.testing.assert_frame_equal(table.to_frame(table.x), expected)


def test_no_digits_of_far_numbers_are_lost():
    far = 1e9 + np.linspace(0, 1, 50)
    frame = pd.DataFrame({"far": far, "big": 2**45 + np.arange(50) ** 2})
    table = Table(frame)
    pd.testing.assert_frame_equal(table.to_frame(table.x.astype("float32")), frame, atol=1e-6)
    table.model(tfgen.NSF, **SMALL).adapt(table.x)


def test_integers_that_count_as_numbers_are_rounded():
    column = Column("n", "number", "int8", high=100.0)
    series = column.decode([1.6, -2.4, 1e6, -1e6])
    assert series.dtype == "int8" and series.tolist() == [2, -2, 100, -128]


@pytest.mark.filterwarnings("ignore:constant")
def test_rows_numbers_and_constants():
    numbers = np.arange(30)
    frame = pd.DataFrame({"id": numbers[::-1], "n": numbers**2, "k": 1.5})
    with pytest.warns(UserWarning, match=r"row numbers are left out: \['id'\]"):
        table = Table(frame)
    assert table.event_shape == (1,)
    assert table.to_frame(table.x[:3])["k"].tolist() == [1.5] * 3
    assert Table(frame, index=None).event_shape == (2,)
    assert Table(frame, index="n", drop="k").event_shape == (1,)
    # A told kind says that it is wanted.
    assert Table(frame, kinds={"id": "number"}).event_shape == (2,)


def test_from_csv(tmp_path):
    frame = every_kind(60).drop(columns=["zone", "grade"])
    frame.drop(columns="Unnamed: 0").to_csv(tmp_path / "t.csv")
    with pytest.warns(UserWarning):
        table = Table.from_csv(
            tmp_path / "t.csv",
            read={"parse_dates": ["born", "seen", "left"]},
            missing="indicator",
        )
    samples = table.to_frame(table.x)
    samples.to_csv(tmp_path / "again.csv", index=False)
    again = pd.read_csv(tmp_path / "again.csv", parse_dates=["born", "seen", "left"])
    pd.testing.assert_frame_equal(again, table.frame, rtol=1e-12)
    with pytest.raises(FileNotFoundError):
        Table.from_csv(tmp_path / "none.csv")
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ValueError, match="not a table that pandas reads"):
        Table.from_csv(tmp_path / "empty.csv")


# ------------------------------------------------------------------------------------------ errors


def test_all_bad_columns_are_in_one_message():
    n = 40
    frame = pd.DataFrame(
        {
            "good": np.linspace(0, 1, n) ** 2,
            "gaps": np.where(np.arange(n) % 10 == 3, np.nan, 1.5 * np.arange(n)),
            "infinite": np.where(np.arange(n) == 5, np.inf, 0.5 * np.arange(n)),
            "texts": [f"name {i}" for i in range(n)],
            "lists": [[i] for i in range(n)],
            "spans": pd.to_timedelta(np.arange(n), unit="h"),
            "zero": np.arange(n) / 2,
            "halves": np.arange(n) / 2,
            "mixed": [1, "x"] * (n // 2),
            "vast": 1e200 * np.arange(n) / 2,
            "word": "hello",
        }
    )
    with pytest.raises(ValueError) as error:
        Table(frame, bounds={"zero": (0, None)}, kinds={"halves": "integer", "word": "date"})
    message = str(error.value)
    assert message.startswith("`frame` has 10 columns that cannot be read:")
    for words in (
        "'gaps': missing in 4 rows (3, 13, 23, 33)",
        "'infinite': is infinite in 1 row (5)",
        "'texts': holds 40 different texts in 40 rows",
        "'lists': holds objects",
        "'spans': holds durations",
        "'zero': must hold numbers above 0 (a bound itself has no density); got 0.0 in 1 row (0)",
        "'halves': must hold whole numbers, as `kinds` says; got 0.5",
        "'mixed': holds values of several types, 20 of type int, 20 of type str",
        "'vast': holds numbers beyond 1e+150, whose squares float64 cannot hold, 5e+199 in 39 rows",
        "'word': must hold dates",
    ):
        assert words in message, (words, message)
    assert "'good'" not in message


def test_another_frame_must_fit(table):
    frame = every_kind(30, seed=5)
    frame["age"] = frame["age"].astype(float)
    frame.loc[3, "age"] = 20.5
    frame.loc[[2, 7], "city"] = "Paris"
    frame.loc[4, "height"] = np.nan
    frame.loc[5, "share"] = 1.5
    frame.loc[6, "stars"] = 6
    with pytest.raises(ValueError) as error:
        table.arrays(frame)
    message = str(error.value)
    for words in (
        "'age': must hold whole numbers; got",
        "'city': must hold one of the levels ['Basel', 'Bern', 'Chur']; got 'Paris' in 2 rows",
        "'height': missing in 1 row (4), where the model knows no missing values",
        "'share': must hold numbers above 0 and below 1",
        "'stars': must hold whole numbers in 1..5",
    ):
        assert words in message, (words, message)
    with pytest.raises(ValueError, match="'age': no such column"):
        table.arrays(frame.drop(columns="age"))
    with pytest.raises(ValueError, match="'city': must hold one of the levels"):
        table.conditions({"city": "Paris", "kids": 1, "born": "1990-01-01"})
    with pytest.raises(ValueError, match="`given` has 1 column .*\n  'ctiy': .* mean 'city'"):
        table.conditions({"city": "Bern", "kids": 1, "born": "1990-01-01", "ctiy": 3})
    with pytest.raises(ValueError, match="`given` has 1 column .*\n  'born': no such column"):
        table.conditions({"city": "Bern", "kids": 1})
    y = table.conditions({"city": "Bern", "kids": None, "born": "1990-01-01"})
    assert y.shape == (1, *table.condition_shape)


GOOD = pd.DataFrame({"a": [0.5, 1.5, 3.0], "b": ["u", "v", "u"]})


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: Table([[1.0]]), "`frame` must be a pandas.DataFrame; got a list"),
        (lambda: Table(GOOD[:1]), "`frame` must have two rows and one column"),
        (lambda: Table(GOOD.rename(columns={"a": 1})), r"headers that are texts; got \[1\]"),
        (lambda: Table(GOOD.set_axis(["a", "a"], axis=1)), r"got \['a'\] more than once"),
        (lambda: Table(GOOD, condition="c"), r"`condition` must name columns .*; got \['c'\]"),
        (lambda: Table(GOOD, kinds={"a": "real"}), r"`kinds\['a'\]` must be one of .*'real'"),
        (lambda: Table(GOOD, kinds=["a"]), "`kinds` must be a dict"),
        (lambda: Table(GOOD, bounds={"a": 3}), r"`bounds\['a'\]` must be a pair .*; got 3"),
        (lambda: Table(GOOD, bounds={"a": (3, 1)}), "a lower and a higher number"),
        (lambda: Table(GOOD, bounds={"b": (0, 1)}), "`bounds` are of numbers; .* category"),
        (lambda: Table(GOOD, missing="drop"), "`missing` must be one of .*; got 'drop'"),
        (lambda: Table(GOOD, index="c"), "`index` must name columns"),
        (lambda: Table(GOOD, test_fraction=1.0), r"`test_fraction` must lie in \(0, 1\)"),
        (lambda: Table(GOOD, condition=["a", "b"]), "hold one at least that is to be modelled"),
        (lambda: Table(GOOD).conditions({"b": "u"}), "this table has none"),
        (lambda: Table(GOOD).to_frame(np.zeros((2, 3))), r"`x` must have shape \[n, 2\]"),
        (lambda: Table(GOOD).to_frame(np.zeros((2, 2)), [[1.0]]), "no column of this table"),
        (lambda: tfgen.NSF(3, columns=Table(GOOD).columns), r"that of the columns, \[2\]"),
        (lambda: tfgen.NSF(2, columns=[]), "`columns` must be a Columns"),
        (lambda: Columns([{"name": "a", "kind": "real"}]), "`kind` of the column 'a' must be"),
        (lambda: Columns([{"name": "a", "kind": "category"}]), "`levels` of the column 'a'"),
        (
            lambda: Columns([{"name": "a", "kind": "integer", "probs": [1.0]}]),
            "`probs` of the column 'a' need `low` and `high`",
        ),
        (
            lambda: Columns([{"name": "a", "kind": "boolean", "levels": [0, 1], "probs": [1.0]}]),
            "must be 2 numbers; got 1",
        ),
        (lambda: Table(GOOD).model(tfgen.NSF).log_prob([[0.5, 2.0]]), "column 1, of 'b'; got 2"),
    ],
)
def test_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_batches_of_a_stream_are_checked():
    table = Table(GOOD)
    model = table.model(tfgen.NSF, **SMALL)
    model.compile()
    x = np.tile(table.x, (8, 1)).astype("float32")
    x[20, 1] = 1.5
    data = tf.data.Dataset.from_tensor_slices(x).batch(8)
    # The first ones are looked at as arrays, the others in the pipeline.
    with pytest.raises(ValueError, match=r"column 1, of 'b'; got 1.5 in row 4: .* \(batch 2\)"):
        model.fit(data, verbose=0)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"columns \[1\] \(batch 2\)"):
        list(model.data_spec.stream(data))


def test_without_pandas(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'tfgen\[tables\]'"):
        Table({"a": [1.0, 2.0]})


# ---------------------------------------------------------------------------------------- pictures


def test_pair_plot(tmp_path, table):
    frame = every_kind(80)
    names = ["income", "zone", "seen", "land"]
    tfgen.plots.save_pairs(tmp_path / "pairs.png", frame, every_kind(50, 1), names)
    tfgen.plots.save_pairs(tmp_path / "arrays.png", np.ones((3, 2)), np.zeros((4, 2)))
    assert (tmp_path / "pairs.png").stat().st_size > 20_000
    for message, arguments in {
        "`columns` must be some of those that both have": (frame, frame, ["none"]),
        "at least one row each": (frame, frame[:0]),
        r"must have shape \[n, columns\]": (np.zeros(3), np.zeros(3)),
    }.items():
        with pytest.raises(ValueError, match=message):
            tfgen.plots.save_pairs(tmp_path / "bad.png", *arguments)


def test_a_table_inside_the_package():
    examples = tfgen.data.load("diabetes")
    whole = datasets.load_diabetes(as_frame=True, scaled=False).frame
    rows = [examples.columns.to_frame(*split) for split in examples.splits.values()]
    frame = pd.concat(rows, ignore_index=True)
    assert len(frame) == len(whole) == 442
    assert sorted(frame["progression"]) == sorted(whole["target"].astype(int))
    assert sorted(frame["age"]) == sorted(whole["age"].astype(int))
    assert frame["sex"].value_counts().tolist() == whole["sex"].value_counts().tolist()
    given = tfgen.data.Table.from_csv("diabetes", condition="sex")
    assert given.condition_shape == (2,) and given.event_shape == (10,)
    with pytest.raises(ValueError, match="image_size: diabetes has no images"):
        tfgen.data.load("diabetes", image_size=8)


def test_a_trained_preset_of_a_table(tmp_path):
    model = tfgen.NSF.from_preset("nsf_diabetes")
    frame = model.columns.to_frame(model.sample(200, seed=0))
    examples = tfgen.data.load("diabetes")
    known = examples.columns.to_frame(*examples.train)
    assert frame.dtypes.equals(known.dtypes)
    for name in ("age", "glucose", "progression"):
        gap = abs(frame[name].mean() - known[name].mean())
        assert gap < 4 * known[name].std() * np.sqrt(1 / 200 + 1 / len(known))
    # Two that go together, by a correlation of 0.9.
    assert frame["cholesterol"].corr(frame["low_density"]) > 0.7
    runs.sample("nsf_diabetes", 50, out=tmp_path / "pairs.png")
    assert (tmp_path / "pairs.png").stat().st_size > 20_000
    scores = runs.score("nsf_diabetes", "diabetes")
    assert len(scores["log_prob"]) == 442
