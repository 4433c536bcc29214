"""Pages of the reference that are written from the library itself before Sphinx reads them.

A page for each namespace (its public names, from ``__all__``), the command line (from ``--help``), the tables of a
scenario file (from pydantic's schema), the errors and the theorems (from their docstrings and statements). All of it goes
into ``docs/reference/generated``, which is not kept in the repository.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from sphinx.application import Sphinx
from sphinx.config import Config

import annosim as an

PLACE = Path("reference") / "generated"
ROOT = Path(__file__).parents[2]


def namespaces() -> Iterator[ModuleType]:
    """The rooms with a public face, in alphabetical order."""
    for name in sorted(an.__all__):
        thing = getattr(an, name)
        if isinstance(thing, ModuleType):
            yield thing


def first_paragraph(thing: object) -> str:
    return " ".join((inspect.getdoc(thing) or "").partition("\n\n")[0].split())


def heading(text: str, mark: str = "=") -> str:
    return f"{text}\n{mark * len(text)}\n"


def names_of(module: ModuleType) -> list[str]:
    """Public names that are not namespaces themselves."""
    return sorted((n for n in module.__all__ if not isinstance(getattr(module, n), ModuleType)), key=str.lower)


def described(thing: object) -> bool:
    """Whether it has a signature and a docstring of its own."""
    return inspect.isclass(thing) or inspect.isroutine(thing)


@cache
def homes() -> dict[int, str]:
    """Where each class and function is described: under the shortest of its public names."""
    found: dict[int, str] = {}
    for module in [an, *namespaces()]:
        for name in names_of(module):
            if described(thing := getattr(module, name)):
                found.setdefault(id(thing), f"{module.__name__}.{name}")
    return found


def listing(title: str, entries: Iterable[str]) -> str:
    lines = "".join(f"   ~{entry}\n" for entry in entries)
    return f"{heading(title, '-')}\n.. autosummary::\n   :toctree: api\n   :nosignatures:\n\n{lines}\n" if lines else ""


def comment_on(module: ModuleType, name: str) -> str:
    """The ``#:`` lines above a value where it is defined: in the module itself or in a file of its room."""
    file = Path(module.__file__ or "")
    for source in [file] if file.name != "__init__.py" else sorted(file.parent.rglob("*.py")):
        found = re.search(rf"((?:^#: .*\n)+)^{name}\b[^\n(]*=", source.read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return " ".join(line.removeprefix("#:").strip() for line in found[1].splitlines())
    return ""


def values(module: ModuleType, names: Sequence[str]) -> str:
    """Constants and type aliases, with what the source says of them."""
    text = heading("Values", "-") + "\n" if names else ""
    for name in names:
        text += f".. py:data:: {module.__name__}.{name}\n\n   {comment_on(module, name)}\n\n"
    return text


def namespace_page(module: ModuleType) -> str:
    where = module.__name__
    things = {n: getattr(module, n) for n in names_of(module)}
    here = {n: t for n, t in things.items() if homes().get(id(t)) == f"{where}.{n}"}
    elsewhere = [homes()[id(t)] for n, t in things.items() if described(t) and n not in here]
    also = ", ".join(f":py:obj:`{home.replace('annosim', 'an', 1)} <{home}>`" for home in elsewhere)
    return "\n".join(
        [
            heading(where.replace("annosim.", "an.") if where != "annosim" else "annosim: the names at the top"),
            inspect.getdoc(module) or "",
            "",
            listing("Functions", (f"{where}.{n}" for n, t in here.items() if inspect.isroutine(t))),
            listing("Classes", (f"{where}.{n}" for n, t in here.items() if inspect.isclass(t))),
            values(module, [n for n, t in things.items() if not described(t)]),
            f"{heading('Described elsewhere', '-')}\n{also}\n" if also else "",
        ]
    )


def plain(text: str | None) -> str:
    """A text of the command line in one line, as a table's cell."""
    return " ".join((text or "").split()).replace("|", "\\|")


def command_pages(command: Any, path: str) -> Iterator[str]:
    """A section for a command, and for each of a group's commands."""
    context = command.make_context(path, [], resilient_parsing=True)
    if not hasattr(command, "commands"):  # a group says nothing that its commands do not
        usage = " ".join([path, *command.collect_usage_pieces(context)])
        yield f"## {path}\n\n```text\n{usage}\n```\n\n{inspect.cleandoc(command.help or '')}\n"
        rows = [p for p in command.params if not getattr(p, "hidden", False) and p.name != "help"]
        if rows:
            yield "| | | default |\n|---|---|---|"
            for p in rows:
                names = (
                    ", ".join(f"`{o}`" for o in p.opts)
                    if p.param_type_name == "option"
                    else f"`{(p.metavar or p.name).upper()}`"
                )
                yield f"| {names} | {plain(getattr(p, 'help', ''))} | {shown_default(p, context)} |"
        epilog = re.sub(r"^Examples?: ", "Example: ", plain(command.epilog))
        yield f"\n{epilog}\n"
    for name, inner in getattr(command, "commands", {}).items():
        yield from command_pages(inner, f"{path} {name}")


def shown_default(parameter: Any, context: Any) -> str:
    """The default as the help says it."""
    shown = getattr(parameter, "show_default", None)
    if isinstance(shown, str):
        return plain(shown)
    value = parameter.get_default(context)
    if value is None or value is False or value == () or callable(value) or parameter.required:
        return "required" if parameter.required else ""
    return f"`{plain(str(value))}`"


def command_line_page() -> str:
    from typer.main import get_command

    from annosim.cli import build

    intro = (
        "# The command line\n\nWritten from each command's `--help`. Bad input is one line on standard error, which names the "
        "key, row or option and the remedy, and exit code 2; a command's other exit codes stand in its last line.\n"
    )
    return "\n".join([intro, *command_pages(get_command(build()), "annosim")])


def type_in_words(schema: Mapping[str, object]) -> str:
    """A type of a JSON schema as a person would write it."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f"table {{ref}}`{TABLES.get(name, name)} <scenario-{name.lower()}>`"
    for key in ("anyOf", "oneOf"):
        if key in schema:
            kinds = [type_in_words(one) for one in schema[key] if one.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds))
    if "enum" in schema or "const" in schema:
        return " or ".join(f'`"{value}"`' for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {type_in_words(schema.get('items', {}))}"
    words = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false"}
    limits = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    said = [f"{word} {schema[key]}" for key, word in limits.items() if key in schema and abs(schema[key]) < 1e15]
    return ", ".join([words.get(str(schema.get("type")), "table with a `kind`"), *said])


#: The tables of a scenario as the file names them, in the order of the page.
TABLES = {
    "NormalItems": "items: normal features",
    "GridItems": "items: a grid",
    "CsvItems": "items: from a CSV file",
    "InlineItems": "items: in the file",
    "PopulationTable": "population, model",
    "TypeTable": "population.types",
    "SpammersTable": "population.spammers",
    "GateTable": "population.gate",
    "DesignTable": "design",
    "DataTable": "data",
    "FitTable": "fit",
    "PlanTable": "plan",
    "AmongTable": "plan.among",
    "GridTable": "plan.among.any_tastes",
    "CostTable": "plan.cost",
}


def scenario_page() -> str:
    from annosim.scenario.reading import ScenarioTable

    schema = ScenarioTable.model_json_schema()
    tables = {"": schema, **{name: schema["$defs"][name] for name in TABLES}, **schema["$defs"]}
    text = [
        "# Scenario files\n",
        "What `annosim simulate|fit|identify|plan SCENARIO.toml` reads: plain data, no code. Every key is checked; an unknown "
        "one, or a value that is not allowed, is one line that names the key. The tables below are written from the schema that "
        "checks them ([as JSON](scenario.schema.json), for editors that complete TOML). `annosim simulate --list` lists what a `kind` may be.\n",
    ]
    for name, table in tables.items():
        text.append(
            f"(scenario-{name.lower()})=\n## {TABLES.get(name, name) or 'The file'}\n\n{plain(table.get('description'))}\n\n| key | value | default | |\n|---|---|---|---|"
        )
        for key, field in table.get("properties", {}).items():
            default = (
                "required"
                if key in table.get("required", [])
                else ""
                if field.get("default") is None
                else f"`{json.dumps(field['default'])}`"
            )
            text.append(f"| `{key}` | {type_in_words(field)} | {default} | {plain(field.get('description'))} |")
        text.append("")
    return "\n".join(text)


def theorems_list() -> str:
    """A paragraph for each theorem."""
    from annosim.identifiability.theorems import THEOREMS

    def text(words: str) -> str:
        return re.sub(r"([*~^|<>])", r"\\\1", words)

    return "\n\n".join(
        f"`{t.name}`\n: {text(t.statement)} If: {text(t.conditions)}. *{text(t.source)}*" for t in THEOREMS.values()
    )


def contributing() -> str:
    """CONTRIBUTING.md with the drawing of the rooms as a picture, which GitHub draws itself."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return re.sub(
        r"```mermaid.*?```",
        "```{image} ../../images/rooms.svg\n:alt: the rooms, from the foundations to the commands\n```",
        text,
        flags=re.DOTALL,
    )


def write_all(folder: Path, notebooks: Path) -> None:
    """Write every page; one that has not changed is left alone, so that Sphinx does not read it again."""
    from annosim.scenario.reading import ScenarioTable

    pages = {f"{module.__name__.replace('.', '-')}.rst": namespace_page(module) for module in [an, *namespaces()]}
    pages["command-line.md"] = command_line_page()
    pages["scenario.md"] = scenario_page()
    pages["scenario.schema.json"] = json.dumps(ScenarioTable.model_json_schema(), indent=1)
    pages["theorems.inc"] = theorems_list()
    pages["contributing.md"] = contributing()
    keep(folder, pages)
    keep(notebooks, {file.name: notebook(file) for file in sorted((ROOT / "notebooks").glob("*.ipynb"))})


def notebook(file: Path) -> str:
    """A notebook as it stands in the repository, with its outputs and their date; widgets of the terminal are left out."""
    page = json.loads(file.read_text(encoding="utf-8"))
    told = page["metadata"].get("annosim")
    when = "Not executed for this version"
    if told is not None:
        used = told["versions"]
        when = f"Executed on {told['executed']} with annosim {used['annosim']}, Python {used['python']}, torch {used['torch']}"
    head = next(cell for cell in page["cells"] if cell["cell_type"] == "markdown")
    head["source"] = [*head["source"], f"\n\n*{when}; `notebooks/{file.name}` in the repository.*"]
    for cell in page["cells"]:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "text/plain" in data:  # matplotlib's and rich's repr without the page's own style sheets
                data.pop("text/html", None)
    return json.dumps(page, indent=1)


def keep(folder: Path, pages: Mapping[str, str]) -> None:
    """The folder holds these pages and no others."""
    folder.mkdir(parents=True, exist_ok=True)
    for stray in folder.iterdir():
        if stray.is_file() and stray.name not in pages:
            stray.unlink()
    for name, text in pages.items():
        file = folder / name
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")


def pages_with_names(app: Sphinx, config: Config) -> None:
    """Tells autosummary where names are listed: by itself it misses pages that were not there in the last build."""
    config.autosummary_generate = sorted(str(PLACE / file.name) for file in (Path(app.srcdir) / PLACE).glob("*.rst"))


def setup(app: Sphinx) -> dict[str, bool]:
    write_all(Path(app.srcdir) / PLACE, Path(app.srcdir) / "gallery" / "generated")
    app.connect("config-inited", pages_with_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
