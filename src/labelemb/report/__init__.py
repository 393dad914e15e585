"""The report: reads run folders, and writes table, curves, heat maps and one page."""

from labelemb.report.report import Report, make_report
from labelemb.report.similarity import similar

__all__ = ["Report", "make_report", "similar"]
