"""Bodies of requests: JSON in which arrays of numbers are read at once."""

import json
import math
import re

import numpy as np
import orjson

# The characters of nested lists of numbers, and those of them that are no structure.
_ARRAY = re.compile(rb"[\[\]0-9eE+\-., \t\r\n]*")
_OF_NUMBERS = b"0123456789eE+-. \t\r\n"
_NO_BRACKETS = bytes.maketrans(b"[]", b"  ")
_DEEPEST = 8
# Arguments that hold many numbers.
_NAMES = ("x", "z", "inputs", "instances")
# Fewer bytes are read quickly enough as they are.
_LEAST = 500


def parsed(body):
    """The object that a body holds.

    The nested list of an argument that holds many numbers becomes an array on the way: reading it
    as one flat list takes a fifth of the time where its innermost lists are short, as images' are.

    Args:
        body: bytes.

    Returns:
        dict.

    Raises:
        ValueError: it is no object of JSON.

    >>> parsed(b'{"x": [[1, 2], [3, 4]], "seed": 0}')
    {'x': [[1, 2], [3, 4]], 'seed': 0}
    >>> long = b'{"x": [' + b"[1, 2], " * 100 + b"[3, 4]]}"
    >>> parsed(long)["x"].shape
    (101, 2)
    """
    try:
        content = _with_array(body) if len(body) >= _LEAST else None
        if content is None:
            content = _loaded(body)
    except RecursionError:
        raise ValueError("the body must be JSON; it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"the body must be JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"the body must be an object of JSON; got a {type(content).__name__}")
    return content


def _loaded(body):
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if b"NaN" not in body and b"Infinity" not in body and "infinity" not in str(error):
            raise
        # Python's own takes them, so the error can name the argument; and SavedModels of others
        # may take NaN.
        return json.loads(body)


def _with_array(body):
    """The content with an array in it; None where the body is to be read as it is: there is no such
    list, it is no regular one, or something is wrong, of which the other way tells."""
    for name in _NAMES:
        key = b'"%s"' % name.encode()
        if body.count(key) != 1:
            continue
        found = re.compile(re.escape(key) + rb"\s*:\s*(?=\[)").search(body)
        if not found:
            return None
        start = found.end()
        end = body.rfind(b"]", start, _ARRAY.match(body, start).end()) + 1
        array = _array(body[start:end])
        if array is None:
            return None
        try:
            content = orjson.loads(body[:start] + b"null" + body[end:])
        except orjson.JSONDecodeError:
            return None
        # Elsewhere than at these two places it would be another's.
        for holder in (content, content.get("inputs")) if isinstance(content, dict) else ():
            if isinstance(holder, dict) and holder.get(name, 0) is None:
                holder[name] = array
                return content
        return None
    return None


def _array(text):
    """The array of nested lists of numbers; None where they are none, or not regular."""
    shape = _shape(text.translate(None, _OF_NUMBERS))
    if shape is None:
        return None
    try:
        # Spaces in the place of brackets keep numbers apart, so what is no JSON stays none.
        numbers = orjson.loads(b"[%s]" % text.translate(_NO_BRACKETS))
    except orjson.JSONDecodeError:
        return None
    return np.asarray(numbers).reshape(shape) if len(numbers) == math.prod(shape) else None


def _shape(structure):
    """The shape of lists of which there are the brackets and commas: `[[,],[,]]` is `(2, 2)`."""
    depth = len(structure) - len(structure.lstrip(b"["))
    inner = structure[depth : structure.find(b"]")]
    if not 0 < depth <= _DEEPEST or inner.strip(b","):
        return None
    item, shape = b"[%s]" % inner, [len(inner) + 1]
    for at in range(depth - 1, 0, -1):
        shape.insert(0, _count(structure, item, at))
        item = b"[%s]" % b",".join([item] * shape[0])
        if len(item) > len(structure):
            return None
    return tuple(shape) if structure == item else None


def _count(structure, item, at):
    """Number of equal items one after the other from a place on."""
    count = 0
    while structure.startswith(item, at):
        count, at = count + 1, at + len(item)
        if structure[at : at + 1] != b",":
            break
        at += 1
    return count
