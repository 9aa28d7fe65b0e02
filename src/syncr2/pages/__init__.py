"""The report's pages: tables and records go in, self-contained HTML comes out. Only `records` reads files.

Model answers, scenario texts and names are data: every template escapes all that it is given, and the pages
forbid scripts and outside addresses (Content-Security-Policy), so that nothing in a dialogue can act in a
reader's browser.
"""

from syncr2.pages.control_tables import ControlTables
from syncr2.pages.controls import controls_page, left_out
from syncr2.pages.departures import departures
from syncr2.pages.judges import JudgeTables, judges_page
from syncr2.pages.layout import Column, Download, Head, Table, render
from syncr2.pages.paper import PaperTables, paper_page
from syncr2.pages.parameters import parameters_page
from syncr2.pages.probes import ProbeTables, probes_page
from syncr2.pages.protocols import in_short
from syncr2.pages.provenance import provenance_page
from syncr2.pages.records import Trace, gather
from syncr2.pages.results import ResultTables, results_page, without_states
from syncr2.pages.statistics import StatisticsTables, statistics_page
from syncr2.pages.transcripts import choose_samples, dialogues_page

__all__ = [
    "Column",
    "ControlTables",
    "Download",
    "Head",
    "JudgeTables",
    "PaperTables",
    "ProbeTables",
    "ResultTables",
    "StatisticsTables",
    "Table",
    "Trace",
    "choose_samples",
    "controls_page",
    "departures",
    "dialogues_page",
    "gather",
    "in_short",
    "judges_page",
    "left_out",
    "paper_page",
    "parameters_page",
    "probes_page",
    "provenance_page",
    "render",
    "results_page",
    "statistics_page",
    "without_states",
]
