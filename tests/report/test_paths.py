"""Every public plot saves its figure where `path` tells, in one and the same way."""

import functools
import inspect
from unittest import mock

import matplotlib
import pytest

import keras_xai
from keras_xai.report import figure as figures
from tests.inputs.calls import sites


def plots():
    """Maps the name of each public function and method that returns a figure to it."""
    found = {}
    for package in keras_xai.__all__:
        module = getattr(keras_xai, package)
        for name in module.__all__:
            thing = getattr(module, name)
            members = [(name, thing)] if inspect.isfunction(thing) else inspect.getmembers(thing, inspect.isfunction)
            for member, function in members:
                if not member.startswith("_") and (
                    "plot" in member or "Figure" in str(inspect.signature(function).return_annotation)
                ):
                    found[function.__qualname__] = function
    return found


PLOTS = plots()
SITES = {name.partition(".")[2]: site for name, site in sites().items() if name.partition(".")[2] in PLOTS}


def test_every_plot_has_a_path():
    assert len(PLOTS) >= 33 and {"Plane.plot", "Diagnosis.plot_depth", "filters_plot", "heatmap"} <= PLOTS.keys()
    for name, function in PLOTS.items():
        path = inspect.signature(function).parameters.get("path")
        assert path is not None, f"{name} has no `path`."
        assert (path.kind, path.default) == (path.KEYWORD_ONLY, None), name
        assert " path: Where to save the figure as well; " in function.__doc__, name
    assert SITES.keys() == PLOTS.keys()


QUICK = ("Generation.plot_matrix", "Plane.plot", "heatmap")


@pytest.mark.parametrize("name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in PLOTS])
def test_a_plot_is_saved(name, tmp_path):
    site = SITES[name]
    with matplotlib.rc_context({"savefig.dpi": 12}):
        figure = site.call(site.owner and site.owner(), site.arguments() | {"path": tmp_path / "picture.png"})
    assert isinstance(figure, figures.ShownFigure)
    assert [each.name for each in tmp_path.iterdir()] == ["picture.png"]
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", PLOTS)
def test_a_wrong_path_is_refused_before_any_work(name, monkeypatch, tmp_path):
    """The other arguments, which are no data that could be drawn, are not looked at."""
    parameters = inspect.signature(PLOTS[name]).parameters.values()
    draw = functools.partial(PLOTS[name], *(mock.MagicMock() for each in parameters if each.default is each.empty))
    with pytest.raises(TypeError, match="Expected `path` to be a path"):
        draw(path=3)
    for path in (tmp_path, tmp_path / "picture.docx", f"{tmp_path}/"):
        with pytest.raises(ValueError, match="Expected `path` to be the path of a file that ends in one of.*Received: path="):
            draw(path=path)
    with pytest.raises(FileNotFoundError, match=r"whose folder .* does not exist\. Create the folder first"):
        draw(path=tmp_path / "none" / "picture.png")
    monkeypatch.setattr("os.access", lambda folder, mode: folder != str(tmp_path))  # a superuser may write everywhere
    with pytest.raises(PermissionError, match=r"whose folder .* is read-only\. Choose another folder"):
        draw(path=tmp_path / "picture.png")
    assert list(tmp_path.iterdir()) == []
