"""The page of ``annosim explore``: it asks, calls :func:`annosim.explore.exploration.explore`, and draws."""

import marimo

app = marimo.App(width="full", app_title="annosim explore", css_file="app.css")


@app.cell
def _():
    import marimo as mo

    from annosim.errors import AnnosimError
    from annosim.explore.drawing import draw_law, draw_utilities
    from annosim.explore.exploration import NAMES, OPENING, QUESTIONS, RULES, explore

    return AnnosimError, NAMES, OPENING, QUESTIONS, RULES, draw_law, draw_utilities, explore, mo


@app.cell
def _(OPENING, QUESTIONS, RULES, mo):
    def utility(item, value):
        return mo.ui.slider(-6.0, 6.0, 0.5, value, debounce=True, label=f"{item}", show_value=True)

    _first, _second, _share = OPENING
    first_b, first_c = utility("B", _first[0]), utility("C", _first[1])
    second_b, second_c = utility("B", _second[0]), utility("C", _second[1])
    weight = mo.ui.slider(0.05, 0.95, 0.05, _share, debounce=True, label="share", show_value=True)
    rule = mo.ui.dropdown(list(RULES), "logit", label="rule")
    question = mo.ui.dropdown(list(QUESTIONS), "pairs", label="question")
    answers = mo.ui.slider(1, 3, 1, 1, debounce=True, label="answers", show_value=True)
    beta = mo.ui.slider(0.25, 4.0, 0.25, 1.0, debounce=True, label="β", show_value=True)
    return answers, beta, first_b, first_c, question, rule, second_b, second_c, weight


@app.cell
def _(AnnosimError, answers, beta, explore, first_b, first_c, question, rule, second_b, second_c, weight):
    try:
        found = explore(
            (first_b.value, first_c.value),
            (second_b.value, second_c.value),
            weight.value,
            rule=rule.value,
            question=question.value,
            answers=answers.value,
            beta=beta.value,
        )
        problem = ""
    except AnnosimError as error:
        found, problem = None, str(error)
    return found, problem


@app.cell
def _(
    NAMES,
    answers,
    beta,
    draw_law,
    draw_utilities,
    first_b,
    first_c,
    found,
    mo,
    problem,
    question,
    rule,
    second_b,
    second_c,
    weight,
):
    def numbers(values):
        return ", ".join(f"{name} {value:.2f}" for name, value in zip(NAMES, values, strict=True))

    def twin_of(one):
        if one.twin is None:
            return "No other population of two types with the same law was found."
        utilities, share = one.twin
        return (
            f"**A twin, with the same law:** {share:.0%} with {numbers(utilities[0])}; "
            f"{1 - share:.0%} with {numbers(utilities[1])}."
        )

    controls = mo.vstack(
        [
            mo.md("### Type 1: utilities (A is 0)"),
            first_b,
            first_c,
            mo.md("### Type 2: utilities"),
            second_b,
            second_c,
            mo.md("### How many are of type 1"),
            weight,
            mo.md("### What they are asked"),
            question,
            answers,
            rule,
            beta,
        ],
        gap=0.4,
    )
    if found is None:
        shown = mo.callout(mo.md(problem), kind="warn")
    else:
        kind = "success" if found.report.exit_code == 0 else "warn"
        shown = mo.vstack(
            [
                mo.md(f"## {found.finding}"),
                mo.hstack(
                    [
                        mo.vstack([mo.md("### The law: what they say"), draw_law(found)]),
                        mo.vstack([mo.md("### What is learned"), draw_utilities(found)]),
                    ],
                    widths="equal",
                ),
                mo.md(f"DPO with a uniform reference ends at the policy {numbers(found.policy)}."),
                mo.callout(
                    mo.md(
                        f"## Can the two types be known? {found.verdict.capitalize()}\n\n{found.meaning.capitalize()}. {twin_of(found)}"
                    ),
                    kind=kind,
                ),
                mo.md(f"**What it costs.** {found.price}"),
            ],
            gap=0.6,
        )
    mo.hstack([controls, shown], widths=[1, 4], gap=2, align="start")
    return


if __name__ == "__main__":
    app.run()
