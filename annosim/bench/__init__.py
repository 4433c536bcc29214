"""Benchmarks: paired runs, medians, ratios and their spread. ``annosim bench NAME`` runs ``annosim/bench/NAME.py``.

A benchmark is a module with ``benchmarks(options) -> list[Benchmark]``; see :mod:`annosim.bench.measure`.
"""
