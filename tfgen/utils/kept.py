"""Methods that stay where another class assigns attributes of their names."""

import types


class Kept:
    """Method of a class below one that assigns None to an attribute of the same name.

    Args:
        function: the method.
    """

    def __init__(self, function):
        self.function = function
        self.__doc__ = function.__doc__

    def __get__(self, made, owner=None):
        return self.function if made is None else types.MethodType(self.function, made)

    def __set__(self, made, value):
        if value is not None:
            raise AttributeError(f"{type(made).__name__} has a method of this name; got {value!r}")
