"""A small grammar of answers to prompts, of which every sentence can be listed, and what people may want of them.

A prompt is a subject and a situation. An answer to it is an opener, an adjective, a noun and a tail: 288 sentences of two
to eight tokens with END. The grammar draws every part by itself; one opener, the flattering ``marvellous``, is rare.
Nobody's reward is the model's: rewards are tables of words and of words in a context (which noun suits a subject, and
which a situation), and a transformer has to find them in the tokens, also for pairs of subject and situation that it
never saw together.
"""

from __future__ import annotations

import itertools

import numpy as np

import annosim as an

SUBJECTS = ("king", "queen", "nurse", "clown", "soldier", "ghost")
SITUATIONS = ("feast", "battle", "storm", "wedding", "trial", "voyage")
OPENERS = ((), ("pray",), ("truly",), ("marvellous",))
OPENER_SHARES = (0.4, 0.29, 0.29, 0.02)
ADJECTIVES = ("kind", "gentle", "blunt", "harsh")
NOUNS = ("word", "song", "sword", "letter", "feather", "silence")
TAILS = ((), ("today",), ("until", "the", "night", "falls"))
ANSWER = "answer"

WORDS = (
    "end",
    ANSWER,
    *SUBJECTS,
    *SITUATIONS,
    *(word for part in (*OPENERS, *TAILS) for word in part),
    *ADJECTIVES,
    *NOUNS,
)
END = 0
IDS = {word: i for i, word in enumerate(WORDS)}
#: every answer, as places in the four tables
ANSWERS = np.array(
    list(itertools.product(range(len(OPENERS)), range(len(ADJECTIVES)), range(len(NOUNS)), range(len(TAILS))))
)
SHARES = np.array(OPENER_SHARES)[ANSWERS[:, 0]] * 4 / len(ANSWERS)
PROMPTS = np.array(list(itertools.product(range(len(SUBJECTS)), range(len(SITUATIONS)))))
PROMPT_LENGTH = 3
LENGTH = PROMPT_LENGTH + 1 + 2 + 4 + 1


def sentence(prompt: np.ndarray, answer: np.ndarray) -> list[str]:
    """Words of a prompt and one answer to it, with the end."""
    opener, adjective, noun, tail = answer
    asked = [SUBJECTS[prompt[0]], SITUATIONS[prompt[1]], ANSWER]
    return [*asked, *OPENERS[opener], ADJECTIVES[adjective], NOUNS[noun], *TAILS[tail], "end"]


def make_items(prompts: np.ndarray, answers: list[np.ndarray]) -> an.Items:
    """Items of these prompts ``(P,)`` (rows of :data:`PROMPTS`), each with its answers (rows of :data:`ANSWERS`).

    Columns: ``subject``, ``situation``, ``opener``, ``adjective``, ``noun``, ``tail``, ``flattery`` (0 or 1).
    """
    tokens, parts, of_prompt = [], [], []
    for number, (p, chosen) in enumerate(zip(prompts, answers, strict=True)):
        for a in chosen:
            ids = [IDS[word] for word in sentence(PROMPTS[p], ANSWERS[a])]
            tokens.append(ids + [-1] * (LENGTH - len(ids)))
            parts.append([*PROMPTS[p], *ANSWERS[a]])
            of_prompt.append(number)
    columns = dict(zip(("subject", "situation", "opener", "adjective", "noun", "tail"), np.array(parts).T, strict=True))
    columns["flattery"] = (columns["opener"] == 3).astype(float)
    columns["prompt_length"] = np.full(len(tokens), PROMPT_LENGTH)
    return an.Items(tokens=np.array(tokens), prompts=np.array(of_prompt), columns=columns)


def split(rng: np.random.Generator, answers: int, held_out: int = 12) -> tuple[an.Items, an.Items]:
    """Items to be asked about and held-out ones: other prompts, of which no subject meets its situation in the first.

    Args:
        rng: of the split and of the answers.
        answers: drawn from the grammar for every prompt to be asked about, all different.
        held_out: prompts held out, with all answers.
    """
    order = rng.permutation(len(PROMPTS))
    asked, kept = order[held_out:], order[:held_out]
    drawn = [rng.choice(len(ANSWERS), answers, replace=False, p=SHARES) for _ in asked]
    return make_items(asked, drawn), make_items(kept, [np.arange(len(ANSWERS))] * held_out)


def corpus(rng: np.random.Generator, count: int) -> an.Items:
    """Sentences of the grammar to any prompt, each an item of its own."""
    prompts = rng.integers(len(PROMPTS), size=count)
    return make_items(prompts, list(rng.choice(len(ANSWERS), (count, 1), p=SHARES)))


#: warm or cold, and how long an answer is: what opposite tastes are about
TONE = np.array([1.0, 0.7, -0.7, -1.0])
LONG = np.array([-0.8, -0.2, 1.0])
#: situations in which a taste that turns with the prompt is one way; it is the other way in the others
CHEERFUL = (0, 3, 5)


class Suits:
    """Which nouns suit which subject and which situation: tables drawn once for a world, logits of spread about one."""

    def __init__(self, rng: np.random.Generator):
        self.subject = rng.normal(size=(len(SUBJECTS), len(NOUNS))) * 0.7
        self.situation = rng.normal(size=(len(SITUATIONS), len(NOUNS))) * 0.7

    def __call__(self, items: an.Items) -> np.ndarray:
        """How well the noun suits the prompt, ``(n,)``."""
        c = items.columns
        return self.subject[c["subject"], c["noun"]] + self.situation[c["situation"], c["noun"]]
