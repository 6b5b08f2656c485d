"""Two CPU devices for the replica tests, one seed for each test, the registries as fixtures."""

import keras
import pytest
import tensorflow as tf
import zoo

# Before anything runs: devices cannot be divided later. Ops go to the first one unless told.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


@pytest.fixture(autouse=True)
def seed():
    keras.utils.set_random_seed(0)


@pytest.fixture(params=zoo.MODELS)
def case(request):
    """A built, adapted, briefly trained and then perturbed model, shared by all tests."""
    case = zoo.case(request.param)
    yield case
    assert case.untouched(), "a test changed the weights of a shared model"


@pytest.fixture(params=[name for name, entry in zoo.MODELS.items() if entry.costly])
def costly_case(request):
    """The same, of the few models that the checks that take longest run on."""
    case = zoo.case(request.param)
    yield case
    assert case.untouched(), "a test changed the weights of a shared model"
