"""The small world in which networks are trained."""

import pytest

import annosim as an


@pytest.fixture(scope="module")
def world():
    """Items on a line, one person, a design of pairs."""
    items = an.Items.grid(-3.0, 3.0, 31)
    truth = an.Annotator(an.Linear([1.0]), an.Luce())
    return items, truth, an.Design(items, annotators=600)
