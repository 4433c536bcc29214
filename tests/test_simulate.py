"""simulate: seeds are addresses, draws follow the law, counts and shards are the same data."""

import json

import numpy as np
import pytest
from scipy import stats

import annosim as an
from annosim.errors import AnswerKindError, ArgumentError, FileReadError, TooLargeError
from annosim.populations.gated import Gated
from annosim.rules.response_biases import Lapse
from annosim.rules.ties import Davidson
from annosim.simulation import rows
from annosim.simulation.draws import simulate, simulate_like
from annosim.simulation.streaming import Stream

#: probability that one test fails by chance
ALARM = 1e-8
ITEMS = an.Items.normal(12, 2, seed=0)


def people(rule=None):
    rule = rule or an.Luce()
    return an.Mixture(
        [an.Annotator(an.Linear(w), rule) for w in ([1.0, 0.0], [0.0, -1.0], [1.0, 1.0])], [0.5, 0.3, 0.2]
    )


def same(a, b, rows=slice(None)):
    assert np.array_equal(a.menu[..., rows, :], b.menu[..., rows, :])
    axis = a.menu.ndim - 2
    assert np.array_equal(
        np.take(a.answer, np.arange(a.rows)[rows], axis), np.take(b.answer, np.arange(a.rows)[rows], axis)
    )


DESIGNS = {
    "pairs": an.Design(ITEMS, annotators=1000),
    "blocks": an.Design(ITEMS, annotators=333, questions=3, menu_size=3),
    "rankings": an.Design(ITEMS, annotators=333, questions=3, menu_size=4, feedback="ranking"),
    "overlap": an.Design(ITEMS, annotators=334, questions=3, overlap=2),
}


@pytest.mark.parametrize("path", ["auto", "reference"])
@pytest.mark.parametrize("name", DESIGNS)
class TestAddresses:
    def test_threads_and_chunks_change_nothing(self, name, path, monkeypatch):
        data = simulate(people(), DESIGNS[name], seed=1, path=path, threads=1)
        for chunk, threads in ((64, 3), (128, 1), (192, 2)):
            monkeypatch.setattr(rows, "CHUNK", chunk)
            same(data, simulate(people(), DESIGNS[name], seed=1, path=path, threads=threads))

    def test_chunks_that_begin_anywhere_change_nothing(self, name, path, monkeypatch):
        who = people(Lapse(an.Luce(), 0.5))  # a lapse reads words of single rows
        data = simulate(who, DESIGNS[name], seed=1, path=path)
        monkeypatch.setattr(rows, "CHUNK", 50)
        same(data, simulate(who, DESIGNS[name], seed=1, path=path))

    def test_a_longer_run_begins_with_the_shorter(self, name, path):
        design = DESIGNS[name]
        short, long = (simulate(people(), design.with_(annotators=n), seed=2, path=path) for n in (100, 250))
        first = slice(0, short.rows)
        assert np.array_equal(short.menu, long.menu[first]) and np.array_equal(short.answer, long.answer[first])
        assert np.array_equal(short.truth["type"], long.truth["type"][:100])

    def test_replicate_r_of_many_equals_replicate_r(self, name, path):
        design = DESIGNS[name].with_(annotators=60)
        many = simulate(people(), design, seed=3, replicates=3, path=path)
        assert many.replicates == 3
        for r in range(3):
            one = simulate(people(), design, seed=3, replicate=r, path=path)
            same(many[r], one)
            assert np.array_equal(many[r].truth["type"], one.truth["type"])

    def test_any_sharding_gives_the_same_data(self, name, path):
        design = DESIGNS[name]
        data = simulate(people(), design, seed=4, path=path)
        for size in (1, 200, 10**6):
            stream = Stream(people(), design, seed=4, shard_rows=size, path=path)
            shards = [stream.shard(s) for s in reversed(range(len(stream)))][::-1]
            assert np.array_equal(np.concatenate([s.menu for s in shards]), data.menu)
            assert np.array_equal(np.concatenate([s.answer for s in shards]), data.answer)
            assert np.array_equal(np.concatenate([s.truth["type"] for s in shards]), data.truth["type"])

    def test_tastes_are_those_of_the_annotator_in_every_shard(self, name, path):
        who, design = an.RandomCoefficients([1.0, 0.0], 1.0, Lapse(an.Luce(), 0.3)), DESIGNS[name]
        data, stream = simulate(who, design, seed=4, path=path), Stream(who, design, seed=4, shard_rows=1, path=path)
        shards = [stream.shard(s) for s in range(len(stream))]
        assert len(shards) > 4
        assert np.array_equal(np.concatenate([s.truth["taste"] for s in shards]), data.truth["taste"])
        assert np.array_equal(np.concatenate([s.answer for s in shards]), data.answer)

    def test_a_habit_leaves_menus_types_and_other_answers(self, name, path):
        plain = simulate(people(), DESIGNS[name], seed=5, path=path)
        habit = simulate(people(Lapse(an.Luce(), 0.25)), DESIGNS[name], seed=5, path=path)
        assert np.array_equal(plain.menu, habit.menu)
        assert np.array_equal(plain.truth["type"], habit.truth["type"])
        changed = (plain.answer != habit.answer).reshape(plain.rows, -1).any(-1).mean()
        assert 0 < changed < 0.3


def test_seeds_are_unrelated():
    a, b = (simulate(people(), DESIGNS["pairs"].with_(annotators=20_000), seed=s) for s in (0, 1))
    agree = int((a.answer == b.answer).sum())
    share = a.answer.mean() * b.answer.mean() + (1 - a.answer.mean()) * (1 - b.answer.mean())
    assert stats.binomtest(agree, a.rows, float(share)).pvalue > ALARM


LAWS = {
    "choice": {"menu_size": 3},
    "ranking": {"menu_size": 3, "feedback": "ranking"},
    "top": {"menu_size": 4, "feedback": "top", "depth": 2, "items": an.Items.normal(4, 2)},
}


@pytest.mark.parametrize("name", LAWS)
def test_draws_follow_the_law(name):
    """Exact binomial tests of every (menu, answer), Bonferroni over cells."""
    design = an.Design(**({"items": an.Items.normal(5, 2, seed=1), "annotators": 200_000} | LAWS[name]))
    _against_law(simulate(people(), design, seed=6), design)


def _against_law(data, design, weight=None):
    law = an.law(people(), design)
    expected = law.marginal().detach().numpy()
    base = design.items.n ** np.arange(design.menu_size)
    place = {int(m @ base): i for i, m in enumerate(law.menu.numpy())}
    answers = {bytes(a.tobytes()): i for i, a in enumerate(law.space.answer)}
    counts = np.zeros(expected.shape, dtype=np.int64)
    given = data.answer.reshape(data.rows, -1)
    menus = np.array([place[int(m)] for m in data.menu.astype(np.int64) @ base])
    said = np.array([answers[np.ascontiguousarray(a).tobytes()] for a in given])
    np.add.at(counts, (menus, said), 1 if weight is None else weight.astype(np.int64))
    total = int(counts.sum())
    p = np.array(
        [stats.binomtest(int(c), total, float(q)).pvalue for c, q in zip(counts.flat, expected.flat, strict=True)]
    )
    assert p.min() >= ALARM / p.size


class TestCounts:
    def test_counts_follow_the_law(self):
        design = an.Design(an.Items.normal(5, 2, seed=1), menu_size=3, annotators=10**7)
        data = simulate(people(), design, seed=0, counts=True)
        assert data.weight.sum() == 10**7 and data.settings["counts"]
        _against_law(data, design, data.weight)

    def test_blocks_of_a_mixture(self):
        design = an.Design(an.Items.normal(3, 2), annotators=10**6, questions=2)
        data = simulate(people(), design, seed=1, counts=True)
        law = an.law(people(), design)
        assert data.annotator_weight.sum() == 10**6
        share = law.probabilities
        full = simulate(people(), design.with_(annotators=20_000), seed=1).counts()
        assert data.num_annotators <= len(share) and full.num_annotators <= len(share)
        # the share of annotators who gave the same position twice, against the law
        block = data.answer.reshape(-1, 2)
        agree = int(data.annotator_weight[block[:, 0] == block[:, 1]].sum())
        exact = share[law.outcomes[:, 0, 1] == law.outcomes[:, 1, 1]].sum()
        assert stats.binomtest(agree, 10**6, float(exact)).pvalue > ALARM

    def test_fixed_menus_are_asked_of_everyone(self):
        one = an.Annotator(an.Tabular([0.0, 1.0, 2.0]), an.Luce())
        design = an.Design(an.Items(n=3), menus=[[0, 1], [1, 2]], questions="all", annotators=1000)
        data = simulate(one, design, seed=0, counts=True)
        asked = {tuple(m): data.weight[(data.menu == m).all(1)].sum() for m in ([0, 1], [1, 2])}
        assert asked == {(0, 1): 1000, (1, 2): 1000}

    def test_a_trillion_answers_take_no_longer(self):
        one = an.Annotator(an.Tabular(np.zeros(50)), an.Luce())
        data = simulate(one, an.Design(an.Items(n=50), annotators=10**12), counts=True)
        assert data.weight.sum() == 10**12 and data.rows == 50 * 49 * 2

    def test_replicates_of_counts_differ(self):
        one = an.Annotator(an.Tabular(np.zeros(3)), an.Luce())
        a, b = (simulate(one, an.Design(an.Items(n=3)), counts=True, replicate=r) for r in (0, 1))
        assert not np.array_equal(a.weight, b.weight)

    def test_shared_blocks_of_a_mixture(self):
        """Three annotators share two questions: sequences come in threes, answers follow the law given the menus."""
        design = an.Design(an.Items.normal(3, 2), questions=2, overlap=3, annotators=60_001)
        data = simulate(people(), design, seed=2, counts=True)
        menus, answers, weight = data.menu.reshape(-1, 4), data.answer.reshape(-1, 2), data.annotator_weight
        kinds, of = np.unique(menus, axis=0, return_inverse=True)
        size = np.bincount(of.ravel(), weights=weight).astype(int)
        assert weight.sum() == 60_001 and len(kinds) == 36 and sorted(size % 3)[-2:] == [0, 1]
        assert min(stats.binomtest(int(n) // 3, 20_000, 1 / 36).pvalue for n in size) > ALARM / 36
        law = an.law(people(), design.with_(overlap=1)).given_menus
        same = law.outcomes[:, 0, 1] == law.outcomes[:, 1, 1]
        for n, kind in zip(size, kinds, strict=True):
            at = [int(np.flatnonzero((law.menu.numpy() == m).all(1))[0]) for m in kind.reshape(2, 2)]
            here = same & (law.outcomes[..., 0] == at).all(1)
            agree = int(weight[(menus == kind).all(1) & (answers[:, 0] == answers[:, 1])].sum())
            exact = float(law.probabilities[here].sum())
            assert stats.binomtest(agree, int(n), exact).pvalue > ALARM / 36

    def test_blocks_of_unequal_length(self):
        """Pairs of annotators share their questions, but the second answers two of them: the first menus are equal."""
        design = an.Design(an.Items.normal(3, 2), loads=[1, 2] * 5000, annotators=10_000, overlap=2)
        data = simulate(people(), design, seed=3, counts=True)
        length = np.bincount(data.annotator)
        first = np.flatnonzero(data.order == 0)
        asked = []
        for questions in (1, 2):
            mine = length == questions
            assert data.annotator_weight[mine].sum() == 5000
            code = data.menu[first][mine] @ [3, 1]
            asked.append(np.bincount(code, weights=data.annotator_weight[mine], minlength=9))
        assert np.array_equal(*asked)
        one = simulate(people().components()[0], design, seed=3, counts=True)
        assert one.weight.sum() == 15_000

    @pytest.mark.parametrize("one", [True, False])
    def test_everyone_s_first_questions_of_a_list(self, one):
        who = people().components()[0] if one else people()
        menus = [[0, 1], [1, 2], [0, 2]]
        design = an.Design(ITEMS, menus=menus, questions="all", loads=[1, 2, 3, 3], annotators=4, overlap=2)
        data = simulate(who, design, counts=True)
        assert [data.row_weight[(data.menu == m).all(1)].sum() for m in menus] == [4, 3, 2]

    @pytest.mark.parametrize("name", ["tastes", "gated"])
    def test_without_a_closed_law_answers_are_drawn_and_collapsed(self, name, monkeypatch):
        from annosim.simulation import counts as aggregate

        who = an.RandomCoefficients([1.0, 0.0], [8.0, 8.0], an.Luce())
        if name == "gated":
            kinds = [an.Annotator(an.Tabular(np.eye(12)[0] * s), an.Luce()) for s in (2.0, -2.0)]
            who = Gated(kinds, covariates=[[1.0], [-1.0]], gate=[[3.0]])
        monkeypatch.setattr(aggregate, "_CHUNK", 128)
        for questions in (1, 2):
            design = an.Design(ITEMS, annotators=1000, questions=questions)
            data, full = simulate(who, design, counts=True), simulate(who, design).counts()
            key = [sorted(zip(map(bytes, d.menu), d.answer, d.row_weight, strict=True)) for d in (data, full)]
            assert key[0] == key[1] and "collapsed" in data.settings["path_reasons"]["counts"]
        with pytest.raises(TooLargeError, match="every answer is drawn"):
            simulate(who, design.with_(annotators=10**12), counts=True)

    def test_too_many_blocks_are_refused_in_one_line(self):
        with pytest.raises(TooLargeError, match="leave out counts=") as caught:
            simulate(people(), an.Design(ITEMS, questions=8, overlap=2), counts=True)
        assert "\n" not in str(caught.value)


class TestShards:
    design = an.Design(ITEMS, annotators=500, questions=3)

    def test_written_shards_are_the_data(self, tmp_path):
        shards = simulate(people(), self.design, seed=1, out=tmp_path / "votes", shard_rows=400)
        data, back = simulate(people(), self.design, seed=1), shards.load()
        assert len(shards) == 4
        same(data, back)
        assert np.array_equal(data.annotator, back.annotator)
        assert np.array_equal(data.truth["type"], back.truth["type"])

    def test_an_interrupted_run_resumes_at_the_missing_shards(self, tmp_path):
        out = tmp_path / "votes"

        def stop(done, kept, total):
            if done > 400:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            simulate(people(), self.design, seed=1, out=out, shard_rows=400, progress=stop, threads=1)
        assert not (out / "shards.json").exists()
        there = {p: p.stat().st_mtime_ns for p in out.glob("part-*.parquet")}
        assert there
        told = []
        shards = simulate(people(), self.design, seed=1, out=out, shard_rows=400, progress=lambda *x: told.append(x))
        assert all(p.stat().st_mtime_ns == t for p, t in there.items())
        assert told[0][1] > 0 and told[-1][0] + told[-1][1] == told[-1][2] == self.design.num_rows
        same(simulate(people(), self.design, seed=1), shards.load())

    def test_a_damaged_shard_is_written_again(self, tmp_path):
        out = tmp_path / "votes"
        simulate(people(), self.design, seed=1, out=out, shard_rows=400)
        (out / "part-000002.parquet").write_bytes(b"PAR1 half")
        same(
            simulate(people(), self.design, seed=1),
            simulate(people(), self.design, seed=1, out=out, shard_rows=400).load(),
        )

    def test_a_longer_run_keeps_the_shards_of_a_shorter(self, tmp_path):
        out = tmp_path / "votes"
        simulate(people(), self.design, seed=1, out=out, shard_rows=400)
        longer = self.design.with_(annotators=900)
        kept = []
        shards = simulate(people(), longer, seed=1, out=out, shard_rows=400, progress=lambda d, k, t: kept.append(k))
        assert kept[0] >= 3 * 384 // 3 * 3 - 3 * 128
        same(simulate(people(), longer, seed=1), shards.load())

    @pytest.mark.parametrize("change", [{"seed": 2}, {"shard_rows": 900}, {"replicate": 1}])
    def test_another_simulation_is_refused(self, tmp_path, change):
        out = tmp_path / "votes"
        simulate(people(), self.design, seed=1, out=out, shard_rows=400)
        with pytest.raises(ArgumentError, match="another simulation"):
            simulate(people(), self.design, **({"seed": 1, "shard_rows": 400} | change), out=out)

    @pytest.mark.parametrize("what", ["loads", "column", "callable", "prompts"])
    def test_another_design_or_item_is_refused(self, tmp_path, what):
        """What the parameters do not say: it must not be found out from draws, which may be equal."""
        out = tmp_path / "votes"

        def run(changed, annotators=300):
            x = 1e-9 * changed
            columns = {"length": np.arange(12.0) + (x if what == "column" else 0)}
            prompts = [0] * 6 + [1] * 6 if changed or what != "prompts" else [0] * 5 + [1] * 7
            items = an.Items(features=ITEMS.features, columns=columns, prompts=prompts)
            rule = an.PBDE(g=lambda items: items.features[:, 0] * (1 + (x if what == "callable" else 0)))
            loads = np.resize([1, 2, 3], annotators)
            if what == "loads" and changed:
                loads[:2] = [2, 1]
            design = an.Design(items, annotators=annotators, loads=loads if what == "loads" else None)
            return simulate(an.Annotator(an.Linear([1.0, 0.0]), rule), design, out=out, shard_rows=100)

        run(False)
        with pytest.raises(ArgumentError, match="another simulation"):
            run(True)
        before = (out / "part-000000.parquet").stat().st_mtime_ns
        longer = run(False, 400)  # the shards of unequal loads are kept, too
        assert (out / "part-000000.parquet").stat().st_mtime_ns == before
        assert longer.rows == (2 * 400 - 1 if what == "loads" else 400)

    def test_a_killed_run_is_known_again_and_leaves_nothing_behind(self, tmp_path):
        out = tmp_path / "votes"
        out.mkdir()
        (out / ".simulation.json.abc.tmp").write_text("{")
        (out / ".part-000001.parquet.abc.tmp").write_bytes(b"half")
        shards = simulate(people(), self.design, seed=1, out=out, shard_rows=400)
        assert not [p for p in out.iterdir() if p.suffix == ".tmp"]
        for name in ("items.parquet", "part-000001.truth.npz", "shards.json"):
            (out / name).unlink()
            assert simulate(people(), self.design, seed=1, out=out, shard_rows=400).load().equals(shards.load())
        (out / "part-000002.truth.npz").write_bytes(b"half")
        with pytest.raises(FileReadError, match="damaged"):
            shards.load()
        same(
            simulate(people(), self.design, seed=1, out=out, shard_rows=400).load(),
            simulate(people(), self.design, seed=1),
        )

    def test_a_full_disk_is_one_line_and_what_is_written_stays(self, tmp_path):
        """A limit on the size of files stands for the disk; shards are drawn again once there is room."""
        import signal

        resource = pytest.importorskip("resource")
        out, limit = tmp_path / "votes", resource.getrlimit(resource.RLIMIT_FSIZE)
        old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limit[1]))
        try:
            with pytest.raises(FileReadError, match="part-000000.*cannot be written.*make room"):
                simulate(people(), self.design.with_(annotators=5000), seed=1, out=out, threads=1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
            signal.signal(signal.SIGXFSZ, old)
        assert not list(out.glob("part-*.parquet")) and not list(out.glob(".*"))
        assert simulate(people(), self.design.with_(annotators=5000), seed=1, out=out).rows == 15_000

    def test_shards_of_large_menus_take_as_much_memory(self):
        rankings = an.Design(an.Items(n=20), menu_size=20, feedback="ranking", annotators=10**6)
        pairs = an.Design(an.Items(n=20), annotators=10**7)
        each = [Stream(an.Annotator(an.Tabular(20), an.Luce()), d).rows(0) for d in (pairs, rankings)]
        assert each[0] == 2**22 and each[1] * 100 == pytest.approx(each[0] * 9, rel=1e-3)

    def test_another_population_is_refused(self, tmp_path):
        out = tmp_path / "votes"
        simulate(people(), self.design, seed=1, out=out)
        with pytest.raises(ArgumentError, match="another simulation"):
            simulate(people(Lapse(an.Luce(), 1e-6)), self.design, seed=1, out=out)

    def test_a_directory_with_something_else_in_it_is_refused(self, tmp_path):
        (tmp_path / "note").write_text("mine")
        with pytest.raises(ArgumentError, match="exists"):
            simulate(people(), self.design, out=tmp_path)
        assert [p.name for p in tmp_path.iterdir()] == ["note"]


@pytest.mark.slow
def test_streaming_memory_does_not_grow(tmp_path):
    """Peak memory of 4e7 rows within 200 MB of that of 1e7: shards are written and forgotten."""
    import subprocess
    import sys

    script = (
        "import sys, resource, json, annosim as an\n"
        "people = an.Annotator(an.Tabular(100), an.Luce())\n"
        "an.simulate(people, an.Design(an.Items(n=100), annotators=int(sys.argv[1])), out=sys.argv[2], threads=2)\n"
        "print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))\n"
    )
    peak = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", script, str(n), str(tmp_path / str(n))], check=True, capture_output=True
            ).stdout
        )
        for n in (10**7, 4 * 10**7)
    ]
    assert peak[1] < peak[0] + 200 and peak[1] < 2000


class TestArguments:
    def test_kinds_that_a_rule_does_not_define(self):
        with pytest.raises(AnswerKindError):
            simulate(people(), an.Design(ITEMS, feedback="rating", grades=5))

    @pytest.mark.parametrize(
        "bad",
        [
            {"seed": -1},
            {"replicates": 0},
            {"replicate": -1},
            {"path": "gpu"},
            {"counts": True, "replicates": 2},
            {"counts": True, "device": "cuda"},
        ],
        ids=str,
    )
    def test_bad_arguments(self, bad):
        with pytest.raises(ArgumentError):
            simulate(people(), DESIGNS["pairs"], **bad)

    @pytest.mark.parametrize(("annotators", "replicates"), [(10**14, None), (10**6, 10**8)])
    def test_more_than_the_machine_holds_is_refused_in_one_line(self, annotators, replicates):
        with pytest.raises(TooLargeError, match=r"GB and this machine has .* out=DIR"):
            simulate(people(), an.Design(ITEMS, annotators=annotators), replicates=replicates)

    def test_small_types_and_trusted_data(self):
        data = simulate(people(), DESIGNS["blocks"], seed=0)
        assert (data.menu.dtype, data.answer.dtype, data.truth["type"].dtype) == (np.int32, np.int8, np.int8)
        assert (data.annotator.dtype, data.order.dtype) == (np.int32, np.int32)
        checked = an.PreferenceData(
            items=data.items,
            menu=data.menu,
            answer=data.answer,
            feedback=data.feedback,
            annotator=data.annotator,
            order=data.order,
            truth=data.truth,
            settings=data.settings,
        )
        same(checked, data)
        assert set(vars(checked)) == set(vars(data))


def test_new_answers_to_the_same_questions():
    data = simulate(people(), DESIGNS["blocks"], seed=0)
    again = simulate_like(people(), data, seed=0)
    assert np.array_equal(again.menu, data.menu)
    assert np.array_equal(again.answer, data.answer)  # same seed, same rows: the same words decide
    other = simulate_like(people(), data, seed=1)
    assert not np.array_equal(other.answer, data.answer)


@pytest.mark.parametrize("rule", [an.Luce(), Lapse(an.Luce(), 0.3), Davidson(0.5)], ids=repr)
def test_new_answers_by_either_path(rule, monkeypatch):
    from annosim.simulation import dispatch

    design = an.Design(ITEMS, annotators=200, questions=2)
    data = simulate(people(rule), design, seed=0)
    fast = simulate_like(people(rule), data, seed=3)
    monkeypatch.setattr(dispatch, "_compiled", lambda: None)
    slow = simulate_like(people(rule), data, seed=3)
    assert (fast.settings["path"], slow.settings["path"]) == ("numba", "reference")
    same(fast, slow)


@pytest.mark.parametrize("path", ["auto", "reference"])
def test_types_that_depend_on_the_annotator(path):
    """Annotators with covariate +1 are of type 0 with probability sigmoid(3), the others with sigmoid(-3)."""
    kinds = [an.Annotator(an.Tabular([0.0, s]), an.Luce()) for s in (2.0, -2.0)]
    gated = Gated(kinds, covariates=[[1.0], [-1.0]], gate=[[3.0]])
    data = simulate(gated, an.Design(an.Items(n=2), annotators=20_000), seed=0, path=path)
    first = (data.truth["type"] == 0).reshape(-1, 2).sum(0)
    p = 1 / (1 + np.exp(-3.0))
    for count, share in zip(first, (p, 1 - p), strict=True):
        assert stats.binomtest(int(count), 10_000, share).pvalue > ALARM / 2
