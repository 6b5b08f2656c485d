"""Public checks of parts and models that users write: `check_bijector`, `check_observation`,
`check_model`.

Each raises a `CheckError` whose message names the method that is off, what was expected and what
came. The package's own parts and models pass the same checks.
"""

from tfgen.testing.bijectors import check_bijector
from tfgen.testing.errors import CheckError
from tfgen.testing.models import check_model
from tfgen.testing.observations import check_observation

__all__ = ["CheckError", "check_bijector", "check_model", "check_observation"]


def __dir__():
    return sorted(__all__)
