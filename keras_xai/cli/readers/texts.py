"""Texts: `.txt` files with a text in each line."""

import pathlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from keras_xai.cli.errors import Failure
from keras_xai.cli.readers.data import Data

if TYPE_CHECKING:
    from keras_xai.cli.readers.takes import Takes

_PUNCTUATION = re.compile(r"[!\"#$%&()*+,\-./:;<=>?@\[\\\]^_`{|}~']")  # as TextVectorization strips it
_LONGEST_NAME = 60


def lines_of(path: pathlib.Path) -> list[str]:
    """The lines of a text file that are not empty.

    Raises:
        Failure: If it is not text in UTF-8, or empty.
    """
    try:
        # Not `splitlines()`, for which form feeds and further characters inside of texts are ends of lines as well.
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").split("\n")]
    except UnicodeDecodeError as error:
        raise Failure(
            f"'{path}' is not a text in UTF-8. Convert it: iconv -f latin1 -t utf-8 {path.name} > new.txt"
        ) from error
    found = [line for line in lines if line]
    if not found:
        raise Failure(f"'{path}' has no text. Expected a text in each line.")
    return found


def read_texts(paths: Sequence[pathlib.Path], takes: "Takes", vocabulary: pathlib.Path | None) -> Data:
    """Reads texts as what a model takes: the texts themselves, or tokens.

    Args:
        paths: Files with a text in each line.
        takes: What the model takes.
        vocabulary: A file with a word in each line, for a model that takes tokens and has no preprocessor.

    Raises:
        Failure: If the model takes no texts, or its vocabulary is not known.
    """
    texts = [text for path in paths for text in lines_of(path)]
    names = [text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 3]}..." for text in texts]
    notes = (f"{len(texts)} texts, one in each line.",)
    if takes.is_texts:
        x = np.array(texts).reshape(len(texts), *[1] * (len(takes.specs[0].shape) - 1))
        return Data(x=x, num_samples=len(texts), names=names, notes=notes)
    preprocessor = getattr(takes.model, "preprocessor", None)
    if preprocessor is not None and getattr(preprocessor, "tokenizer", None) is not None:
        return _tokenized(texts, names, notes, preprocessor)
    if not takes.is_tokens:
        raise Failure(f"'{paths[0]}' holds texts. The model takes {takes.description}.")
    if vocabulary is None:
        raise Failure(
            "The model takes tokens. Give its vocabulary by --vocabulary FILE: a word in each line, in the order of "
            "TextVectorization.get_vocabulary(), which begins with an empty line and [UNK]."
        )
    return _looked_up(texts, names, notes, words_of(vocabulary), takes)


def words_of(path: pathlib.Path) -> list[str]:
    """A vocabulary, in which 0 is padding and 1 an unknown word, as that of TextVectorization.

    Args:
        path: A file with a word in each line.
    """
    lines_of(path)  # its errors
    words = path.read_text(encoding="utf-8-sig").split("\n")
    words = [word.rstrip("\r") for word in (words[:-1] if words[-1] == "" else words)]
    return words if words[:1] == [""] else ["", *words] if words[:1] == ["[UNK]"] else ["", "[UNK]", *words]


def _looked_up(texts, names, notes, words, takes):
    ids = {word: i for i, word in reversed(list(enumerate(words)))}
    split = [_PUNCTUATION.sub("", text.lower()).split() for text in texts]
    if not all(split):
        raise Failure(f"'{names[split.index([])]}' has no words.")
    length = takes.specs[0].shape[1] or max(map(len, split))
    cut = sum(len(each) > length for each in split)
    x = np.zeros((len(texts), length), "int32")
    for row, each in zip(x, split, strict=True):
        found = [ids.get(word, 1) for word in each[:length]]
        row[: len(found)] = found
    unknown, count = int((x == 1).sum()), int((x > 0).sum())
    more = [f"{unknown} of {count} words are not in the vocabulary."] if unknown else []
    more += [f"{cut} texts were cut to their first {length} words."] if cut else []
    return Data(x=x, num_samples=len(texts), names=names, vocabulary=words, notes=(*notes, *more))


def _tokenized(texts, names, notes, preprocessor):
    """By the model's own preprocessor, of keras-hub."""
    import keras

    found = preprocessor(texts)
    found = found[0] if isinstance(found, tuple) else found
    x = (
        {name: keras.ops.convert_to_numpy(each) for name, each in found.items()}
        if isinstance(found, dict)
        else np.asarray(found)
    )
    tokenizer = preprocessor.tokenizer
    vocabulary = [str(tokenizer.id_to_token(i)) for i in range(tokenizer.vocabulary_size())]
    return Data(
        x=x, num_samples=len(texts), names=names, vocabulary=vocabulary, notes=(*notes, "Tokens are those of the model.")
    )
