"""Tests of nmjax.models; a package, so that the oracles beside them can be imported by a relative name."""
