"""Rules: how one answers. One file per family; ``habits.py`` wraps any of them."""
