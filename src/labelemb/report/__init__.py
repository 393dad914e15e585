"""Reports of finished runs: tables, charts and one HTML page. Reads run folders only."""

from labelemb.report.report import Judgements, Report, make_report
from labelemb.report.similarity import similar

__all__ = ["Judgements", "Report", "make_report", "similar"]
