"""Networks: Adam and EM over networks, all replicates and starts as one batched program."""
