"""Two CPU devices for the replica tests, one seed for each test, the registries as fixtures.

`make test` leaves the tests marked `slow` out: they look at more cases of what quicker tests
check, or at the same for longer. `make test-all` runs all, and so does plain `pytest`. The first
also leaves out TensorFlow's optimizer of graphs, which takes longer for each graph than a small
model runs; processes of their own have it, and `make test-all`.
"""

import itertools

import keras
import pytest
import tensorflow as tf
import zoo

import tfgen

# Before anything runs: devices cannot be divided later. Ops go to the first one unless told.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


# Of `make test`.
BRIEF = "not slow"


def pytest_configure(config):
    """Graphs stay as they are traced, where the slow tests are left out."""
    if config.getoption("markexpr") == BRIEF:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Run in several processes, the tests of one entry share one, and what is costly to make."""
    entries = {**zoo.MODELS, **zoo.OTHER_BASES, **zoo.BIJECTORS}
    for item in items:
        given = item.callspec.params.values() if hasattr(item, "callspec") else ()
        named = [v for v in given if isinstance(v, str) and v in entries]
        if (zoo.VARIANTS | zoo.BESIDE | zoo.SLOW_BIJECTORS) & set(named):
            item.add_marker(pytest.mark.slow)
        named = named or [v for v in constants(item) if v in entries] or [item.path.stem]
        item.add_marker(pytest.mark.xdist_group(named[0]))


def constants(item):
    """The texts in a test's code, which may name an entry; none where tests of a module share what
    a fixture makes."""
    if not isinstance(item, pytest.Function):
        return []
    fixtures = itertools.chain.from_iterable(item._fixtureinfo.name2fixturedefs.values())
    if any(fixture.scope == "module" for fixture in fixtures):
        return []
    return [value for value in item.function.__code__.co_consts if isinstance(value, str)]


@pytest.fixture(autouse=True)
def seed():
    keras.utils.set_random_seed(0)


@pytest.fixture(params=zoo.MODELS)
def case(request):
    """A built, adapted, briefly trained and then perturbed model, shared by all tests."""
    yield from zoo.shared(request.param)


@pytest.fixture(params=zoo.FLOWS)
def flow_case(request):
    """A case like `case`, of the flows."""
    yield from zoo.shared(request.param)


@pytest.fixture(params=zoo.LATENT_VARIABLE_MODELS)
def latent_case(request):
    """A case like `case`, of the latent-variable models."""
    yield from zoo.shared(request.param)


COSTLY = {name for name, entry in zoo.MODELS.items() if entry.costly}
# A loop of blocks, one of values in turn, and a critic: XLA takes long to compile each.
XLA = {"glow_classes", "maf", "cq"}


@pytest.fixture(params=zoo.but_slow(zoo.CORE))
def core_case(request):
    """A case like `case`, of the few models that checks of the core run on."""
    yield from zoo.shared(request.param)


# A loop, sweeps, a Jacobian and a critic.
@pytest.fixture(params=zoo.but_slow({"glow_classes", "maf", "injective_flow", "cq"}, COSTLY))
def costly_case(request):
    """A case like `case`, of the few models that the checks which take longest run on."""
    yield from zoo.shared(request.param)


@pytest.fixture(params=zoo.but_slow(XLA, COSTLY))
def xla_case(request):
    """A case like `case`, of the models that XLA compiles."""
    yield from zoo.shared(request.param)


# Modules whose tests take a few steps and ask nothing of graphs.
EAGER = {"test_callbacks", "test_elements", "test_faults", "test_injective", "test_presets"}


@pytest.fixture(autouse=True)
def brief_training(request):
    """Examples of docstrings, and some modules, train without graphs where the slow tests are left
    out."""
    is_brief = request.config.getoption("markexpr") == BRIEF
    if is_brief and (
        isinstance(request.node, pytest.DoctestItem) or request.node.path.stem in EAGER
    ):
        request.getfixturevalue("eager_training")


@pytest.fixture
def eager_training(monkeypatch):
    """Models train without graphs unless they are told to: for tests of a few steps, which are over
    before a graph of one would be made."""
    monkeypatch.setitem(tfgen.GenerativeModel.compile.__kwdefaults__, "run_eagerly", True)


@pytest.fixture(scope="session")
def strategy():
    """Two replicas."""
    # One for all: TensorFlow's collectives on CPUs remember the shapes of an earlier strategy.
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
