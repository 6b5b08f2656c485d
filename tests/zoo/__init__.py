"""The registry of the contract suite: a line in `MODELS` or `BIJECTORS` gets all its checks."""

from .adversarial_models import ADVERSARIAL
from .adversarial_models import adversarial
from .autoregressive_models import pixelrnn
from .bijector_cases import BijectorCase
from .bijector_cases import bijector_case
from .bijector_entries import ABSTRACT
from .bijector_entries import BIJECTORS
from .bijector_entries import IMAGE
from .bijector_entries import MASKED
from .bijector_entries import SLOW_BIJECTORS
from .bijector_entries import TRANSFORMS
from .bijector_entries import autoregressive
from .bijector_entries import chain
from .bijector_entries import coupling
from .flow_models import FLOWS
from .flow_models import OTHER_BASES
from .flow_models import glow
from .helpers import CountedMLP
from .helpers import eager_outputs
from .helpers import eager_samples
from .helpers import perturb
from .helpers import unrolled
from .latent_models import AUTOENCODERS
from .latent_models import LATENT_VARIABLE_MODELS
from .latent_models import af_prior
from .latent_models import autoencoder
from .latent_models import iaf_posterior
from .latent_models import local_pixelcnn
from .latent_models import pixel_flow
from .latent_models import vae
from .models import BATCH_SIZE
from .models import BESIDE
from .models import CORE
from .models import EPOCHS
from .models import KINDS
from .models import MODELS
from .models import NUM_ROWS
from .models import VARIANTS
from .models import but_slow
from .models import case
from .models import make_data
from .models import shared
from .models import slow
from .models import untrained

__all__ = [
    "ABSTRACT",
    "ADVERSARIAL",
    "AUTOENCODERS",
    "BATCH_SIZE",
    "BESIDE",
    "BIJECTORS",
    "BijectorCase",
    "CORE",
    "CountedMLP",
    "EPOCHS",
    "FLOWS",
    "IMAGE",
    "KINDS",
    "LATENT_VARIABLE_MODELS",
    "MASKED",
    "MODELS",
    "NUM_ROWS",
    "OTHER_BASES",
    "SLOW_BIJECTORS",
    "TRANSFORMS",
    "VARIANTS",
    "adversarial",
    "af_prior",
    "autoencoder",
    "autoregressive",
    "bijector_case",
    "but_slow",
    "case",
    "chain",
    "coupling",
    "eager_outputs",
    "eager_samples",
    "glow",
    "iaf_posterior",
    "local_pixelcnn",
    "make_data",
    "perturb",
    "pixel_flow",
    "pixelrnn",
    "shared",
    "slow",
    "unrolled",
    "untrained",
    "vae",
]
