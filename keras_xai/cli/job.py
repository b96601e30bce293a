"""`Job`: what all commands have in common, from their options to the file that they write."""

import dataclasses
import functools
import pathlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, final

import click

from keras_xai.cli.errors import reported
from keras_xai.cli.output import check_output
from keras_xai.cli.preprocessings import MEANINGS
from keras_xai.cli.surroundings import bars, quiet_libraries

if TYPE_CHECKING:
    from keras_xai.cli.readers.data import Data
    from keras_xai.report import Page

_EXISTING = click.Path(exists=True, path_type=pathlib.Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=pathlib.Path)


@final
@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """The options of all commands.

    Attributes:
        model: The file of the model.
        files: The files of the data.
        output: The file to write.
        classes: The names of the classes, as given.
        labels: Where the labels are.
        columns: The columns of a table to take, separated by commas.
        preprocessing: Name of the preprocessing of images.
        vocabulary: The file of the vocabulary.
        seed: Seed of everything random.
        modules: Modules to import first.
        unsafe: Whether Python code in the model's file may run.
        quiet: Whether to show errors only.
    """

    model: pathlib.Path
    files: tuple[pathlib.Path, ...]
    output: pathlib.Path
    classes: str | None
    labels: str | None
    columns: str | None
    preprocessing: str | None
    vocabulary: pathlib.Path | None
    seed: int
    modules: tuple[str, ...]
    unsafe: bool
    quiet: bool

    @property
    def verbose(self) -> Any:
        """`verbose` for the calls of the package."""
        return 0 if self.quiet else bars()

    def say(self, text: str) -> None:
        """Writes a line on stderr."""
        if not self.quiet:
            click.echo(text, err=True)

    def loaded(self) -> Any:
        """The model."""
        self.say(f"Loading {self.model}")
        from keras_xai.cli.models import load_model

        model = load_model(self.model, modules=self.modules, unsafe=self.unsafe)
        import keras

        keras.utils.set_random_seed(self.seed)
        return model

    def data(self, model: Any) -> "Data":
        """The samples.

        Args:
            model: The model that takes them.
        """
        return self._read(model, self.files, self.labels)

    def background(self, model: Any, files: tuple[pathlib.Path, ...]) -> "Data":
        """Samples to compare with, read as those of the command.

        Args:
            model: The model that takes them.
            files: The files.
        """
        # A column of labels is left out of a table; for other data, labels are not read.
        is_column = self.labels is not None and "," not in self.labels and not pathlib.Path(self.labels).is_file()
        return self._read(model, files, self.labels if is_column else None)

    def _read(self, model, files, labels):
        from keras_xai.cli.readers.read import read
        from keras_xai.cli.readers.takes import Takes

        self.say(f"Reading {files[0] if len(files) == 1 else f'{len(files)} files'}")
        found = read(
            files,
            Takes.of(model),
            labels=labels,
            columns=[name.strip() for name in self.columns.split(",")] if self.columns else (),
            preprocessing=self.preprocessing,
            vocabulary=self.vocabulary,
        )
        for note in found.notes:
            self.say(f"  {note}")
        return found

    def drawn(self, data: "Data", most: int) -> "Data":
        """At most so many of the samples, drawn at random and in their order."""
        import numpy as np

        if data.num_samples <= most:
            return data
        self.say(f"  {most} of {data.num_samples} samples were drawn; --samples changes their number.")
        rows = np.sort(np.random.default_rng(self.seed).permutation(data.num_samples)[:most])
        return dataclasses.replace(
            data.taken(rows), notes=(*data.notes, f"{most} of {data.num_samples} samples were drawn at random.")
        )

    def save(self, page: "Page") -> None:
        """Writes the page."""
        page.save(self.output)


def add_origin(page: "Page", job: Job, data: "Data") -> None:
    """Adds what was read, and what was done to it."""
    files = [path.name for path in job.files]
    shown = ", ".join(files[:5]) + (f" and {len(files) - 5} more" if len(files) > 5 else "")
    page.heading("Model and data")
    page.table([("Model", job.model.name), ("Data", shown), ("Samples", data.num_samples)])
    if data.notes:
        page.text("\n".join(data.notes))


_OPTIONS = (
    click.argument("model", type=_EXISTING),
    click.argument("files", metavar="DATA...", type=_EXISTING, nargs=-1, required=True),
    click.option(
        "-o",
        "--output",
        type=click.Path(path_type=pathlib.Path),
        default="report.html",
        show_default=True,
        help="The file to write. If it exists, it is replaced once the new one is complete.",
    ),
    click.option(
        "--classes",
        metavar="NAMES",
        help="Names of the classes, in the order of the model's outputs: imagenet, a file with a name in each line, or a,b,c.",
    ),
    click.option(
        "--labels",
        metavar="NAME",
        help="The true classes: a column of the table, an array of the .npz file (y, if it has one), a text file with a label in each "
        "line, or a,b,c.",
    ),
    click.option(
        "--columns", metavar="A,B,C", help="The columns of a table to take, in this order. Default: all but the labels."
    ),
    click.option(
        "--preprocessing",
        type=click.Choice(list(MEANINGS)),
        help="The values of pixels that the model takes: "
        + "; ".join(f"{name} is {meaning}" for name, meaning in MEANINGS.items())
        + ". Default: found from the model.",
    ),
    click.option(
        "--vocabulary", type=_FILE, metavar="FILE", help="For a model of tokens and .txt files: the words, one in each line."
    ),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of everything random."),
    click.option(
        "--import",
        "modules",
        metavar="MODULE",
        multiple=True,
        help="Import a Python module first, which registers the model's custom layers. May be repeated.",
    ),
    click.option("--unsafe", is_flag=True, help="Run Python code that the model's file contains. For files that you trust."),
    click.option("-q", "--quiet", is_flag=True, help="Show errors only."),
    click.option("--traceback", is_flag=True, help="Show the Python traceback of an error, and what TensorFlow logs."),
)


def with_job(*suffixes: str) -> Callable[[Callable], Callable]:
    """Decorator of a command: adds the options of all commands, and calls the function with a `Job` and its own options.

    Before it, the output is checked; around it, errors become messages, libraries are quiet, and time is measured; after it, the name of
    the file is printed.

    Args:
        suffixes: Ends of the names of files that the command can write.
    """

    def decorate(function: Callable) -> Callable:
        @functools.wraps(function)
        def command(**given: Any) -> None:
            with_traceback = given.pop("traceback")
            with reported(with_traceback):
                job = Job(**{field.name: given.pop(field.name) for field in dataclasses.fields(Job)})
                _check_files(job)
                check_output(job.output, suffixes)
                start = time.monotonic()
                with quiet_libraries(logged=with_traceback):
                    function(job, **given)
                job.say(f"Done in {time.monotonic() - start:.0f} s")
                click.echo(job.output)

        for option in reversed(_OPTIONS):
            command = option(command)
        return command

    return decorate


def _check_files(job):
    from keras_xai.cli.readers.read import check_files

    check_files(job.files)
