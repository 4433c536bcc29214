"""What recognisers look at: the names of a table's columns, and what stands in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from annosim.data.sides import tokens as words_of
from annosim.data.sides import unaccented
from annosim.io.foreign import ENGLISH
from annosim.io.tables import Table, cell_text

__all__ = ["BLANKS", "HOLDERS", "METADATA", "Seen", "plain", "tokens"]

#: Cells that say nothing, as exporters write them.
BLANKS = frozenset(["", "na", "n/a", "nan", "none", "null", "<na>", "-", "."])

#: Names of columns, plainly written, that say who answered, what was asked and how often.
ANNOTATORS = (
    "annotator annotator_id annotator_name worker worker_id workerid user user_id username judge judge_id rater rater_id "
    "labeler labeller labeler_id participant participant_id respondent respondent_id subject subject_id voter voter_id "
    "person person_id evaluator evaluator_id assessor expert coder reviewer individual panelist consumer completed_by "
    "who personid panel resp respondentid resp_id sys_resp_num resp_num respnum caseid subj subj_id subject_nr participant_private_id participant_public_id "
    "participant_code participant_label prolific_pid prolific_id workerid turk_id assessor_id coder_id reviewer_id "
    "evaluator_name rater_name judge_name judge_model annotator_model email e_mail email_address username user_name response_id"
).split()
#: Words in names of columns that speak of people who answer.
_PEOPLE = frozenset(
    "annotator worker user judge rater labeler labeller participant respondent subject voter person evaluator assessor "
    "coder reviewer panelist email prolific turker".split()
)
PROMPTS = "prompt prompt_id question question_id instruction query context task task_id topic".split()
COUNTS = "count counts n freq frequency times num_votes n_votes".split()

#: Columns, plainly written, that platforms of surveys and crowds add: no answer stands in them.
METADATA = frozenset(
    "start_date end_date status ip_address ipaddress progress duration duration_in_seconds finished recorded_date recipient_last_name "
    "recipient_first_name recipient_email external_reference external_data_reference location_latitude location_longitude "
    "distribution_channel user_language timestamp time_stamp submit_time accept_time work_time_in_seconds hitid "
    "hittype_id hittypeid hit_id assignment_id assignment_status lifetime_approval_rate last30_days_approval_rate "
    "last_30_days_approval_rate last_7_days_approval_rate last7_days_approval_rate reward max_assignments approval_time rejection_time requester_feedback approve reject "
    "time_elapsed rt trial_index internal_node_id trial_type collector_id start_time end_time completion_time last_modified "
    "lastpage startlanguage submitdate startdate datestamp ipaddr refurl time_taken age submitted_at created_at updated_at started_at entry_date last_page seed start_language".split()
)
#: What holds the columns of a file that names them ``player.choice``, ``Answer.choice``, ``data.winner``.
HOLDERS = frozenset("player participant answer input data trial row fields metadata group orig original".split())

_BREAK = re.compile(r"[^0-9a-z]+")


def plain(name: str) -> str:
    """A name in English words without case, spaces and marks: ``"Worker ID"`` is ``"worker_id"``."""
    return "_".join(ENGLISH.get(part, part) for part in _BREAK.split(unaccented(name)) if part)


def tokens(name: str) -> tuple[str, ...]:
    """The words of a name in English: ``"Rang 1"`` and ``"rank1"`` are ``("rank", "1")``."""
    return tuple(ENGLISH.get(part, part) for part in words_of(name))


class Seen:
    """A table as recognisers see it.

    Args:
        table: the table.

    Example:
        >>> from annosim.io.sources import read_table
        >>> seen = Seen(read_table([{"Worker ID": "u", "left": "a", "right": "b"}]))
        >>> seen.column("worker_id"), seen.kind("left")
        ('Worker ID', 'text')
    """

    def __init__(self, table: Table):
        self.table = table
        self.columns: Sequence[str] = table.columns
        self._kinds: dict[str, str] = {}

    @cached_property
    def plain(self) -> dict[str, str]:
        """The columns by their plain names; the first of several."""
        out: dict[str, str] = {}
        for name in self.columns:
            out.setdefault(plain(name), name)
        for name in self.columns:
            out.setdefault("_".join(tokens(name)), name)  # userId is user_id
        for name in self.columns:
            holder, dot, rest = name.partition(".")
            if dot and plain(holder) in HOLDERS:
                out.setdefault("_".join(tokens(rest)), name)
            parts = tokens(name)
            if parts[:1] in (("orig",), ("original",)):
                out.setdefault("_".join(parts[1:]), name)
        return out

    def is_metadata(self, column: str) -> bool:
        """Whether a platform wrote the column, and nobody who answered."""
        return not METADATA.isdisjoint(("_".join(tokens(column)), plain(column)))

    def column(self, *names: str) -> str | None:
        """The column with the first of these plain names that there is."""
        return next((self.plain[name] for name in names if name in self.plain), None)

    def has(self, *names: str) -> bool:
        """Whether there are columns of all these plain names."""
        return all(name in self.plain for name in names)

    def kind(self, column: str) -> str:
        """``"text"``, ``"number"``, ``"flag"``, ``"list"``, ``"record"`` or ``"empty"``: what its cells are."""
        if column not in self._kinds:
            self._kinds[column] = self._kind(column)
        return self._kinds[column]

    def _kind(self, column: str) -> str:
        head = self.table.head(column, 200)
        cells = [cell for cell in head if cell is not None and cell == cell]
        for kind, name in ((dict, "record"), (list, "list"), (bool, "flag")):
            if cells and all(isinstance(cell, kind) for cell in cells):
                return name
        if any(isinstance(cell, dict | list) for cell in cells):
            return "mixed"
        said = [text for text in map(cell_text, cells) if text is not None and not blank(text)]
        if not said:
            return "empty" if not self.words(column) else "text" if self.levels(column) is None else "number"
        return "number" if all(as_number(text) is not None for text in said) else "text"

    def words(self, column: str) -> list[str]:
        """The distinct texts of a column that say something, in order of appearance."""
        return [name for name in self.table.texts(column, column).names if isinstance(name, str) and not blank(name)]

    def is_graded(self, column: str) -> bool:
        """Whether the first cells hold few distinct numbers, as grades and ranks do."""
        head = {cell_text(cell) for cell in self.table.head(column, 2000)}
        return self.kind(column) == "number" and len(head) <= 130

    def levels(self, column: str) -> dict[str, float] | None:
        """The distinct numbers of a column by their texts, where every cell that says something is a number."""
        out: dict[str, float] = {}
        for word in self.words(column):
            number = as_number(word)
            if number is None:
                return None
            out[word] = number
        return out or None

    def numbers(self, column: str) -> NDArray[np.float64]:
        """The numbers of a column of numbers, NaN where a cell says nothing."""
        texts = self.table.texts(column, column)
        values = np.array([as_number(name) if isinstance(name, str) else None for name in texts.names], dtype=float)
        return values[texts.codes]

    def blanks(self, column: str) -> int:
        """How many cells say nothing."""
        texts = self.table.texts(column, column)
        empty = np.array([name is None or blank(name) for name in texts.names], dtype=bool)
        return int(empty[texts.codes].sum())

    @cached_property
    def lacks_header(self) -> bool:
        """Whether the names of the columns are what stands in them: the first line is an answer like the others."""
        numbers = [as_number(name) for name in self.columns]
        counted = [[float(first + i) for i in range(len(numbers))] for first in (0, 1)]
        if len(numbers) < 2 or (len(numbers) > 2 and numbers in counted):  # items that are called 1, 2, 3
            return False
        return all(n is not None or name in self.words(name) for n, name in zip(numbers, self.columns, strict=True))

    # ---- who, what and how often ----

    def annotator(self, but: Iterable[str | None] = ()) -> str | None:
        """The column that says who answered in every row, else in some; in Inspect's logs the judge is the model asked."""
        found = self.named(ANNOTATORS, but) or self.named(ANNOTATORS, but, gaps=True)
        return self.named(["model"], but) if found is None and self.has("epoch", "model", "target") else found

    def people(self, but: Iterable[str | None] = ()) -> str | None:
        """A column that looks like names of those who answer and come again, for whom no other name is known."""
        taken, rows = set(but), len(self.table)
        for name in self.columns:
            parts = tokens(name)
            if name in taken or not _PEOPLE & set(parts) or self.is_metadata(name) or self.kind(name) == "record":
                continue
            if (
                parts[-1] in ("id", "name", "code", "label", "pid", "email", "address", "hash", "uid", "uuid")
                or parts[-1] in _PEOPLE
            ):
                if 1 < len(self.words(name)) < rows or 1 < rows == len(self.words(name)) and parts[-1] == "id":
                    return name
        return None

    def prompt(self, but: Iterable[str | None] = ()) -> str | None:
        """The column with the question."""
        return self.named(PROMPTS, but)

    def count(self, but: Iterable[str | None] = ()) -> str | None:
        """The column with how often a row was seen: numbers that are not negative."""
        found = self.named(COUNTS, but)
        levels = None if found is None else self.levels(found)
        return found if levels and all(v >= 0 for v in levels.values()) else None

    def has_fractions(self, column: str) -> bool:
        """Whether a column of numbers holds some that are not whole."""
        return any(v != round(v) for v in (self.levels(column) or {}).values())

    def weight(self, but: Iterable[str | None] = ()) -> str | None:
        """The column of weights."""
        found = self.named(("weight", "weights"), but)
        return found if found is not None and self.kind(found) == "number" else None

    def _all_said(self, column: str, gaps: bool) -> bool:
        """Whether every cell is a text that says something (a list of texts is one), or with ``gaps`` is empty."""
        names = self.table.texts(column, column).names
        return all(name is not None and ((gaps and not name.strip()) or not blank(name)) for name in names)

    def named(self, names: Iterable[str], but: Iterable[str | None], gaps: bool = False) -> str | None:
        """The column with the first of these names whose every cell says something, or with ``gaps`` is empty."""
        taken = set(but)
        found = (self.plain.get(name) for name in names)
        return next(
            (
                name
                for name in found
                if name is not None
                and name not in taken
                and self.kind(name) in ("text", "number", "list")
                and self._all_said(name, gaps)
            ),
            None,
        )


def blank(text: str) -> bool:
    """Whether a cell says nothing."""
    return text.strip().casefold() in BLANKS


def as_number(text: str) -> float | None:
    """A finite number, or ``None``."""
    text = text.strip()
    if not text or not text.isascii() or "_" in text:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if np.isfinite(number) else None
