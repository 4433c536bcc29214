"""EM-DPO by TRL: a script of TRL's, in which three lines are others.

python em_dpo_trl.py --model my-model --data my-rows.jsonl --steps 200
accelerate launch em_dpo_trl.py ...             on several GPUs
"""

import argparse

import torch
from datasets import load_dataset
from trl import DPOConfig

import annosim as an  # 1

parser = argparse.ArgumentParser()
parser.add_argument("--model", default="Qwen/Qwen2.5-0.5B-Instruct")
parser.add_argument("--data", required=True, help="prompt, chosen, rejected, annotator")
parser.add_argument("--out", default="em-dpo")
parser.add_argument("--steps", type=int, default=200)
chosen = parser.parse_args()

trainer = an.trl.PreferenceMixtureTrainer(  # 2: DPOTrainer(
    chosen.model,
    args=DPOConfig(
        chosen.out,
        beta=0.1,
        max_steps=chosen.steps,
        learning_rate=1e-5,
        per_device_train_batch_size=8,
        save_strategy="no",
        report_to=[],
        use_cpu=not torch.cuda.is_available(),
        bf16=torch.cuda.is_available(),
    ),
    train_dataset=load_dataset("json", data_files=chosen.data, split="train"),
    types=2,  # 3
    annotator="annotator",
    em=an.EM(e_step_every=20),
)
trainer.train()
trainer.save_model(chosen.out)  # type_0, type_1
print("shares of the types:", trainer.weights.round(3))
print("log-likelihood at the E-steps:", [round(value, 3) for value in trainer.log_likelihoods])
print(
    "first annotators:", dict(zip(trainer.annotators[:5], trainer.responsibilities[:5].round(3).tolist(), strict=True))
)
