"""The study room: a paper's claims as code, run once, kept, judged, and reported on one page.

A study is a file (or folder) under ``./studies`` that imports only the public API and sets ``STUDY``::

    from annosim.study import CONTROL, Cell, Preset, Statement, Study, at_most
    from annosim import plotting

    def error(n, seed):                      # a cell: named arguments in, a dict out
        draws = np.random.default_rng(seed).normal(size=n)
        return {"error": abs(draws.mean())}

    def cells(sizes, replicates):            # the settings of a preset, by name
        return [Cell(error, {"n": n}, replicates=replicates) for n in sizes]

    def claims(sizes):                       # a judge is called when all cells are done
        yield Statement("mean", "the mean is found", "law of large numbers",
                        lambda found: at_most(found.estimate("error", "error", n=max(sizes)), 0.1),
                        whose=CONTROL, figure="errors")   # or paper_says("abstract"), STUDY_ADDS, BASELINE

    def errors(found):
        \"\"\"Error of the mean against the sample size.\"\"\"
        fig, axes = plotting.figure()
        ...
        return fig

    STUDY = Study(name="mean", title="The mean of a sample", paper="Bernoulli 1713",
                  presets={"quick": Preset(0.1, {"sizes": [100, 1000], "replicates": 20})},
                  cells=cells, claims=claims, figures=[errors])
"""

from __future__ import annotations

from annosim.namespaces import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
