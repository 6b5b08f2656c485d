"""Inputs of served functions as clients have them: labels by name, files of images."""

import tensorflow as tf

# Of a file's image, lest a small file take all memory: 5792 x 5792.
MAX_PIXELS = 2**25
# Pillow's, of images of 8 bits: binary digits of a weight after the point.
_PRECISION = 22
# EXIF with the tag of an orientation that is not upright, in the one order of bytes or the other.
_TURNED = (
    rb"(?s)\C*(?:Exif\x00\x00|eXIf)"
    rb"(?:II\C*\x12\x01\x03\x00\x01\x00\x00\x00[\x02-\x08]"
    rb"|MM\C*\x01\x12\x00\x03\x00\x00\x00\x01\x00[\x02-\x08])\C*"
)


def label_numbers(labels, class_names, name):
    """Numbers of labels that are texts, in a graph.

    Args:
        labels: string tensor `[n]`: names, in which capitals count only between those
            that differ in nothing else, or numbers in digits.
        class_names: list of str, the names by number.
        name: name of the input, for errors.

    Returns:
        int32 tensor `[n]`.

    Raises:
        tf.errors.InvalidArgumentError: a text that is none; the error holds the first such.

    >>> label_numbers(tf.constant(["sneaker", "0"]), ["Boot", "Sneaker"], "condition").numpy()
    array([1, 0], dtype=int32)
    """
    names = [str(each) for each in class_names]
    exact = labels[:, None] == tf.constant(names)
    folded = tf.strings.lower(labels, encoding="utf-8")[:, None] == [n.lower() for n in names]
    # Of names that differ in capitals only, the one that was given; as `data.rows.label_number`.
    found = tf.where(tf.reduce_any(exact, 1, keepdims=True), exact, folded)
    is_name = tf.reduce_sum(tf.cast(found, tf.int32), 1) == 1
    digits = tf.strings.regex_full_match(labels, "[0-9]{1,9}")
    number = tf.strings.to_number(tf.where(digits, labels, "0"), tf.int32)
    is_number = digits & (number < len(class_names)) & ~tf.reduce_any(found, 1)
    unknown = tf.boolean_mask(labels, ~(is_name | is_number))
    listed = ", ".join(names)
    listed = listed if len(listed) < 1000 else f"{listed[:1000]}..."
    expected = f"`{name}` must be one of {listed}, or a number from 0 to {len(class_names) - 1}"
    with _required(tf.size(unknown) == 0, f"{expected}; got", unknown[:1]):
        return tf.where(is_name, tf.argmax(found, 1, tf.int32), number)


def takes_images(model):
    """True if files of images become a model's examples as `tfgen score` makes them."""
    shape = model.event_shape
    return model.data_kind == "uint8" and len(shape) == 3 and shape[-1] in (1, 3)


def decoded_images(files, event_shape):
    """Examples of encoded images, in a graph, as `tfgen.data.rows.load_rows` makes them.

    Of an image the largest centred rectangle of the examples' shape is resized by Pillow's bicubic
    filter, here in the same whole numbers; coloured images become grey as Pillow makes them where
    examples are.

    Args:
        files: string tensor `[n]`: contents of PNG or JPEG files.
        event_shape: `(height, width, channels)`, of 1 or 3 channels.

    Returns:
        uint8 tensor `[n, height, width, channels]`.

    Raises:
        tf.errors.InvalidArgumentError: a file of another format, damaged, of 16 bits a channel, of
            four inks, of more than 2^25 pixels, or a photograph that is to be turned first.

    >>> image = tf.io.encode_png(tf.fill([40, 30, 3], tf.constant(200, tf.uint8)))
    >>> decoded_images(image[None], (2, 2, 1))[0, :, :, 0].numpy().tolist()
    [[200, 200], [200, 200]]
    """
    shape = tuple(event_shape)

    def decode(file):
        image = _crop_and_resize(_decoded(file, shape[-1]), shape[:2])
        return tf.ensure_shape(image, shape)

    return tf.map_fn(decode, files, fn_output_signature=tf.TensorSpec(shape, tf.uint8))


def _required(condition, message, value):
    """Context manager of what is computed if a condition holds; else an error is raised."""
    return tf.control_dependencies([tf.debugging.Assert(condition, [message, value], summarize=5)])


def _decoded(file, channels):
    """uint8 tensor `[height, width, channels]` of one file."""
    is_png = tf.strings.substr(file, 0, 8) == b"\x89PNG\r\n\x1a\n"
    is_jpeg = tf.strings.substr(file, 0, 3) == b"\xff\xd8\xff"
    known, length = is_png | is_jpeg, tf.strings.length(file)
    with _required(known, "`image` must be a PNG or JPEG file; got other bytes, so many:", length):
        size = tf.cond(is_png, lambda: _png_size(file), lambda: _jpeg_size(file))
    turned = tf.strings.regex_full_match(file, _TURNED)
    few = tf.reduce_prod(size) <= MAX_PIXELS
    with (
        _required(few, "`image` must have 2^25 pixels at most; got", size),
        _required(~turned, "`image` must be stored upright; got an orientation in its", "EXIF"),
    ):
        # It decodes PNG files, too; the accurate transform is Pillow's.
        image = tf.io.decode_jpeg(file, channels=3, dct_method="INTEGER_ACCURATE")
    if channels == 3:
        return image
    parts = tf.cast(image, tf.int32) * [19595, 38470, 7471]
    return tf.cast((tf.reduce_sum(parts, -1, keepdims=True) + 2**15) // 2**16, tf.uint8)


def _png_size(file):
    head = tf.strings.substr(file, 16, 9) + bytes(9)
    head = tf.cast(tf.io.decode_raw(head, tf.uint8), tf.int64)
    with _required(head[8] <= 8, "`image` must have at most 8 bits per channel; got", head[8]):
        sides = tf.reshape(head[:8], [2, 4]) * [2**24, 2**16, 2**8, 1]
        # Of sides of 2^31 the product is no number of 64 bits.
        return tf.minimum(tf.reduce_sum(sides, 1), 2**30)


def _jpeg_size(file):
    shape = tf.io.extract_jpeg_shape(file, tf.int64)
    inks = shape[2]
    with _required(inks != 4, "`image` must be grey or of three colours; got channels:", inks):
        return shape[:2]


# --- Pillow's resizing ---------------------------------------------------------------


def _crop_and_resize(image, size):
    """`tfgen.data.images.crop_and_resize` of a uint8 tensor `[h, w, c]`, to the last digit."""
    old = tf.cast(tf.shape(image)[:2], tf.float64)
    new = tf.constant(size, tf.float64)
    crop = tf.minimum(new * tf.reduce_min(old / new), old)
    low = (old - crop) / 2
    # Pillow keeps the box in float32.
    box = tf.cast(tf.stack([low, low + crop]), tf.float32)
    for axis in (1, 0):
        weights = _weights(tf.shape(image)[axis], box[0, axis], box[1, axis], size[axis])
        image = _resized(image, weights, axis)
    return image


def _resized(image, weights, axis):
    # By channel: products of whole numbers are exact in float64, which takes eight times the room.
    planes = tf.transpose(image, [2, 1, 0] if axis else [2, 0, 1])

    def resize(plane):
        total = tf.matmul(weights, tf.cast(plane, tf.float64))
        rounded = tf.floor((total + 2.0 ** (_PRECISION - 1)) / 2.0**_PRECISION)
        return tf.cast(tf.clip_by_value(rounded, 0, 255), tf.uint8)

    planes = tf.map_fn(resize, planes)
    return tf.transpose(planes, [2, 1, 0] if axis else [1, 2, 0])


def _weights(old, low, high, new):
    """Weights `[new, old]` of a side's pixels, whole numbers times 2^-22, as float64."""
    scale = tf.cast(high - low, tf.float64) / new
    # When it shrinks an image, the filter is as much wider.
    width = tf.maximum(scale, 1)
    support = 2 * width
    centre = tf.cast(low, tf.float64) + (tf.range(new, dtype=tf.float64) + 0.5) * scale
    first = tf.maximum(tf.floor(centre - support + 0.5), 0)
    end = tf.minimum(tf.floor(centre + support + 0.5), tf.cast(old, tf.float64))
    at = tf.range(tf.cast(old, tf.float64), dtype=tf.float64)
    inside = (at >= first[:, None]) & (at < end[:, None])
    weights = tf.where(inside, _bicubic((at - centre[:, None] + 0.5) / width), 0)
    weights = weights / tf.reduce_sum(weights, 1, keepdims=True) * 2**_PRECISION
    return tf.sign(weights) * tf.floor(tf.abs(weights) + 0.5)


def _bicubic(x):
    x = tf.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * -0.5
    return tf.where(x < 1, near, tf.where(x < 2, far, 0))
