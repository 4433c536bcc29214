"""Words that are grades in an order: ``Strongly agree`` above ``Agree`` above ``Neutral``."""

from __future__ import annotations

import re
from collections.abc import Iterable

from annosim.io.seen import as_number, plain

__all__ = ["grades_of_words"]

#: Scales as questionnaires print them, the lowest grade first; words between bars mean the same.
_SCALES = (
    "strongly_disagree|completely_disagree|totally_disagree|fully_disagree disagree|mostly_disagree|tend_to_disagree "
    "somewhat_disagree|slightly_disagree|rather_disagree neither_agree_nor_disagree|neutral|undecided|neither "
    "somewhat_agree|slightly_agree|rather_agree agree|mostly_agree|tend_to_agree "
    "strongly_agree|completely_agree|totally_agree|fully_agree",
    "extremely_dissatisfied|very_dissatisfied|very_unsatisfied dissatisfied|unsatisfied "
    "somewhat_dissatisfied|slightly_dissatisfied neutral|neither_satisfied_nor_dissatisfied "
    "somewhat_satisfied|slightly_satisfied satisfied very_satisfied|extremely_satisfied",
    "terrible|awful|very_bad|very_poor bad|poor fair|mediocre|okay|ok|average|acceptable good very_good|great "
    "excellent|outstanding|perfect",
    "never rarely|seldom sometimes|occasionally often|frequently|usually always",
    "extremely_unlikely|very_unlikely unlikely somewhat_unlikely|slightly_unlikely neutral|neither_likely_nor_unlikely "
    "somewhat_likely|slightly_likely likely very_likely|extremely_likely",
    "not_at_all|not_at_all_important|not_important slightly|a_little|slightly_important|somewhat|somewhat_important "
    "moderately|moderately_important very|very_important|important extremely|extremely_important|very_much",
    "dislike_extremely dislike_very_much dislike_moderately dislike_slightly neither_like_nor_dislike "
    "like_slightly like_moderately like_very_much like_extremely",
    "dislike_a_lot|strongly_dislike|hate dislike dislike_slightly neutral|neither_like_nor_dislike like_slightly like "
    "like_a_lot|strongly_like|love",
    "very_low low medium|moderate high very_high",
    "pas_du_tout_d_accord pas_d_accord|plutot_pas_d_accord neutre|ni_d_accord_ni_pas_d_accord d_accord|plutot_d_accord "
    "tout_a_fait_d_accord",
    "totalmente_en_desacuerdo|muy_en_desacuerdo en_desacuerdo neutral|ni_de_acuerdo_ni_en_desacuerdo de_acuerdo "
    "totalmente_de_acuerdo|muy_de_acuerdo",
    "stimme_gar_nicht_zu|stimme_uberhaupt_nicht_zu|trifft_gar_nicht_zu|trifft_uberhaupt_nicht_zu "
    "stimme_nicht_zu|stimme_eher_nicht_zu|trifft_eher_nicht_zu|trifft_nicht_zu neutral|teils_teils|weder_noch "
    "stimme_zu|stimme_eher_zu|trifft_eher_zu|trifft_zu stimme_voll_zu|stimme_voll_und_ganz_zu|trifft_voll_zu|trifft_voll_und_ganz_zu",
)
_NUMBERED = re.compile(r"\s*\(?(-?\d{1,2})\)?\s*(?:[-\u2013=:.)]\s*)?\D+")


def grades_of_words(words: Iterable[str]) -> dict[str, str] | None:
    """The grade of each word, from 1, where all are words of one scale, or begin with their number; ``None`` if not.

    Grades that nobody gave have a number where their opposite was given.

    Example:
        >>> grades_of_words(["Agree", "Strongly disagree", "Neutral"])
        {'Agree': '4', 'Strongly disagree': '1', 'Neutral': '3'}
        >>> grades_of_words(["5 - very good", "1 - bad"])
        {'5 - very good': '5', '1 - bad': '1'}
    """
    said = list(words)
    if len(said) < 2:
        return None
    numbered = [_NUMBERED.fullmatch(word) for word in said]
    plainly = [as_number(word) for word in said]
    if any(numbered) and all(one is not None or two is not None for one, two in zip(numbered, plainly, strict=True)):
        return {word: match[1] if match else word for word, match in zip(said, numbered, strict=True)}
    for scale in _SCALES:
        steps = [step.split("|") for step in scale.split()]
        place = {word: i for i, step in enumerate(steps) for word in step}
        if all(plain(word) in place for word in said):
            used = {place[plain(word)] for word in said}
            used |= {len(steps) - 1 - i for i in used} if len(steps) % 2 else set()
            order = sorted(used)
            return {word: str(order.index(place[plain(word)]) + 1) for word in said}
    return None
