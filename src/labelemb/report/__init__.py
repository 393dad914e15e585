"""Reports of finished runs: tables, charts and one HTML page. Reads run folders only."""

from labelemb.report.report import Report, make_report
from labelemb.report.similarity import similar

__all__ = ["Report", "make_report", "similar"]
