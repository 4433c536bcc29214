"""Layouts of tables, one family a file: how each is recognised, and how it is read."""
