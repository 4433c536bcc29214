"""How far each annotator can be trusted: noisy Bradley-Terry, and the same around any other rule."""

from __future__ import annotations

import torch
from torch.nn.functional import logsigmoid

from annosim.annotators import Labels, PerAnnotator
from annosim.errors import AnswerKindError, ArgumentError
from annosim.parameters import ParameterLike
from annosim.random import CounterRNG
from annosim.rules.answers import choose, log_response_prob, log_uniform, sample_uniform
from annosim.rules.base import Answer, Rule, View
from annosim.rules.response_biases import ResponseBias

__all__ = ["Reliability"]


class Reliability(PerAnnotator, ResponseBias):
    r"""Each annotator answers by the rule with a probability of their own, and guesses otherwise.

    ``P(answer) = q_a P_rule(answer) + (1 - q_a) P_guess(answer)`` with ``q_a = sigmoid(skill_a)`` for annotator ``a``:
    a lapse rate per person. The guess is uniform over the rule's answers; with ``bias``, pairs only, it is the first
    side with probability ``sigmoid(bias_a)``. Around Luce's rule on pairs this is noisy Bradley-Terry (after Chen,
    Bennett, Collins-Thompson and Horvitz 2013; with ``bias`` crowd-kit's ``NoisyBradleyTerry``, whose gradient of the
    skill is wrong: ours is automatic).

    Who answers is ``view.annotator``. A law, an identification report or a plan has no named annotators and the answers
    depend on who gives them, so that these raise for more than one skill: take one person's with :meth:`of`, or a
    ``Mixture`` of them. An always attentive annotator has an infinite skill: fit with ``prior=an.priors.Gaussian(sd)``, which
    pulls every skill towards 0 (half attentive); the fit's notes name the annotators for whom it decided.

    Args:
        rule: the wrapped rule.
        skill: one number for all, or ``(annotators,)`` numbers; ``free(start)`` to estimate.
        bias: log odds of the first side in a guess, a number or ``(annotators,)``; ``None`` guesses uniformly.
        annotators: whose numbers they are, by name (``data.annotator_names``); ``fit`` then finds those of its data.
            Without names the numbers are those of annotators 0, 1, ... of the data set from which the data were selected.

    Raises:
        ArgumentError: shapes do not fit, a skill is missing for an annotator, or no annotator ids are given.
        AnswerKindError: ``bias`` on anything but choices from pairs.

    Example:
        >>> import annosim as an
        >>> rule = Reliability(an.Luce(), skill=[5.0, -5.0])  # the second guesses
        >>> one = an.Annotator(an.Tabular([0.0, 2.0]), rule.of(1))
        >>> an.law(one, an.Design(an.Items(n=2), menus=[[0, 1]])).probabilities.round(decimals=2).tolist()
        [0.5, 0.5]
    """

    def __init__(
        self,
        rule: Rule,
        skill: ParameterLike = 0.0,
        bias: ParameterLike | None = None,
        annotators: Labels | None = None,
    ):
        super().__init__(rule)
        self.annotators = annotators
        self.declare("skill", skill)
        self.biased = bias is not None
        if bias is not None:
            self.declare("bias", bias)
            self.kinds = rule.kinds & {"choice"}
        for name in ("skill", "bias") if self.biased else ("skill",):
            shape = tuple(getattr(self, name).shape)
            if len(shape) > 1 or shape == (0,):
                raise ArgumentError(f"Reliability({name}=): shape {shape}, expected a number or (annotators,)")
            if annotators is not None and shape not in ((), (1,), (len(annotators),)):
                raise ArgumentError(f"Reliability(annotators=): {len(annotators)} names for {shape[0]} numbers")

    def select_annotators(self, labels: Labels) -> None:
        """Keep the numbers of these annotators, in their order; one number for everybody stays."""
        for name in ("skill", "bias") if self.biased else ("skill",):
            self.keep(name, labels)
        self.annotators = labels

    def of(self, annotator: int) -> Reliability:
        """The same response bias with one annotator's numbers for all (fixed): what :func:`annosim.law` can write out.

        Example:
            >>> import annosim as an
            >>> float(Reliability(an.Luce(), skill=[0.0, 1.0]).of(1).skill)
            1.0
        """
        who = torch.as_tensor(annotator)
        bias = float(self.number_of("bias", who).detach()) if self.biased else None
        return Reliability(self.rule, float(self.number_of("skill", who).detach()), bias)

    @property
    def is_personal(self) -> bool:
        """Whether a skill or a bias is given for each annotator."""
        return self.skill.numel() > 1 or any(bias.numel() > 1 for bias in self.biases())

    def biases(self) -> tuple[torch.Tensor, ...]:
        """The bias, where there is one."""
        return (self.bias,) if self.biased else ()

    def attention(self, view: View) -> torch.Tensor:
        """``q`` of each row's annotator, ``(rows,)`` or a scalar."""
        return torch.sigmoid(self.number_of("skill", view.annotator))

    def log_guess(self, answer: Answer, view: View) -> torch.Tensor:
        """Log-probability of each answer by who guesses, ``(..., rows)``; a tie is never guessed with ``bias``."""
        if not self.biased:
            return log_uniform(answer, view, self.ties)
        if view.k != 2 or view.padded:
            raise AnswerKindError("Reliability(bias=) guesses a side of a pair; leave bias=None for other menus")
        bias = self.number_of("bias", view.annotator)
        side = logsigmoid(torch.where(answer.position[..., 0] == 0, bias, -bias))
        return side if answer.tied is None else torch.where(answer.tied.any(-1), -torch.inf, side)

    def log_prob(self, scores: torch.Tensor, answer: Answer, view: View) -> torch.Tensor:
        """Log of the mixture of the rule's answers and guesses, ``(..., rows)``."""
        self.check_kind(view.feedback)
        attended = self.rule.log_prob(scores, answer, view)
        guessed = self.log_guess(answer, view).to(attended)
        if self.skips:  # who skips does not guess
            guessed = guessed + log_response_prob(self.rule, scores, answer, view)
        skill = self.number_of("skill", view.annotator).to(attended)
        possible = torch.isfinite(attended) | torch.isfinite(guessed)
        zero = torch.zeros_like(attended)  # -inf on both sides has no gradient
        mixed = torch.logaddexp(
            logsigmoid(skill) + torch.where(possible, attended, zero),
            logsigmoid(-skill) + torch.where(possible, guessed, zero),
        )
        mixed = torch.where(possible, mixed, -torch.inf)
        return torch.where(answer.skipped, attended, mixed) if self.skips else mixed

    def sample(self, scores: torch.Tensor, view: View, rng: CounterRNG) -> Answer:
        """The rule's draw, replaced by a guess where the bias's uniform is above the annotator's attention."""
        self.check_kind(view.feedback)
        given = self.rule.sample(scores, view, rng)
        draws = self.draws(rng)
        aside = torch.as_tensor(draws.uniform53("habit", 1), device=scores.device)[:, 0]
        away = aside >= self.attention(view).detach().to(scores.device)
        if self.skips:
            away = away & ~given.skipped
        if not self.biased:
            return choose(away, sample_uniform(view, self.ties, self.draws(rng, start=2), scores), given)
        first = self.log_guess(Answer(torch.zeros_like(given.position)), view).detach().exp().to(scores.device)
        coin = torch.as_tensor(self.draws(rng, start=2).uniform53("habit", 1), device=scores.device)[:, 0]
        side = (coin >= first).long()[:, None]
        other = torch.full_like(given.position, -1)  # rules with ties answer in two columns
        other[:, :1] = side
        return choose(away, Answer(other), given)
