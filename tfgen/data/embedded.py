"""Small real data sets that work without a network."""

import importlib.resources

import numpy as np

from tfgen.data.dataset import Data
from tfgen.data.frames import import_pandas

FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def fashion_mnist_small():
    """2,000 Fashion-MNIST images [28, 28, 1] with labels: 1,800 for training, 200 for test.

    Drawn at random, equally many of each of the ten classes, from the original training and
    test files respectively (Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747; MIT licence,
    Zalando SE: see `files/fashion_mnist_LICENSE`).

    >>> fashion_mnist_small()
    Data('fashion_mnist_small', uint8 [28, 28, 1], 1800 train, 200 test, 10 classes)
    """
    path = importlib.resources.files("tfgen.data") / "files" / "fashion_mnist_small.npz"
    with path.open("rb") as file, np.load(file) as arrays:
        train, test = (
            (arrays[f"x_{split}"], arrays[f"y_{split}"].astype(np.int64))
            for split in ("train", "test")
        )
    return Data(
        name="fashion_mnist_small",
        kind="uint8",
        train=train,
        test=test,
        num_classes=10,
        class_names=FASHION_CLASSES,
        description="2,000 Fashion-MNIST images of clothes, 28x28, grey (MIT, Zalando SE).",
    )


def digits():
    """scikit-learn's 1,797 handwritten digits [8, 8, 1] with labels; the last 297 are the test.

    The grey levels 0..16 are spread over 0..255, so only 17 of the 256 values occur.

    >>> digits().train[0].max()
    np.uint8(255)
    """
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    x = np.rint(x * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
    y = y.astype(np.int64)
    return Data(
        name="digits",
        kind="uint8",
        train=(x[:1500], y[:1500]),
        test=(x[1500:], y[1500:]),
        num_classes=10,
        class_names=tuple("0123456789"),
        description="1,797 handwritten digits, 8x8, 17 grey levels (scikit-learn, UCI).",
    )


def diabetes_frame():
    """442 patients with diabetes: ten measurements at the start, and the progress in a year.

    A pandas frame of whole numbers (`age`, `glucose` ...), positive numbers and a category; from
    Efron et al. 2004, "Least Angle Regression", arXiv:math/0406456, as scikit-learn has it.

    >>> diabetes_frame().shape
    (442, 11)
    """
    # Told here: scikit-learn would say that pandas is missing, and not how to install it.
    import_pandas()
    from sklearn.datasets import load_diabetes

    frame = load_diabetes(as_frame=True, scaled=False).frame
    frame = frame.rename(
        columns={
            "bmi": "body_mass_index",
            "bp": "blood_pressure",
            "s1": "cholesterol",
            "s2": "low_density",
            "s3": "high_density",
            "s4": "cholesterol_ratio",
            "s5": "log_triglycerides",
            "s6": "glucose",
            "target": "progression",
        }
    )
    # The source gives its two values no names.
    return frame.assign(sex=frame["sex"].map({1.0: "1", 2.0: "2"}))


TABLES = {"diabetes": diabetes_frame}
