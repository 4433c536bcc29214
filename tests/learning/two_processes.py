"""What tests/learning/test_processes.py trains, alone and on two processes; as a program it writes the losses to a file."""

import sys

import numpy as np
import torch

import annosim as an
from annosim.learning.training.network_em import train_em
from annosim.learning.training.run import train

VOCABULARY = 6


def language_model(seed):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return torch.nn.Sequential(
            torch.nn.Embedding(VOCABULARY, 8), torch.nn.Linear(8, 8), torch.nn.Tanh(), torch.nn.Linear(8, VOCABULARY)
        )


def people(questions=4, annotators=13, seed=0):
    """Two kinds of people, and their answers about twelve responses to a prompt of one token."""
    rng = np.random.default_rng(3)
    tokens = np.column_stack([np.ones(12, dtype=int), rng.integers(0, VOCABULARY, size=(12, 3))])
    items = an.Items(tokens=tokens, columns={"prompt_length": np.ones(12, dtype=int)})
    truth = an.Mixture([an.Annotator(an.Tabular(s * np.arange(12) / 4), an.Luce()) for s in (1, -1)])
    design = an.Design(items, annotators=annotators, questions=questions)
    return an.simulate(truth, design, seed=seed, path="reference")  # nothing to compile


def dpo(start):
    return an.Annotator(an.LogPolicy(start), an.PBDE.dpo(0.7, an.LogPolicy(language_model(1))))


def mixture():
    return an.Mixture([dpo(one) for one in an.utilities.with_adapters(language_model(1), rank=2, copies=2)])


def trained(case, folder):
    """Losses, of every step and reported at the end, and the last gradient and the trained numbers."""
    if case == "batches":  # 13 annotators in minibatches of 5: shares of 3 and 2, of 2 and 1
        settings = an.Adam(steps=12, lr=1e-2, batch=5, accumulate=2, held_out=0.2, evaluate_every=4, weight_decay=0.01)
        done = train(dpo(language_model(1)), people(), solver=settings, seed=1)
    elif case == "one by one":  # a batch of one annotator is smaller than the number of processes
        done = train(dpo(language_model(1)), people(), solver=an.Adam(steps=5, lr=1e-2, batch=1), starts=2)
    elif case == "em":
        done = train_em(mixture(), people(), an.EM(steps=15, lr=2e-2, batch=6, e_step_every=5), starts=2)
    elif case == "line search":
        done = train_em(mixture(), people(), an.EM(steps=8, e_step_every=4, m_step="line-search"))
    elif case == "resumed":  # begun on one process
        done = train(
            dpo(language_model(1)), people(), solver=an.Adam(steps=9, lr=1e-2, batch=4, checkpoint=folder / "c")
        )
    losses = [done.log.losses().flatten(), done.loss]
    if done.held_out_loss is not None:
        losses.append(done.held_out_loss)
    if done.em is not None:
        losses.append(torch.as_tensor(done.em.log_likelihood).flatten())
    numbers = [done.gradient_norm]
    numbers += [p.detach().flatten() for one in done.populations for p in one.free_parameters().values()]
    return [np.concatenate([np.asarray(part.double()).ravel() for part in parts]) for parts in (losses, numbers)]


CASES = ("batches", "one by one", "em", "line search", "resumed")

if __name__ == "__main__":
    import os
    from pathlib import Path

    out = Path(sys.argv[1])
    results = {}
    for case in CASES:
        results[f"{case} losses"], results[f"{case} numbers"] = trained(case, out)
    refused = ""
    if os.environ["RANK"] != "0":
        torch.manual_seed(99)
    try:
        train(dpo(torch.nn.Embedding(VOCABULARY, VOCABULARY)), people(), solver=an.Adam(steps=1))
    except an.errors.ArgumentError as error:
        refused = str(error)
    np.savez(out / f"process{os.environ['RANK']}.npz", refused=refused, **results)
    torch.distributed.destroy_process_group()
