"""Sampled forms of min-max regret, pools and policy gradient: exact where responses can be listed, and unbiased."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import chi2

import annosim as an
from annosim.errors import ArgumentError, NothingFreeError
from annosim.policies import (
    all_sequences,
    effective_samples,
    expected_rewards,
    kl_regularised_objective,
    log_linear_pool,
    min_max_kl_regret,
    min_max_regret,
    rollouts,
    sampled_policy_gradient,
)
from annosim.policies.gradient import surrogate
from annosim.policies.online_gradient import responses

VOCABULARY, LENGTH, PROMPTS = 3, 2, [[0], [2, 1]]


def chain(seed, scale=1.0, vocabulary=VOCABULARY):
    """A language model that reads the token before: logits (vocabulary, vocabulary)."""
    table = torch.nn.Embedding(vocabulary, vocabulary)
    with torch.no_grad():
        table.weight.copy_(scale * torch.tensor(np.random.default_rng(seed).normal(size=(vocabulary, vocabulary))))
    return an.LogPolicy(table)


def listed(prompts=PROMPTS, end=None, length=LENGTH, vocabulary=VOCABULARY):
    """Every response to every prompt: all sequences, or all that end within the length and those cut there."""
    rows, code, begin = [], [], []
    for number, prompt in enumerate(prompts):
        seen = set()
        for row in itertools.product(range(vocabulary), repeat=length):
            seen.add(row[: row.index(end) + 1] if end in row else row)
        for row in sorted(seen):
            rows.append([*prompt, *row])
            code.append(number)
            begin.append(len(prompt))
    return an.Items(tokens=rows, prompts=code, columns={"prompt_length": begin})


def reward(seed):
    """What a group likes: a number for each token, summed over the sequence."""
    worth = torch.tensor(np.random.default_rng(seed).normal(size=VOCABULARY))
    return lambda items: torch.where(items.tokens >= 0, worth[items.tokens.clamp_min(0)], 0.0).sum(1)


def exact_as_rollouts(policies, items):
    """Responses drawn exactly as often as they should be (by a sampler without noise): each its own probability."""
    with torch.no_grad():
        q = torch.stack([p(items).double().exp() for p in policies]).mean(0)
    draws = q * 2.0**20  # any number of draws
    return items.with_(weights=draws / 2.0**20 / q, columns={**items.columns, "draws": draws.numpy()})


@pytest.mark.parametrize("end", [None, 0])
def test_listed_responses_have_total_probability_one(end):
    items = listed(end=end)
    mass = chain(0)(items).double().exp()
    for prompt in range(2):
        assert float(mass[items.prompts == prompt].sum()) == pytest.approx(1.0, abs=1e-6)


def test_draws_without_noise_give_the_exact_answers():
    """Weights draws / (N q) of draws in their own proportions are one: all three problems have their exact solutions."""
    items, policies, rewards = listed(), [chain(0), chain(1)], [reward(0), reward(1)]
    drawn = exact_as_rollouts(policies, items)
    assert torch.allclose(drawn.weights, torch.ones(items.n, dtype=torch.float64), atol=1e-12)
    for solve in (
        lambda x: min_max_regret(policies, rewards, x),
        lambda x: min_max_kl_regret(policies, x),
        lambda x: log_linear_pool(policies, [0.3, 0.7]),
    ):
        assert torch.allclose(solve(drawn).mass(drawn), solve(items).mass(items), atol=1e-9)


@pytest.mark.parametrize("end", [None, 0])
def test_expectations_under_every_policy_are_those_of_all_responses(end):
    """4,000 draws of each of two policies: all four expected rewards and the pool's within 6 standard errors (1e-8)."""
    items, policies, rewards = listed(end=end), [chain(0), chain(1)], [reward(0), reward(1)]
    found = rollouts(policies, PROMPTS, samples=4000, max_tokens=LENGTH, end=end, seed=1)
    assert found.n <= items.n and int(found.columns["draws"].sum()) == 2 * 2 * 4000
    pools = [log_linear_pool(policies, [0.3, 0.7])]
    exact, sampled = (expected_rewards([*policies, *pools], rewards, x) for x in (items, found))
    spread = max(float(r(items).std()) for r in rewards)
    worth = min(float(effective_samples(p, found).min()) for p in (*policies, *pools))
    assert np.abs(sampled - exact).max() < 6 * spread / np.sqrt(worth)
    exact, sampled = (min_max_regret(policies, rewards, x).solution for x in (items, found))
    assert sampled.value == pytest.approx(exact.value, abs=12 * spread / np.sqrt(worth))
    assert sampled.weights == pytest.approx(exact.weights, abs=0.15)
    assert min_max_kl_regret(policies, found).solution.weights == pytest.approx(
        min_max_kl_regret(policies, items).solution.weights, abs=0.05
    )


def test_draws_of_a_model_of_transformers_follow_its_probabilities():
    """Chi-square over all 40 responses (alphabet of 3 and an end, 1 to 3 tokens) at 1e-9; generate cuts nothing off."""
    transformers = pytest.importorskip("transformers", reason="pip install annosim[hf]")
    config = transformers.GPT2Config(
        vocab_size=4,
        n_positions=8,
        n_embd=8,
        n_layer=1,
        n_head=2,
        bos_token_id=0,
        eos_token_id=0,
        initializer_range=0.8,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        lm = transformers.GPT2LMHeadModel(config)
    lm.generation_config.top_k, lm.generation_config.temperature = 2, 0.1  # what a model's own settings may say
    own = lm.generation_config
    own.suppress_tokens, own.bad_words_ids, own.stop_strings = [3], [[2]], ["no"]
    policy, items = an.LogPolicy(lm), listed([[1, 2]], end=0, length=3, vocabulary=4)
    found = rollouts(policy, [[1, 2]], samples=3000, max_tokens=3, end=0, seed=2)
    with torch.no_grad():
        expected = 3000 * policy(items).double().exp().numpy()
    drawn = {tuple(t): int(c) for t, c in zip(found.tokens.tolist(), found.columns["draws"], strict=True)}
    width = found.tokens.shape[1]
    seen = np.array([drawn.pop(tuple((t + [-1] * width)[:width]), 0) for t in items.tokens.tolist()])
    assert not drawn and items.n == 40  # 1 + 3 + 9 that end, 27 that are cut
    rare = expected < 5
    counts = np.append(seen[~rare], seen[rare].sum()), np.append(expected[~rare], expected[rare].sum())
    statistic = float(((counts[0] - counts[1]) ** 2 / counts[1].clip(1e-9)).sum())
    assert statistic < chi2.isf(1e-9, len(counts[0]) - 1)
    assert lm.generation_config is own and own.suppress_tokens == [3]
    assert effective_samples(policy, found) == pytest.approx([3000.0], rel=1e-5)


def test_seeds_are_addresses_and_models_stay_as_they_were():
    one = chain(3)
    before = torch.random.get_rng_state()
    a, b, c = (rollouts(one, PROMPTS, 20, max_tokens=LENGTH, seed=s) for s in (5, 5, 6))
    assert torch.equal(a.tokens, b.tokens) and torch.equal(a.weights, b.weights)
    assert a.n != c.n or not torch.equal(a.tokens, c.tokens) or not torch.equal(a.weights, c.weights)
    assert torch.equal(before, torch.random.get_rng_state())
    more = rollouts(one, [*PROMPTS, [1]], 20, max_tokens=LENGTH, seed=5)  # a further prompt changes no other's draws
    assert torch.equal(more.tokens[: a.n, : a.tokens.shape[1]], a.tokens)


def test_draws_of_another_policy_are_worth_less():
    own, other = chain(0), chain(7, scale=3.0)
    items = rollouts(other, [[0]], samples=500, max_tokens=4, seed=0)
    assert effective_samples(own, items)[0] < 250 < effective_samples(other, items)[0]


def test_long_responses_keep_finite_weights():
    """300 tokens of 3 nats and more: probabilities of exp(-1000) are no numbers, their ratios within a prompt are."""
    wide = chain(0, scale=0.1, vocabulary=40)
    items = rollouts(wide, [[0], [1]], samples=8, max_tokens=300)
    assert bool(torch.isfinite(items.weights).all()) and bool((items.weights > 0).all())
    assert effective_samples(wide, items) == pytest.approx([8.0, 8.0], rel=1e-3)


@pytest.mark.parametrize("end", [None, 0])
def test_the_gradient_of_drawn_responses_is_unbiased(end):
    """Mean of 150 gradients of 8 draws to each prompt; each of 9 coordinates within six standard errors (2e-8 in all)."""
    policy, reference, u, gamma = chain(0), chain(1), reward(2), 0.7
    items = listed(end=end)
    with torch.no_grad():
        log_ref = reference(items).double()
    log_pi = policy(items).double()
    exact_j = (log_pi.exp() * (u(items) - gamma * (log_pi - log_ref))).sum() / 2
    (exact,) = torch.autograd.grad(exact_j, policy.model.weight)
    found = []
    for round_ in range(150):
        drawn = responses(policy, PROMPTS, 8, LENGTH, end, seed=round_)
        log_pi = policy(drawn).double()
        with torch.no_grad():
            score = u(drawn) - gamma * (log_pi.detach() - reference(drawn).double())
        ids = torch.arange(drawn.n).view(2, 8)
        loss = surrogate(log_pi, ids, score, "leave-one-out", torch.zeros(2))
        found.append(torch.autograd.grad(loss, policy.model.weight)[0])
    each = torch.stack(found).double()
    error = each.std(0) / 150**0.5
    assert bool(((each.mean(0) - exact.double()).abs() < 6 * error + 1e-6).all())
    assert float(error.max()) < 0.5 * float(exact.abs().max())


def test_a_language_model_reaches_the_gibbs_optimum_on_its_own_responses():
    policy, reference, u, gamma = chain(0), chain(1, 0.3), reward(2), 1.0
    before = policy.model.weight.detach().clone()
    found = sampled_policy_gradient(
        policy, u, reference, gamma, [[0]], max_tokens=1, steps=120, batch=32, learning_rate=0.1
    )
    items = listed([[0]], length=1)
    best = float(
        kl_regularised_objective(an.policies.gibbs(reference, wrapped(u), gamma), wrapped(u), reference, gamma, items)
    )
    reached = float(kl_regularised_objective(found.policy, wrapped(u), reference, gamma, items))
    assert (
        best - reached < 0.01
        and best - float(kl_regularised_objective(policy, wrapped(u), reference, gamma, items)) > 0.1
    )
    assert abs(found.objective - reached) < 6 * found.standard_error + 1e-6
    assert torch.equal(policy.model.weight, before) and found.steps == len(found.trace) == 120
    again = [
        sampled_policy_gradient(policy, u, reference, gamma, [[0]], max_tokens=1, steps=3, seed=seed).policy
        for seed in (1, 1, 2)
    ]
    assert torch.equal(again[0].model.weight, again[1].model.weight)
    assert not torch.equal(again[0].model.weight, again[2].model.weight)


def wrapped(function):
    class Wrapped(an.Utility):
        def forward(self, items):
            return function(items)

    return Wrapped()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: rollouts([], PROMPTS, max_tokens=2), "give language models"),
        (lambda: rollouts(an.LogDensity(an.Tabular(3)), PROMPTS, max_tokens=2), "give language models"),
        (lambda: rollouts(an.LogPolicy(chain(0).model, per_token=True), PROMPTS, max_tokens=2), "per_token"),
        (lambda: rollouts(chain(0), [], max_tokens=2), "at least one prompt"),
        (lambda: rollouts(chain(0), [3], max_tokens=2), "a list of token ids for each prompt"),
        (lambda: rollouts(chain(0), ["ab"], max_tokens=2), "a list of token ids for each prompt"),
        (lambda: rollouts(chain(0), [[7]], max_tokens=2), "no embedding for something in the items' tokens"),
        (lambda: rollouts(chain(0), [[]], max_tokens=2), "an empty prompt"),
        (lambda: rollouts(chain(0), PROMPTS, samples=0, max_tokens=2), "samples"),
        (lambda: rollouts(chain(0), PROMPTS, max_tokens=0), "max_tokens"),
        (lambda: sampled_policy_gradient(chain(0), reward(0), chain(1), 0.0, PROMPTS, max_tokens=1), "gamma=0"),
        (lambda: sampled_policy_gradient(chain(0), reward(0), [0.5], 1.0, PROMPTS, max_tokens=1), "reference="),
        (
            lambda: sampled_policy_gradient(chain(0), reward(0), chain(1), 1.0, PROMPTS, max_tokens=1, steps=-1),
            "steps=-1",
        ),
    ],
)
def test_bad_input_is_refused_in_one_line(call, words):
    with pytest.raises(ArgumentError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_a_policy_with_nothing_free_is_refused():
    frozen = chain(0)
    frozen.requires_grad_(False)
    with pytest.raises(NothingFreeError, match="sampled_policy_gradient"):
        sampled_policy_gradient(frozen, reward(0), chain(1), 1.0, PROMPTS, max_tokens=1)


def test_all_sequences_of_one_prompt_are_the_listed_ones():
    assert all_sequences(VOCABULARY, LENGTH).n == listed([[0]]).n
