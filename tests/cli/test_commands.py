"""The commands: pages, messages, exit codes, and nothing half-written."""

import logging
import os
import pathlib
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image

from keras_xai.diagnosis import Diagnosis
from keras_xai.report import Page

QUICK = ("--samples", "20", "--repeats", "1")


@pytest.fixture
def table(tmp_path, frame):
    frame.to_csv(tmp_path / "table.csv", index=False)
    return tmp_path / "table.csv"


def _check_done(result, path):
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{path}\n"
    page = pathlib.Path(path).read_text("utf-8")
    assert page.startswith("<!DOCTYPE html>") and page.rstrip().endswith("</html>")
    return page


def _check_failed(result, code, *messages):
    assert result.exit_code == code, result.output
    assert result.stdout == "" and "Traceback" not in result.stderr
    last = result.stderr[result.stderr.index("Error: ") :]
    assert [message for message in messages if message not in last] == [], last


def test_explain_makes_a_page_of_photographs(run, models, tmp_path):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, size=(10, 20, 3), dtype="uint8"))
    image.save(tmp_path / "a.png")
    arguments = ("explain", models / "rescaled.keras", "a.png", "--classes", "cat,dog,bird", "--target", "dog")
    result = run(*arguments, "--seconds", "1", "-o", "page.html")
    page = _check_done(result, "page.html")
    assert "a.png: 20 x 10 pixels, cropped to its middle 8 x 10 and resized to 6 x 8." in page
    assert "Preprocessing: raw, found from the model." in page and "dog" in page
    assert "Preprocessing: raw" in result.stderr and os.listdir(tmp_path) != []
    assert sorted(os.listdir(tmp_path)) == ["a.png", "page.html"]


def test_numbers_as_labels(run, table, frame, tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.save(tmp_path / "number.keras")
    frame.assign(kind=frame["length"] + 0.25).to_csv(table, index=False)
    page = _check_done(run("explain", "number.keras", table, "--labels", "kind", "--seconds", "1"), "report.html")
    error = np.abs(model.predict(frame.iloc[:, :4].to_numpy(), verbose=0)[:, 0] - frame["length"] - 0.25).mean()
    assert f"On average {error:.3g} away from the true values." in page


def test_openbox_of_a_table(run, models, table):
    result = run("openbox", models / "table.h5", table, "--labels", "kind", "--classes", "a,b,c", "--samples", "12")
    page = _check_done(result, "report.html")
    assert "12 of 30 samples were drawn at random." in page and "Accuracy" in page
    assert all(name in page for name in ("length", "width", "height", "weight"))


def test_libraries_log_afterward_as_before(run, models, table):
    """The command line can be called within a process that goes on."""
    loggers = [logging.getLogger(name) for name in ("tensorflow", "absl")]
    before = [logger.level for logger in loggers]
    run("openbox", models / "table.keras", table, "--samples", "2")
    assert [logger.level for logger in loggers] == before


@pytest.mark.slow
def test_openbox_of_columns_and_of_images(run, models, table, tmp_path):
    page = _check_done(
        run("openbox", models / "columns.keras", table, "--labels", "kind", "--classes", "a,b,c"), "report.html"
    )
    assert "weight +" in page or "weight -" in page
    np.savez(tmp_path / "a.npz", x=np.random.default_rng(0).random((3, 8, 8)), y=[0, 1, 2])
    result = run("openbox", models / "gray.keras", "a.npz", "--classes", "a,b,c", "--quiet")
    assert result.stderr == ""
    page = _check_done(result, "report.html")
    assert page.count('class="panel"') == 3 and "runner-up" in page


def test_diagnose_of_a_table(run, models, table):
    page = _check_done(run("diagnose", models / "table.keras", table, "--labels", "kind", *QUICK), "report.html")
    assert "<td>hidden</td>" in page


@pytest.mark.slow
def test_diagnose_saves_its_results(run, models, table):
    result = run("diagnose", models / "table.keras", table, "--labels", "kind", *QUICK, "-o", "report.npz")
    assert result.exit_code == 0 and result.stdout == "report.npz\n"
    assert list(Diagnosis.load("report.npz").layers) == ["hidden"]


def test_diagnose_needs_labels(run, models, table):
    columns = ("--columns", "length,width,height,weight")
    _check_failed(run("diagnose", models / "table.keras", table, *columns), 1, "needs labels. Add --labels")


@pytest.mark.parametrize("name", ["text.keras", "text.h5", "photo.jpg", "name", "zip.keras"])
def test_files_that_are_no_model(run, table, tmp_path, name):
    if name == "zip.keras":
        np.savez(tmp_path / "zip", x=np.ones(2))
        os.rename("zip.npz", name)
    else:
        (tmp_path / name).write_text("not a model")
    result = run("explain", name, table, "--labels", "kind")
    _check_failed(result, 1, "Expected a Keras model: a .keras or .h5 file", f"Received: '{name}'")
    assert not os.path.exists("report.html")


def test_a_part_of_a_file_is_no_model(run, models, table, tmp_path):
    whole = (models / "table.h5").read_bytes()
    (tmp_path / "part.h5").write_bytes(whole[: len(whole) // 2])
    _check_failed(run("explain", "part.h5", table), 1, "'part.h5', which is damaged")


def test_weights_and_folders_are_no_models(run, models, table, tmp_path):
    result = run("openbox", models / "table.weights.h5", table)
    _check_failed(result, 1, "holds weights alone. Build the model, call model.load_weights()")
    (tmp_path / "saved").mkdir()
    _check_failed(run("openbox", "saved", table), 1, "'saved', a folder without a config.json")
    (tmp_path / "saved" / "saved_model.pb").touch()
    _check_failed(run("openbox", "saved", table), 1, "a TensorFlow SavedModel")


@pytest.mark.slow
def test_presets_of_keras_hub(run, tmp_path):
    hub = pytest.importorskip("keras_hub")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film"]
    preprocessor = hub.models.BertTextClassifierPreprocessor(hub.tokenizers.BertTokenizer(vocabulary=words), sequence_length=6)
    sizes = {"num_layers": 1, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 8, "max_sequence_length": 6}
    backbone = hub.models.BertBackbone(vocabulary_size=len(words), **sizes)
    hub.models.BertTextClassifier(backbone=backbone, num_classes=2, preprocessor=preprocessor).save_to_preset("bert")
    (tmp_path / "films.txt").write_text("good film\nbad film\n")
    page = _check_done(run("explain", "bert", "films.txt", "--classes", "bad,good", "--seconds", "5"), "report.html")
    assert "Tokens are those of the model." in page


def test_custom_objects_are_registered_by_a_module(run, table, tmp_path, monkeypatch):
    class Twice(keras.layers.Layer):
        def call(self, x):
            return 2 * x

    keras.Sequential([keras.Input((4,)), Twice(), keras.layers.Dense(3, "softmax")]).save(tmp_path / "custom.keras")
    arguments = ("openbox", "custom.keras", table, "--labels", "kind")
    _check_failed(run(*arguments), 1, "contains 'Twice', which Keras does not know", "--import")
    _check_failed(run(*arguments, "--import", "no_such"), 2, "'--import'", "No module named 'no_such'")
    module = "import keras\n@keras.saving.register_keras_serializable('Custom')\nclass Twice(keras.layers.Layer):\n    pass\n"
    (tmp_path / "twice_layers.py").write_text(module + "raise ImportError('it was run')\n")
    monkeypatch.setattr(sys, "path", [*sys.path])
    _check_failed(run(*arguments, "--import", "twice_layers"), 2, "it was run")


def test_python_code_in_a_model_does_not_run(run, table, tmp_path):
    layers = [keras.Input((4,)), keras.layers.Lambda(lambda x: 2 * x), keras.layers.Dense(3, "softmax")]
    keras.Sequential(layers).save(tmp_path / "lambda.keras")
    arguments = ("diagnose", "lambda.keras", table, "--labels", "kind", *QUICK)
    _check_failed(run(*arguments), 1, "contains Python code", "Add --unsafe if you trust the file")
    assert "Python code" not in run(*arguments, "--unsafe").stderr


def _unwritable(tmp_path):
    if os.name == "posix" and os.geteuid() == 0:
        return "/proc" if os.path.isdir("/proc/self") else pytest.skip("root may write everywhere")
    (tmp_path / "locked").mkdir(mode=0o500)
    return "locked"


def test_output_is_checked_before_any_work(run, models, table, tmp_path, monkeypatch):
    def check(output, *messages):
        result = run("explain", models / "table.keras", table, "--labels", "kind", "-o", output)
        _check_failed(result, 2, "'--output'", *messages)
        assert "Loading" not in result.stderr

    check(f"{_unwritable(tmp_path)}/page.html", "cannot be written to", "Choose another one")
    check("nowhere/page.html", "does not exist", "mkdir -p 'nowhere'")
    check("table.csv/page.html", "does not exist")
    check("page.pdf", "ends in .html", "Received: 'page.pdf'")
    (tmp_path / "folder.html").mkdir()
    check("folder.html", "is a folder")
    assert sorted(os.listdir(tmp_path)) == ["folder.html", *(["locked"] if os.path.exists("locked") else []), "table.csv"]


def test_a_page_that_cannot_be_written_leaves_the_old_one(run, models, table, tmp_path, monkeypatch):
    (tmp_path / "report.html").write_text("old")

    def html(self):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Page, "html", html)
    result = run("openbox", models / "table.keras", table, "--labels", "kind", "--classes", "a,b,c")
    _check_failed(result, 1, "No space left on device")
    assert (tmp_path / "report.html").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["report.html", "table.csv"]


@pytest.mark.parametrize("stage", ["explain", "save"])
@pytest.mark.parametrize("as_another", [False, True])
def test_ctrl_c_leaves_nothing_half_written(run, models, table, tmp_path, monkeypatch, stage, as_another):
    def interrupt(*_, **__):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            if as_another:  # as native code does that a signal has reached
                raise SystemError("returned a result with an exception set") from error
            raise

    if stage == "save":
        monkeypatch.setattr(os, "fsync", interrupt)  # the new page is there, under another name
    else:
        monkeypatch.setattr("keras_xai.openbox.OpenBox.__call__", interrupt)
    (tmp_path / "report.html").write_text("old")
    result = run("openbox", models / "table.keras", table, "--labels", "kind", "--classes", "a,b,c", "--samples", "2")
    assert result.exit_code == 130 and result.stdout == ""
    assert result.stderr.splitlines()[-1] == "Interrupted." and "Traceback" not in result.stderr
    assert sorted(os.listdir(tmp_path)) == ["report.html", "table.csv"]
    assert (tmp_path / "report.html").read_text() == "old"


@pytest.mark.slow
def test_ctrl_c_from_a_shell(models, tmp_path, frame):
    frame.drop(columns="kind").to_csv(tmp_path / "table.csv", index=False)
    command = [sys.executable, "-m", "keras_xai", "explain", str(models / "table.keras"), "table.csv"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")]))}
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        seen = []
        for line in process.stderr:
            seen.append(line)
            if line.startswith("Explaining"):
                break
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=120)
    assert (process.returncode, stdout, stderr) == (130, "", "Interrupted.\n"), (seen, stderr)
    assert os.listdir(tmp_path) == ["table.csv"]


@pytest.mark.slow
def test_openbox_from_a_shell_logs_nothing(models, tmp_path, frame):
    """In double precision TensorFlow warns of types that oneDNN does not have."""
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).random((3, 8, 8, 1)).astype("float32"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "keras_xai", "openbox", str(models / "gray.keras"), "x.npz"]
    found = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, env={**environment, "TF_ENABLE_ONEDNN_OPTS": "1"}, check=True
    )
    allowed = ("Loading", "Reading", "  ", "Computing", "Finding", "Done in")
    assert [line for line in found.stderr.splitlines() if not line.startswith(allowed)] == []


def test_names_and_labels_of_classes(run, models, table, tmp_path):
    arguments = ("openbox", models / "table.keras", table, "--labels", "kind")
    _check_failed(run(*arguments, "--classes", "a,b"), 2, "The model has 3 classes. Received: 2 names, a, b.")
    _check_failed(run(*arguments, "--classes", "imagenet"), 2, "Received: 1000 names, tench")
    _check_failed(run(*arguments, "--classes", "abc"), 2, "a file with a name in each line", "Received: 'abc'")
    _check_failed(run(*arguments, "--classes", "a,b,d"), 1, "labels c are not among the classes: a, b, d")
    _check_failed(run(*arguments), 1, "The labels are names: a, b, c. Give --classes")
    (tmp_path / "names.txt").write_text("a\nb\n")
    _check_failed(run(*arguments, "--classes", "names.txt"), 2, "Received: 2 names")
    (tmp_path / "names.json").write_text('{"0": "a", "1": "b"}')
    _check_failed(run(*arguments, "--classes", "names.json"), 2, "Received: 2 names, a, b.")
    other = run("explain", *arguments[1:], "--classes", "black cat,cat,dog", "--target", "ca")
    _check_failed(other, 2, "'--target'", "an index from 0 to 2 or the name of a class", "Similar names: black cat, cat")
    np.savez(tmp_path / "a.npz", x=np.ones((2, 4)), y=[0, 3])
    _check_failed(run("openbox", models / "table.keras", "a.npz"), 1, "Expected labels from 0 to 2", "Received: 3.")


def test_wrong_use(run, models, table, tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    _check_failed(run("explain", models / "table.keras", table, "a.png"), 2, "Expected files of one kind. Received: tables")
    _check_failed(run("explain", models / "table.keras", models), 2, "is a folder. Give its files")
    _check_failed(run("explain", models / "table.keras", models / "table.h5"), 2, "of a kind that is not known")
    _check_failed(run("explain", models / "table.keras", "missing.csv"), 2, "'missing.csv' does not exist")
    _check_failed(run("explain", models / "table.keras"), 2, "Missing argument")
    columns = run("explain", models / "rescaled.keras", "a.png", "--columns", "a")
    _check_failed(columns, 2, "--columns is for tables. Received: images.")


def test_traceback_is_shown_on_demand(run, models, table):
    result = run("openbox", models / "table.keras", table, "--traceback")
    assert result.exit_code == 1 and "Traceback (most recent call last)" in result.stderr
    assert "Error: The model takes rows of 4 numbers" in result.stderr


def test_help_is_shown_without_tensorflow():
    code = (
        "import sys\nfrom keras_xai.cli import main\n"
        "for command in ([], ['explain'], ['diagnose'], ['openbox']): main([*command, '--help'], standalone_mode=False)\n"
        "print('loaded:', *{'tensorflow', 'keras', 'numpy', 'pandas'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert shown.splitlines()[-1] == "loaded:"
    assert shown.count("Examples:\n") == 4 and shown.count("--output") >= 4 and "Exit codes: 0 done" in shown


@pytest.mark.slow
def test_photographs_from_a_shell(data_folder, tmp_path):
    """The real thing: in a process of its own, with true labels, and within the time."""
    photos = [
        data_folder / "photos" / f"{name}.JPEG" for name in ("n02391049_zebra", "n02112137_chow", "n03379051_football_helmet")
    ]
    command = [sys.executable, "-m", "keras_xai", "explain", data_folder / "models" / "squeezenet_v1.1.keras", *photos]
    options = [
        "--classes",
        "imagenet",
        "--preprocessing",
        "caffe",
        "--labels",
        "zebra,chow,football helmet",
        "--seconds",
        "40",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TF_")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [os.getcwd(), os.environ.get("PYTHONPATH")]))
    found = subprocess.run(
        [*command, *options], cwd=tmp_path, capture_output=True, text=True, timeout=300, env=environment, check=False
    )
    assert (found.returncode, found.stdout) == (0, "report.html\n"), found.stderr
    page = (tmp_path / "report.html").read_text("utf-8")
    assert all(
        f"{name}" in page for name in ("3 of 3 right", "football helmet", "Grad-CAM", "375 x 375 and resized to 227 x 227")
    )
    allowed = ("Loading", "Reading", "  ", "Explaining", "Done in", "Warning")
    assert [line for line in found.stderr.splitlines() if not line.startswith(allowed)] == []  # no log of TensorFlow
    assert os.listdir(tmp_path) == ["report.html"]
