"""Pictures of the tutorials for pages that are not executed, such as those that a repository shows.

    KERAS_XAI_DATA=... python benchmarks/tutorial_pictures.py --output docs/tutorials/pictures    # about three minutes on two cores

Runs the cells of each tutorial and saves what the one with the tag `picture` shows, so that the picture is what a build shows as well.
The documentation itself does not need this script: it runs the tutorials at each build.
"""

import argparse
import ast
import io
import os
import pathlib
import re
import sys
import tempfile
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the progress

from PIL import Image

TUTORIALS = pathlib.Path(__file__).parents[1] / "docs" / "tutorials"
CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WIDTH = 800
LARGEST = 100_000  # bytes


def cells(path: pathlib.Path) -> list[tuple[list[str], str]]:
    """The tags and the code of each cell of a tutorial."""
    found = []
    for text in CELL.findall(path.read_text(encoding="utf-8")):
        options, code = re.match(r"((?::[^\n]*\n)*)(.*)", text, re.DOTALL).groups()
        tags = re.search(r":tags: \[([^\]]*)\]", options)
        found.append(([] if tags is None else [tag.strip() for tag in tags[1].split(",")], code))
    return found


def run(code: str, names: dict[str, Any]) -> Any:
    """Runs a cell, and returns the value of its last line if that is an expression, as a notebook shows it."""
    tree = ast.parse(code)
    last = ast.Expression(tree.body.pop().value) if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<cell>", "exec"), names)
    return None if last is None else eval(compile(last, "<cell>", "eval"), names)


def save(shown: Any, path: pathlib.Path) -> None:
    """Saves a figure as a small JPEG file of at most a page's width."""
    buffer = io.BytesIO()
    shown.savefig(buffer, format="png", dpi=150)
    image = Image.open(buffer).convert("RGB")
    if image.width > WIDTH:
        image = image.resize((WIDTH, round(image.height * WIDTH / image.width)), Image.Resampling.LANCZOS)
    for quality in (88, 80, 70, 60):
        image.save(path, quality=quality, optimize=True)
        if path.stat().st_size < LARGEST:
            return


def main(arguments: list[str] | None = None) -> None:
    """Runs all tutorials, or some."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, required=True, help="folder for the pictures")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="only these tutorials, such as image_classifier")
    options = parser.parse_args(arguments)
    paths = {path.stem: path for path in sorted(TUTORIALS.glob("*.md")) if path.stem != "index"}
    unknown = [name for name in options.only or [] if name not in paths]
    if unknown:
        sys.exit(f"Unknown tutorials {unknown}; there are {list(paths)}.")
    options.output.mkdir(parents=True, exist_ok=True)
    output = options.output.resolve()
    for name in options.only or paths:
        names: dict[str, Any] = {}
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)  # for the files that a tutorial writes
            for tags, code in cells(paths[name]):
                shown = run(code, names)
                if "picture" in tags:
                    save(shown, output / f"{name}.jpg")
            os.chdir(TUTORIALS)
        print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
