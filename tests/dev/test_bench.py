"""The benches do what they measure; what they measure is nobody's test."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]


def test_the_file_bench_imports_two_months_and_the_second_again():
    command = [
        sys.executable,
        "-m",
        "hub",
        "bench",
        "file",
        "--households",
        "120",
        "--changed",
        "0.2",
        "--json",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert ended.returncode == 0, ended.stderr[-2000:]
    report = json.loads(ended.stdout)
    assert [i["name"] for i in report["imports"]] == ["baseline", "changes", "again"]
    baseline, changes, again = report["imports"]
    assert baseline["households"] >= 118
    assert changes["events"] > 0
    assert again["events"] == 0
    assert all(i["peak_rss_mib"] > 0 and i["seconds"] > 0 for i in report["imports"])
    assert report["unaccounted"] == 0
