"""The precision that each matrix product and convolution of a program requests."""

import jax
from jax.extend import core

PRODUCTS = {"dot_general", "conv_general_dilated", "ragged_dot_general"}


def inner_jaxprs(value):
    """The jaxprs inside an equation's parameter."""
    if isinstance(value, core.ClosedJaxpr):
        return [value.jaxpr]
    if isinstance(value, core.Jaxpr):
        return [value]
    return [jaxpr for item in value for jaxpr in inner_jaxprs(item)] if isinstance(value, (tuple, list)) else []


def product_precisions(jaxpr):
    """The precision of every product in a jaxpr and in the jaxprs inside it."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in PRODUCTS:
            yield equation.params["precision"]
        for value in equation.params.values():
            for inner in inner_jaxprs(value):
                yield from product_precisions(inner)


def precisions(function, *arguments):
    return list(product_precisions(jax.make_jaxpr(function)(*arguments).jaxpr))


def is_highest(precision):
    """Whether both operands have the highest precision, in either notation."""
    both = precision if isinstance(precision, tuple) else (precision, precision)
    return all(one == jax.lax.Precision.HIGHEST for one in both)
