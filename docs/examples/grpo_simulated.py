"""A policy trained by reinforcement learning (GRPO or RLOO) on simulated people: two thirds like short answers.

python grpo_simulated.py --model my-model --steps 100
"""

import argparse

import torch
import trl
from datasets import Dataset

import annosim as an

parser = argparse.ArgumentParser()
parser.add_argument("--model", default="Qwen/Qwen2.5-0.5B-Instruct")
parser.add_argument("--trainer", choices=["GRPO", "RLOO"], default="GRPO")
parser.add_argument("--out", default="rl")
parser.add_argument("--steps", type=int, default=100)
parser.add_argument("--tokens", type=int, default=32)
chosen = parser.parse_args()


def features(prompts, completions):
    """Length, in tens of characters."""
    return [[len(text) / 10] for text in completions]


brief, wordy = (an.Annotator(an.Linear([weight]), an.Luce()) for weight in (-1.0, 1.0))
people = an.Mixture([brief, wordy], [2 / 3, 1 / 3])
reward = an.trl.reward_function(people, features=features, answers=5, seed=0)  # five people compare, with their noise

config, kind = getattr(trl, f"{chosen.trainer}Config"), getattr(trl, f"{chosen.trainer}Trainer")
trainer = kind(
    chosen.model,
    reward_funcs=reward,
    args=config(
        chosen.out,
        max_steps=chosen.steps,
        max_completion_length=chosen.tokens,
        num_generations=4,
        per_device_train_batch_size=8,
        save_strategy="no",
        report_to=[],
        use_cpu=not torch.cuda.is_available(),
        bf16=torch.cuda.is_available(),
        logging_steps=1,
    ),
    train_dataset=Dataset.from_dict({"prompt": ["What is tea? ", "Is it late? "] * 8}),
)
trainer.train()
rewards = [entry["reward"] for entry in trainer.state.log_history if "reward" in entry]
print("mean reward of each step:", [round(value, 3) for value in rewards])
