from .entries import FigureEntry as FigureEntry
from .entries import HtmlTable as HtmlTable
from .entries import TableEntry as TableEntry
from .numbers import format_number as format_number
from .pages import render as render
from .pages import write_page as write_page

__all__ = ["FigureEntry", "HtmlTable", "TableEntry", "format_number", "render", "write_page"]
