"""The formats that can be named or recognised: ``an.io.read(FILE)``, ``annosim fit FILE --format NAME``."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from annosim.data.covariates import CovariateNames, covariate_names
from annosim.data.preferences import PreferenceData
from annosim.errors import ArgumentError, FileReadError, LayoutError
from annosim.files import shown
from annosim.io.arena import read_arena, recognise_arena
from annosim.io.choix import entries_of, is_list_of_lists, kind_of_list, read_choix
from annosim.io.crowdkit import read_crowdkit
from annosim.io.evalica import read_evalica
from annosim.io.format import EXPORTER, Format, Question, Reading, mapping_of
from annosim.io.frames import read_frame, recognise_frame
from annosim.io.layouts import (
    argilla,
    ballots,
    best_worst,
    choices,
    judged,
    label_studio,
    listed,
    matrices,
    one_hot,
    orders,
    potato,
    questionnaires,
    ranks,
    ratings,
    releases,
    responses,
    tallies,
    winners,
)
from annosim.io.long import read_long
from annosim.io.pairs import read_csv
from annosim.io.preflib import read_preflib
from annosim.io.preflib_other import is_extra_data, read_preflib_categories, read_preflib_graph
from annosim.io.scottish import is_ward, read_scottish
from annosim.io.seen import Seen
from annosim.io.shards import is_own_parquet, read_parquet
from annosim.io.sources import Source, flattened, read_table, suffix_of
from annosim.io.trl import read_kto, read_trl, recognise_kto, recognise_trl
from annosim.io.ukp import read_ukp
from annosim.io.unknown import LONGEST, cut, unknown_layout
from annosim.places import is_url

__all__ = ["FORMATS", "Format", "Question", "Reading", "Recognised", "read", "recognise"]

#: Every format by name.
FORMATS: Mapping[str, Format] = {
    entry.name: entry
    for entry in (
        Format(
            "pairs",
            read_csv,
            "a row per vote: columns for the two items and the winning side",
            recognise=winners.recognise_pairs,
        ),
        Format("arena", read_arena, "Chatbot Arena battles: model_a, model_b, winner", recognise=recognise_arena),
        Format("preflib", read_preflib, "PrefLib elections: soc, soi, toc, toi", (".soc", ".soi", ".toc", ".toi")),
        Format("preflib-categories", read_preflib_categories, "PrefLib categories, read as ratings", (".cat",)),
        Format(
            "preflib-graph",
            read_preflib_graph,
            "PrefLib pairwise graph of votes",
            (".pwg", ".wmg", ".mjg", ".tog", ".wmd"),
        ),
        Format("scottish", read_scottish, "ballots of a Scottish council ward"),
        Format("crowdkit", read_crowdkit, "Crowd-Kit CSV: worker, left, right, label"),
        Format("evalica", read_evalica, "evalica CSV: left, right, winner"),
        Format("trl", read_trl, "TRL preferences: prompt, chosen, rejected", recognise=recognise_trl),
        Format("kto", read_kto, "TRL unpaired preferences: prompt, completion, label", recognise=recognise_kto),
        Format("choix", read_choix, "choix's lists of item numbers: pairs, rankings or top-1 lists"),
        Format("ukp", read_ukp, "UKPConvArg1: a directory of votes and arguments", (), ("votes.csv", "votes.csv.gz")),
        Format("beats", tallies.read_beats, "a row per vote: winner and loser", recognise=tallies.recognise_beats),
        Format(
            "tallies",
            tallies.read_tallies,
            "a row per pair: how often each side won, or a flag for each outcome",
            recognise=tallies.recognise_tallies,
        ),
        Format(
            "one-hot",
            one_hot.read_one_hot,
            "a row per vote with a flag for each outcome: Answer.choice.left, .right, .tie",
            recognise=one_hot.recognise_one_hot,
        ),
        Format(
            "scores",
            tallies.read_scores,
            "a row per comparison: the side with the higher score wins",
            recognise=tallies.recognise_scores,
        ),
        Format(
            "matrix",
            matrices.read_matrix,
            "a square table: how often the row beat the column",
            recognise=matrices.recognise_matrix,
        ),
        Format(
            "judges",
            questionnaires.read_judges,
            "a row per pair, a column for the answer of each judge",
            recognise=questionnaires.recognise_judges,
        ),
        Format(
            "questionnaire",
            questionnaires.read_questionnaire,
            "a row per respondent, a column per pair (A vs B)",
            recognise=questionnaires.recognise_questionnaire,
        ),
        Format(
            "ranks",
            ranks.read_ranks,
            "a row per ranking, a column of ranks for each item",
            recognise=ranks.recognise_ranks,
        ),
        Format(
            "places",
            ranks.read_places,
            "a row per ranking, a column for each place that holds the item there",
            recognise=ranks.recognise_places,
        ),
        Format(
            "ballots",
            ballots.read_ballots,
            "a row per ranking, all of it in one cell: tea > milk > rice",
            recognise=ballots.recognise_ballots,
        ),
        Format(
            "rank-rows",
            ranks.read_rank_rows,
            "a row per ranked item: ballot, item, rank",
            recognise=ranks.recognise_rank_rows,
        ),
        Format(
            "ratings",
            ratings.read_ratings,
            "a row per rating: annotator, item, rating",
            recognise=ratings.recognise_ratings,
        ),
        Format(
            "likert",
            ratings.read_likert,
            "ratings with a column per item, or per judge",
            recognise=ratings.recognise_likert,
        ),
        Format(
            "responses",
            responses.read_responses,
            "a row per vote between two responses to a prompt",
            recognise=responses.recognise_responses,
        ),
        Format(
            "best-worst",
            best_worst.read_best_worst,
            "a row per question: the items shown, the best and the worst",
            recognise=best_worst.recognise_best_worst,
        ),
        Format(
            "menus",
            best_worst.read_menus,
            "a row per question: the items shown and the chosen one",
            recognise=best_worst.recognise_menus,
        ),
        Format(
            "mt-bench",
            judged.read_mt_bench,
            "MT-Bench pairwise judgments: both orders in a row",
            recognise=judged.recognise_mt_bench,
        ),
        Format(
            "orders",
            orders.read_orders,
            "a row per pair with a judge's verdicts in both orders: verdict_ab, verdict_ba",
            recognise=orders.recognise_orders,
        ),
        Format(
            "lm-eval",
            judged.read_lm_eval,
            "lm-evaluation-harness samples of preference pairs: doc.chosen, doc.rejected, acc",
            recognise=judged.recognise_lm_eval,
        ),
        Format(
            "alpaca-eval",
            judged.read_alpaca_eval,
            "AlpacaEval annotations: generator_1, generator_2, preference",
            recognise=judged.recognise_alpaca_eval,
        ),
        Format(
            "arena-hard",
            judged.read_arena_hard,
            "Arena-Hard judgments: games against a baseline",
            recognise=judged.recognise_arena_hard,
        ),
        Format(
            "label-studio",
            label_studio.read_label_studio,
            "Label Studio's JSON export of comparisons and rankings",
            recognise=label_studio.recognise_label_studio,
        ),
        Format(
            "argilla",
            argilla.read_argilla,
            "Argilla's export of ranking, label or rating questions",
            recognise=argilla.recognise_argilla,
        ),
        Format("potato", potato.read_potato, "Potato's annotations of pairs", recognise=potato.recognise_potato),
        Format(
            "multipref",
            releases.read_multipref,
            "MultiPref: annotations of workers and experts",
            recognise=releases.recognise_multipref,
        ),
        Format(
            "helpsteer",
            releases.read_helpsteer,
            "HelpSteer: ratings of responses",
            recognise=releases.recognise_helpsteer,
        ),
        Format(
            "ultrafeedback",
            releases.read_ultrafeedback,
            "UltraFeedback: scored completions of several models",
            recognise=releases.recognise_ultrafeedback,
        ),
        Format(
            "nectar",
            releases.read_nectar,
            "Nectar: each prompt's answers of several models, with ranks",
            recognise=releases.recognise_nectar,
        ),
        Format(
            "listed",
            listed.read_listed,
            "a row per prompt with a list of responses, each with its rank or score",
            recognise=listed.recognise_listed,
        ),
        Format(
            "prodigy",
            listed.read_prodigy,
            "Prodigy's choices: options and the accepted one",
            recognise=listed.recognise_prodigy,
        ),
        Format(
            "prism",
            releases.read_prism,
            "PRISM utterances or conversations: the chosen response of each first turn",
            recognise=releases.recognise_prism,
        ),
        Format(
            "summaries",
            releases.read_summaries,
            "summaries with human feedback: two summaries and a choice",
            recognise=releases.recognise_summaries,
        ),
        Format(
            "long",
            read_long,
            "long choice data (xlogit, choice-learn): a row per situation and alternative",
            recognise=choices.recognise_long,
        ),
        Format(
            "choices",
            choices.read_choices,
            "wide choice data: a row per situation, a column per alternative and attribute",
            recognise=choices.recognise_choices,
        ),
        Format("wide", read_frame, "CSV of data.to_csv(layout='wide' or 'long')", recognise=recognise_frame),
        Format("parquet", read_parquet, "annosim's own parquet file, or shards", (), ("shards.json",)),
    )
}


@dataclass(frozen=True)
class Recognised:
    """What a source was recognised as.

    Attributes:
        format: the format.
        why: what was seen.
        options: the options of its reader.
        source: what is read: the table, where one was looked at already.

    Example:
        >>> found = recognise([{"winner": "tea", "loser": "milk"}])
        >>> found.name, found.read().answer.tolist()
        ('beats', [0])
    """

    format: Format
    why: str
    options: Mapping[str, object]
    source: Source

    @property
    def name(self) -> str:
        """The format's name."""
        return self.format.name

    def read(self) -> PreferenceData:
        """The data."""
        data = self.format.read(self.source, self.options)
        return data.with_(settings={**data.settings, "format": self.name, "recognised": self.why})


def recognise(source: Source, options: Mapping[str, object] | None = None) -> Recognised:
    """What a source is: by its extension or folder, else by its columns and what stands in them.

    Args:
        source: as for :func:`read`.
        options: options that are known; a format without them is out of the question.

    Raises:
        LayoutError: no layout fits (it says what was seen), or it may be read in several ways (it asks which).
        FileReadError, RowsError: the source cannot be read.

    Example:
        >>> found = recognise([{"item_a": "tea", "item_b": "milk", "won": "b"}])
        >>> found.name, found.why
        ('pairs', 'item_a and item_b are the sides, won holds b')
    """
    given = {name: value for name, value in (options or {}).items() if value is not None}
    by_name = _by_name(source)
    if by_name is not None:
        kind = {"kind": kind_of_list(entries_of(source))} if by_name[0].name == "choix" else {}
        return Recognised(by_name[0], by_name[1], {**kind, **given}, source)
    separator = given.get("sep")
    table = read_table(source, separator if isinstance(separator, str) else None)
    found = _by_columns(Seen(table), given)
    nested = None if isinstance(found, Recognised) or found.is_certain else flattened(table)
    if nested is not None:
        found = _by_columns(Seen(nested), given)
    if isinstance(found, _Open):
        raise LayoutError(found.text)
    return found


def read(
    source: Source,
    format: str | None = None,
    options: Mapping[str, object] | None = None,
    covariates: CovariateNames | str = (),
) -> PreferenceData:
    """Read preference data of any format.

    Args:
        source: a file, a URL, a directory, a pandas frame, an Arrow table, a ``datasets.Dataset``, a list of records, or
            choix's list.
        format: one of :data:`FORMATS`; by default what :func:`recognise` finds, which ``data.settings["recognised"]``
            says in words.
        options: options of the format's reader, by name (``{"annotator": "worker"}``).
        covariates: columns (or features of alternatives) that belong to the question, by name, as for
            :meth:`~annosim.PreferenceData.with_covariates`; ``options`` may name them, too.

    Raises:
        ArgumentError: an unknown format, or an option that the format does not have.
        LayoutError: no layout fits, or it may be read in several ways.
        DataError: a covariate without a column, or that is no number somewhere.

    Example:
        >>> votes = [{"left": "tea", "right": "milk", "winner": "left", "annotator": "ann"}]
        >>> data = read(votes)
        >>> data
        PreferenceData(1 rows, choice from menus of 2, 1 annotators, 2 items)
        >>> data.settings["recognised"]
        'left and right are the sides, winner holds left, annotator=annotator'
    """
    if format is not None and format not in FORMATS:
        raise ArgumentError(f"format={format[:40]!r}: the formats are {', '.join(FORMATS)}")
    given = {name: value for name, value in (options or {}).items() if value is not None}
    wanted = given.pop("covariates", None) or covariates
    data = _as_named(FORMATS[format], source, given) if format is not None else recognise(source, given).read()
    return data.with_covariates(covariate_names(wanted)) if wanted else data


#: The columns that readers take for granted, where a file that has them is read by them alone.
_DEFAULTS = {"pairs": ("left", "right", "winner"), "long": ("situation", "alternative", "choice")}
#: Formats whose columns are always called the same, and which say everything.
_FIXED = ("arena", "crowdkit", "evalica", "trl", "kto", "wide", "parquet")


def _as_named(entry: Format, source: Source, given: Mapping[str, object]) -> PreferenceData:
    """The data in the format that was named; columns that are not named are found as when it is recognised."""
    if not entry.is_table or entry.name in _FIXED or (isinstance(source, str | os.PathLike) and _by_name(source)):
        return entry.read(source, given)
    separator = given.get("sep")
    table = read_table(source, separator if isinstance(separator, str) else None)
    parameters = inspect.signature(entry.reader).parameters
    wanted = [given.get(name, parameters[name].default) for name in _DEFAULTS.get(entry.name, ())]
    if wanted and all(name in table for name in wanted):
        return entry.read(table, given)
    answer = entry.recognise(Seen(table))
    nested = flattened(table) if answer is None else None
    if nested is not None and (within := entry.recognise(Seen(nested))) is not None:
        table, answer = nested, within
    if answer is None or (isinstance(answer, Question) and not _is_answered(answer, given)):
        if answer is None:
            return entry.read(table, given)
        raise LayoutError(f"{table.name}: {answer.text}"[:LONGEST])
    why = answer.why if isinstance(answer, Reading) else f"as the options say{_columns_said(answer.options)}"
    return Recognised(entry, "; ".join([why, *table.notes]), _merged(answer.options, given), table).read()


def _by_name(source: Source) -> tuple[Format, str] | None:
    """What the extension, the folder or the first line says, or the kind of a list."""
    if not isinstance(source, str | os.PathLike):
        numbers = isinstance(source, list | tuple) and source and not isinstance(source[0], Mapping)
        return (FORMATS["choix"], "a list of item numbers") if numbers else None
    if is_url(source):
        path, suffix = None, suffix_of(str(source).split("?")[0])
    else:
        path, suffix = Path(source), suffix_of(source)
    for entry in FORMATS.values():
        if suffix in entry.extensions:
            return entry, f"extension {suffix}"
        if path is not None and path.is_dir() and any((path / name).exists() for name in entry.contents):
            return entry, f"a folder with {entry.contents[0]}"
    if path is not None and path.is_dir():
        raise FileReadError(f"{shown(source)}: this is a directory; name a file in it")
    if suffix == ".json" and is_list_of_lists(source):
        return FORMATS["choix"], "a list of lists of item numbers"
    if suffix == ".dat" and is_extra_data(source):
        raise LayoutError(
            f"{shown(source)}: PrefLib's extra data (.dat), whose columns are explained in its .txt; the votes are the "
            "data set's .soc, .soi, .toc, .toi or .cat files"
        )
    if suffix == ".parquet" and is_own_parquet(source):
        return FORMATS["parquet"], "written by annosim"
    if suffix in ("", ".csv", ".txt", ".dat") and is_ward(source):
        return FORMATS["scottish"], "the first line is candidates and seats"
    return None


@dataclass(frozen=True)
class _Open:
    """What stands in the way of a reading; ``is_certain`` where the layout is known, and no other way is tried."""

    text: str
    is_certain: bool = False


#: Layouts that look at what stands in the columns, which takes longer than looking for an exporter's names.
_GENERAL = (
    "pairs beats tallies scores judges ranks places ballots rank-rows ratings likert long choices responses".split()
)


def _by_columns(seen: Seen, given: Mapping[str, object]) -> Recognised | _Open:
    """The format whose recogniser knows the columns; one of an exporter before one of a general layout."""
    candidates = _candidates(given)
    exporters = [entry for entry in candidates if entry.name not in _GENERAL]
    found = [(entry, answer) for entry in exporters if (answer := entry.recognise(seen)) is not None]
    if not any(answer.strength == EXPORTER for _, answer in found):
        general = [entry for entry in candidates if entry.name in _GENERAL]
        found += [(entry, answer) for entry in general if (answer := entry.recognise(seen)) is not None]
    strongest = max((answer.strength for _, answer in found), default=0)
    found = [(entry, answer) for entry, answer in found if answer.strength == strongest]
    answered = [one for one in found if isinstance(one[1], Reading) or _is_answered(one[1], given)]
    if len(answered) == 1 and (len(found) == 1 or isinstance(answered[0][1], Reading)):
        entry, answer = answered[0]
        why = answer.why if isinstance(answer, Reading) else f"as the options say{_columns_said(answer.options)}"
        options = _merged(answer.options, given)
        why = "; ".join([why, *_people_left(entry, seen, options), *seen.table.notes])
        return Recognised(entry, why, options, seen.table)
    if not found:
        return _Open(unknown_layout(seen))
    if len(found) == 1:
        entry, answer = found[0]
        return _Open(f"{seen.table.name}: {entry.name}, but {_said(answer)}"[:LONGEST], strongest == EXPORTER)
    head = f"{cut(seen.table.name, 60)}: it can be read in {len(found)} ways; say which: "
    room = (LONGEST - len(head)) // len(found) - 30
    ways = "; or ".join(f"--format {entry.name} ({_short(_said(answer), room)})" for entry, answer in found)
    return _Open((head + ways)[:LONGEST])


def _columns_said(options: Mapping[str, object]) -> str:
    """The columns that were found beside what was asked."""
    texts = {name: ",".join(map(str, value)) if isinstance(value, list) else value for name, value in options.items()}
    said = [f"{name}={text}" for name, text in texts.items() if isinstance(text, str) and text and name != "winner_is"]
    return f", {cut(', '.join(said), 160)}" if said else ""


def _people_left(entry: Format, seen: Seen, options: Mapping[str, object]) -> list[str]:
    """That a column looks like names of annotators and is not used, where that is so."""
    usual = inspect.signature(entry.reader).parameters.get("annotator")
    if usual is None or options.get("annotator") is not None or usual.default in seen.table:
        return []
    used: list[str | None] = []
    for value in options.values():
        used += [value] if isinstance(value, str) else list(value) if isinstance(value, list | dict) else []
    column = seen.people(used)
    return [] if column is None else [f"{column} looks like who answered and is not used (annotator={column})"]


def _candidates(given: Mapping[str, object]) -> list[Format]:
    """The formats that have the options that are given."""
    fit = [entry for entry in FORMATS.values() if all(name in entry.options for name in given)]
    return fit or list(FORMATS.values())


def _is_answered(question: Reading | Question, given: Mapping[str, object]) -> bool:
    return isinstance(question, Question) and any(name in given for name in question.asks)


def _merged(found: Mapping[str, object], given: Mapping[str, object]) -> dict[str, object]:
    """The options found, and those given over them; words that are given join those that are known."""
    out = {**found, **given}
    known, said = found.get("words"), given.get("words")
    if isinstance(known, Mapping) and said is not None:
        out["words"] = {**known, **(mapping_of("words", said) if isinstance(said, str) else dict(said))}  # type: ignore[call-overload]
    return out


def _short(text: str, room: int) -> str:
    """A text cut to its room; of a question what to say is kept."""
    if len(text) <= room:
        return text
    asked, mark, say = text.rpartition(" say ")
    return f"{cut(asked, room - len(say) - 5)} say {say}" if mark and room - len(say) > 20 else cut(text, room)


def _said(answer: Reading | Question) -> str:
    return answer.why if isinstance(answer, Reading) else answer.text
