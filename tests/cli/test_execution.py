"""Where runs are trained, and their report written: the shares of a job array, URLs."""

from pathlib import Path
from typing import Any

import fsspec
import pytest

from labelemb.cli.execution import Execution
from labelemb.cli.run_plan import Request


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20])
def test_the_shares_of_a_plan_are_even_and_make_it_whole(count: int) -> None:
    plan: list[Any] = [(seed, method) for seed in range(5) for method in "ab"]
    shares = [Execution(shard=(index, count)).share_of(plan) for index in range(1, count + 1)]
    assert [run for share in shares for run in share] == plan
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_report_goes_where_the_runs_are(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "digits"
    (folder / "report").mkdir(parents=True)
    (folder / "report" / "report.html").write_text("here")
    (tmp_path / "runs" / "report").mkdir()
    url = f"memory://{tmp_path.name}/digits"
    request: Any = Request(*[None] * 4, folder, None, Execution(), url)  # type: ignore[arg-type]
    assert request.publish_report(folder / "report") == f"{url}/report"
    assert request.publish_report(folder.parent / "report") == f"memory://{tmp_path.name}/report"
    assert request.publish_report(tmp_path / "elsewhere") == str(tmp_path / "elsewhere")
    assert fsspec.filesystem("memory").cat(f"/{tmp_path.name}/digits/report/report.html") == b"here"
