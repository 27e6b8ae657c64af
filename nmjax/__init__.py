"""nmjax: neural audio mastering in JAX and Flax, with readable settings."""

__version__ = "0.1.0"
__all__ = ["Finding", "Result", "inspect", "load", "master"]


def __getattr__(name: str):
    """Import `nmjax.api` on first use: JAX takes a second."""
    if name not in __all__:
        raise AttributeError(f"module 'nmjax' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module("nmjax.api"), name)
