"""Compiled loops."""

from annosim.compiled import kernel_cache

kernel_cache.install()  # before any kernel is declared
