"""The first example: it explains what it has trained, and refuses a folder that is not there before it trains."""

import pytest

from tests.examples import load_example


@pytest.mark.slow
def test_quickstart(tmp_path, capsys):
    path = tmp_path / "page.html"
    report = load_example("quickstart").main(["--epochs", "6", "--report", str(path)])
    assert list(report.reasons)[:2] == ["Grad-CAM", "Occlusion"]
    assert len(report.predictions) == 450 and (report.predictions["prediction"] == report.predictions["label"]).mean() > 0.8
    assert "<h1>" in path.read_text(encoding="utf-8") and str(path) in capsys.readouterr().out


def test_a_folder_that_is_not_there(tmp_path, capsys):
    with pytest.raises(SystemExit):
        load_example("quickstart").main(["--report", str(tmp_path / "missing" / "page.html")])
    assert "create it first" in capsys.readouterr().err
