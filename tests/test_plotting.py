"""The plotting style: no global state, told apart without colours, and what is drawn is what was given."""

from __future__ import annotations

import pickle

import matplotlib
import numpy as np
import pytest

from annosim import plotting
from annosim.errors import ArgumentError


@pytest.fixture
def axes():
    return plotting.figure()[1][0, 0]


def draw_everything():
    fig, axes = plotting.figure(2, 3, title="all")
    x = np.linspace(0, 1, 20)
    plotting.line(axes[0, 0], x, x, "a", 0, low=x - 0.1, high=x + 0.1)
    plotting.legend(plotting.density(axes[0, 1], x, x * (1 - x), "p*", 1, fill=True))
    plotting.heatmap(axes[0, 2], np.eye(3), ["a", "b", "c"], ["one long name", "e", "f"], "share", annotate=".1f")
    plotting.intervals(axes[1, 0], ["a", "b"], [0, 1], [-1, 0], [1, np.inf], truth=[0, 0.5], zero=0)
    plotting.bars(axes[1, 1], ["a", "b"], [[1, 2], [2, 3]], [[0, 1], [1, 2]], [[2, 3], [3, 4]], ["s", "t"])
    plotting.heatmap(axes[1, 2], np.outer(x, x), extent=(0, 1, 0, 1), bar="P", centre=0.5)
    return fig


def test_nothing_global_changes_and_no_pyplot_is_loaded(tmp_path):
    import subprocess
    import sys

    before = dict(matplotlib.rcParams)
    plotting.save(draw_everything(), tmp_path / "a.png")
    assert dict(matplotlib.rcParams) == before
    code = (
        "import sys; from annosim import plotting; fig, axes = plotting.figure();"
        "plotting.heatmap(axes[0, 0], [[0, 1]]); print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_saved_figures_have_a_fixed_size_and_the_same_bytes(tmp_path):
    from matplotlib.image import imread

    one, two = (plotting.save(draw_everything(), tmp_path / name).read_bytes() for name in ("a.png", "b.png"))
    assert one == two and sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "b.png"]
    assert imread(tmp_path / "a.png").shape[:2] == (7.2 * plotting.DPI, 13.8 * plotting.DPI)


def test_only_png_is_written(tmp_path):
    with pytest.raises(ArgumentError, match=r"a\.pdf does not end in \.png"):
        plotting.save(plotting.figure()[0], tmp_path / "a.pdf")


def test_neighbouring_lines_differ_in_more_than_colour(axes):
    for i in range(4):
        plotting.line(axes, [0, 1], [0, i], str(i), i, markers=True)
    looks = {(line.get_linestyle(), line.get_marker()) for line in axes.lines}
    assert len(looks) == 4 and len({line.get_color() for line in axes.lines}) == 4


def test_the_band_lies_where_it_was_put(axes):
    plotting.line(axes, [0, 1], [1, 2], low=[0, 1], high=[2, 3])
    path = axes.collections[0].get_paths()[0].vertices
    assert path[:, 1].min() == 0 and path[:, 1].max() == 3


def test_a_centred_scale_puts_the_centre_in_the_middle(axes):
    plotting.heatmap(axes, [[0.4, 0.9]], centre=0.5)
    low, high = axes.images[0].get_clim()
    assert (low, high) == pytest.approx((0.1, 0.9))


def test_missing_cells_are_blank_and_carry_no_number(axes):
    plotting.heatmap(axes, [[np.nan, 2.0]], annotate=".0f")
    assert [t.get_text() for t in axes.texts] == ["2"] and axes.images[0].get_array().mask.tolist() == [[True, False]]
    plotting.heatmap(axes, [[np.nan]])


def test_a_continuous_map_has_its_first_row_at_the_bottom(axes):
    plotting.heatmap(axes, [[0.0, 1.0], [2.0, 3.0]], extent=(0, 1, 0, 1))
    assert axes.images[0].origin == "lower"


def test_a_forest_plot_reads_from_the_top_and_draws_its_intervals(axes):
    plotting.intervals(axes, ["first", "second"], [1, 2], [0, 1.5], [3, np.inf])
    (segments,) = [c.get_segments() for c in axes.collections]
    assert axes.yaxis_inverted()
    assert segments[0][:, 0].tolist() == [0, 3] and segments[1][:, 0].tolist() == [1.5, 2]


def test_bars_stand_in_groups_with_their_heights(axes):
    plotting.bars(axes, ["a", "b"], [[1, 2], [3, 4]], series=["s", "t"])
    assert [p.get_height() for p in axes.patches] == [1, 2, 3, 4]
    edges = sorted((p.get_x(), p.get_x() + p.get_width()) for p in axes.patches)
    assert all(a[1] <= b[0] + 1e-12 for a, b in zip(edges, edges[1:], strict=False))
    with pytest.raises(ArgumentError, match="for 1 series and 3 names"):
        plotting.bars(axes, ["a", "b", "c"], [1, 2])


def test_a_figure_shows_itself_in_a_notebook_without_any_magic():
    formatter = pytest.importorskip("IPython.core.formatters", reason="pip install ipykernel").DisplayFormatter()
    shown, _ = formatter.format(draw_everything())
    assert shown["image/png"].startswith(b"\x89PNG")


def test_a_figure_can_be_pickled(tmp_path):
    fig = draw_everything()
    again = pickle.loads(pickle.dumps(fig))
    assert plotting.save(again, tmp_path / "b.png").read_bytes() == plotting.save(fig, tmp_path / "a.png").read_bytes()
