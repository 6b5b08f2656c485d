"""The operations of compiled graphs."""

import tensorflow as tf
from tensorflow.python.framework import op_def_registry


def nodes(function):
    """The nodes of a graph and of all functions that it calls."""
    graph = function.graph.as_graph_def()
    library = {f.signature.name: f.node_def for f in graph.library.function}
    found, queue, seen = [], [*graph.node], set()
    while queue:
        found.append(node := queue.pop())
        called = [f.name for a in node.attr.values() for f in (a.func, *a.list.func) if f.name]
        for name in {*called} - seen:
            seen.add(name)
            queue += library[name]
    return found


def attribute_types(node, name):
    """The types of a node's attribute, one or a list."""
    value = node.attr[name]
    return {value.type} if value.WhichOneof("value") == "type" else {*value.list.type}


def types(node):
    """Names of the types of what a node takes and gives."""
    found, op = set(), op_def_registry.get(node.op)
    for arg in (*op.input_arg, *op.output_arg):
        by = arg.type_attr or arg.type_list_attr
        found |= attribute_types(node, by) if by else {arg.type}
    return {tf.as_dtype(t).name for t in found}
