"""Files are written whole or not at all, through links, and never in place of something else."""

import errno
import os
import stat

import pytest

import annosim as an
from annosim import plotting
from annosim.errors import AnnosimError
from annosim.learning.training.checkpoints import check_writable
from annosim.reporting import write_page

ITEMS = an.Items(n=2)
DATA = an.PreferenceData(ITEMS, [[0, 1]] * 4, answer=[0, 1, 0, 0])


def a_fit():
    return an.fit(an.Annotator(an.Tabular(2), an.rules.Luce()), DATA)


def a_figure(path):
    fig, _ = plotting.figure()
    plotting.save(fig, path)


def shards(path):
    with an.io.ShardWriter(path) as out:
        out.write(DATA)


WRITERS = {
    "fit": ("fit.pt", lambda path: a_fit().save(path)),
    "csv": ("data.csv", lambda path: DATA.to_csv(path)),
    "gz": ("data.csv.gz", lambda path: DATA.to_csv(path)),
    "parquet": ("data.parquet", lambda path: DATA.to_parquet(path)),
    "figure": ("figure.png", a_figure),
    "page": ("page.html", lambda path: write_page(path, "page", [a_fit()])),
}


@pytest.fixture(params=WRITERS)
def writer(request):
    return WRITERS[request.param]


def test_a_link_is_written_through(writer, tmp_path):
    name, write = writer
    (tmp_path / "far").mkdir()
    real, link = tmp_path / "far" / f"real-{name}", tmp_path / name
    real.write_text("before")
    link.symlink_to(real)
    write(link)
    assert link.is_symlink() and real.read_bytes() != b"before" and not real.is_symlink()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["far", name])
    assert not [p for p in real.parent.iterdir() if p.suffix == ".tmp"]


def test_a_link_to_a_file_that_is_not_there_yet_makes_it(writer, tmp_path):
    name, write = writer
    link = tmp_path / name
    link.symlink_to(tmp_path / "real")
    write(link)
    assert link.is_symlink() and (tmp_path / "real").is_file()


@pytest.mark.parametrize("what", ["device", "pipe", "directory", "circle"])
def test_what_is_no_regular_file_is_refused_and_stays(writer, what, tmp_path):
    name, write = writer
    path = tmp_path / name
    if what == "device":
        path.symlink_to("/dev/null")
    elif what == "pipe":
        os.mkfifo(path)
    elif what == "directory":
        path.mkdir()
    else:
        path.symlink_to(path)
    before = os.lstat(path).st_mode
    with pytest.raises(AnnosimError) as refused:
        write(path)
    assert "\n" not in str(refused.value) and name in str(refused.value)
    assert os.lstat(path).st_mode == before and stat.S_ISCHR(os.stat("/dev/null").st_mode)
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_the_device_itself_is_refused_before_a_long_run():
    with pytest.raises(AnnosimError, match="/dev/null.*no regular file"):
        check_writable("/dev/null")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode) and not os.path.exists("/dev/null.try")


def test_an_existing_file_keeps_its_permissions_and_a_new_one_follows_the_mask(tmp_path):
    path, new = tmp_path / "data.csv", tmp_path / "new.csv"
    path.write_text("before")
    path.chmod(0o640)
    before = os.umask(0o027)
    try:
        DATA.to_csv(path)
        DATA.to_csv(new)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640 == stat.S_IMODE(new.stat().st_mode)


def test_a_full_disk_is_one_line_and_leaves_what_was_there(writer, tmp_path, longest_file):
    name, write = writer
    path = tmp_path / name
    path.write_bytes(b"before")
    with longest_file(16), pytest.raises(AnnosimError, match="cannot be written.*make room") as refused:
        write(path)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 300
    assert path.read_bytes() == b"before" and [p.name for p in tmp_path.iterdir()] == [name]


def test_a_full_disk_is_told_from_other_mistakes(tmp_path, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(AnnosimError, match="No space left on device.*make room"):
        a_fit().save(tmp_path / "fit.pt")
    assert not list(tmp_path.iterdir())


def test_shards_through_a_link_and_on_a_full_disk(tmp_path, longest_file):
    real, link = tmp_path / "real", tmp_path / "link"
    shards(real)
    link.symlink_to(real)
    with an.io.ShardWriter(link, overwrite=True) as out:
        out.write(DATA)
        out.write(DATA)
    assert link.is_symlink() and an.io.open_shards(real).rows == 8
    with longest_file(16), pytest.raises(AnnosimError, match="cannot be written.*make room"):
        shards(tmp_path / "other")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "real"]


def test_a_checkpoint_on_a_full_disk_is_one_line(tmp_path, longest_file):
    model = an.Annotator(an.Network([4], dim=1, seed=0), an.rules.Luce())
    data = an.simulate(an.Annotator(an.Linear([1.0]), an.rules.Luce()), an.Design(an.Items.grid(0, 1, 3), annotators=9))
    solver = an.Adam(steps=2, checkpoint=tmp_path / "run.pt")
    with longest_file(16), pytest.raises(AnnosimError, match="cannot be written"):
        an.fit(model, data, solver=solver)
    assert not list(tmp_path.iterdir())
