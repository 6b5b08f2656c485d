"""Losses of the two players of adversarial training."""

import tensorflow as tf

LOSSES = ("log_ratio", "non_saturating", "wasserstein")


def check_loss(loss):
    """Returns the name of a loss if it is one of `LOSSES`; else raises a ValueError."""
    if loss not in LOSSES:
        raise ValueError(f"`loss` must be one of {list(LOSSES)}; got {loss!r}")
    return loss


def critic_loss(real_scores, fake_scores, loss="log_ratio"):
    """Computes the loss of the critic on as many examples as samples.

    - `"log_ratio"` and `"non_saturating"`: binary cross-entropy (Goodfellow et al. 2014, eq. 1;
      Lucas et al. 2019, eq. 1), with `D = sigmoid(score)`: `-ln D(real) - ln(1 - D(fake))`.
    - `"wasserstein"`: `fake - real` (Arjovsky et al. 2017, eq. 2).

    Args:
        real_scores: scores that the critic gives to examples, `[batch]`.
        fake_scores: scores that the critic gives to samples, `[batch]`.
        loss: `"log_ratio"`, `"non_saturating"` or `"wasserstein"`.

    Returns:
        The loss of each pair, `[batch]`; in nats for the cross-entropy.

    Raises:
        ValueError: `loss` is another name.

    References:
        Goodfellow et al., Generative Adversarial Networks, 2014, arXiv:1406.2661.
        Arjovsky et al., Wasserstein GAN, 2017, arXiv:1701.07875.
        Lucas et al., Adaptive Density Estimation for Generative Models, 2019, arXiv:1901.01091.

    >>> import tensorflow as tf, tfgen
    >>> round(float(tfgen.objectives.critic_loss(tf.zeros([1]), tf.zeros([1]))[0]), 4)
    1.3863
    """
    real_scores, fake_scores = map(tf.convert_to_tensor, (real_scores, fake_scores))
    if check_loss(loss) == "wasserstein":
        return fake_scores - real_scores
    return tf.nn.softplus(-real_scores) + tf.nn.softplus(fake_scores)


def generator_loss(fake_scores, loss="log_ratio"):
    """Computes the loss of the generator from the critic's scores of its samples.

    With `D = sigmoid(score)` it is

    - `"log_ratio"`: `-ln(D / (1 - D))`, which is `-score`; in the mean, and for the best critic,
      the divergence `KL(p_model | p_data)` (Lucas et al. 2019, eq. 2).
    - `"non_saturating"`: `-ln D` (Goodfellow et al. 2014, section 3).
    - `"wasserstein"`: `-score` (Arjovsky et al. 2017, theorem 3), as for `"log_ratio"`; the
      critics differ.

    Args:
        fake_scores: scores that the critic gives to samples, `[batch]`.
        loss: `"log_ratio"`, `"non_saturating"` or `"wasserstein"`.

    Returns:
        The loss of each sample, `[batch]`; in nats but for `"wasserstein"`.

    Raises:
        ValueError: `loss` is another name.

    References:
        Goodfellow et al., Generative Adversarial Networks, 2014, arXiv:1406.2661.
        Arjovsky et al., Wasserstein GAN, 2017, arXiv:1701.07875.
        Lucas et al., Adaptive Density Estimation for Generative Models, 2019, arXiv:1901.01091.

    >>> import tensorflow as tf, tfgen
    >>> float(tfgen.objectives.generator_loss(tf.constant([2.0]))[0])
    -2.0
    """
    fake_scores = tf.convert_to_tensor(fake_scores)
    non_saturating = check_loss(loss) == "non_saturating"
    return tf.nn.softplus(-fake_scores) if non_saturating else -fake_scores


def gradient_penalty(score, real, fake, weights):
    """Computes the gradient penalty `(|grad score| - 1)^2` between examples and samples.

    It is taken at one point on the line between each example and its sample (Gulrajani et al.
    2017, eq. 3), and draws the critic towards functions with slope 1.

    Args:
        score: the critic, a function from `[batch, *event_shape]` to `[batch]`.
        real: examples, `[batch, *event_shape]`.
        fake: samples, `[batch, *event_shape]`.
        weights: weight of the example in each point, in [0, 1], `[batch]`; the sample has the
            rest.

    Returns:
        The penalty of each pair, without its weight, `[batch]`.

    References:
        Gulrajani et al., Improved Training of Wasserstein GANs, 2017, arXiv:1704.00028.

    >>> import tensorflow as tf, tfgen
    >>> x = tf.zeros([1, 2])
    >>> slope = lambda x: 3.0 * x[:, 0]
    >>> float(tfgen.objectives.gradient_penalty(slope, x, x + 1.0, tf.constant([0.5]))[0])
    4.0
    """
    real, fake = tf.convert_to_tensor(real), tf.convert_to_tensor(fake)
    weights = tf.reshape(weights, [-1] + [1] * (real.shape.rank - 1))
    between = weights * real + (1 - weights) * fake
    with tf.GradientTape() as tape:
        tape.watch(between)
        total = tf.reduce_sum(score(between))
    gradient = tape.gradient(total, between, unconnected_gradients="zero")
    squared = tf.reduce_sum(gradient**2, list(range(1, gradient.shape.rank)))
    # The root's gradient at 0 is not finite.
    return (tf.sqrt(tf.maximum(squared, 1e-12)) - 1) ** 2
