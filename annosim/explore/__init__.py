"""A page to try things on: two types of annotators, a rule and a question, and at once what can be learned from them.

``exploration`` computes, ``drawing`` draws, ``app`` is the page (marimo) and ``server`` opens it on this machine only.
"""
