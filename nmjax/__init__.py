"""nmjax: neural audio mastering in JAX and Flax, with settings that a person can read."""

__version__ = "0.1.0"
