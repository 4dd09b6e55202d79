"""The page of a report: one HTML file that needs nothing else; imports nothing heavy."""

from study.report.page.render import write_page

__all__ = ["write_page"]
