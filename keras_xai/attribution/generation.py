"""Attribution of generated text: which earlier tokens made each token probable."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_xai.attribution.method import Method
from keras_xai.data.checks import check_count, real_array
from keras_xai.data.structure import packed
from keras_xai.network.roles import Role
from keras_xai.results.generation import Generation
from keras_xai.targets import Token


def explain_generation(
    method: Method,
    prompt: str | Sequence[int],
    *,
    generated: str | Sequence[int] | None = None,
    max_new_tokens: int = 16,
    baseline: int | None = None,
) -> Generation:
    """Explains each generated token by the prompt and the tokens generated before it.

    The explained score is the log-probability of the token. Each one is a sample, the text up to it, padded to the length of the whole,
    so that all are explained by one compiled program in batches.

    The model is a causal language model such as keras-hub's: it maps token ids `(n, length)`, and a padding mask if it takes one, to the
    logits of the next token, `(n, length, vocabulary)`. A model without a mask must not look at later tokens. Text needs a
    `model.preprocessor` with a `tokenizer`, as keras-hub's models have.

    Source: [Miglani et al., 2023](https://arxiv.org/abs/2312.05491), section 3.2, as captum's `LLMAttribution`.

    Args:
        method: A method of the model that explains tokens, such as `GradientTimesInput(model)` or `Occlusion(model)`.
        prompt: A text, or token ids.
        generated: The text, or the token ids, that follows the prompt and is explained, whoever wrote it; `None` to let the model generate
            it with its sampler: `model.compile(sampler="greedy")` gives the most probable tokens.
        max_new_tokens: The number of tokens that the model generates at most. It ends sooner at the tokenizer's end token, and at the
            model's last position.
        baseline: For methods that compare with a baseline, the token that stands for a missing one; by default the tokenizer's padding,
            or 0.

    Returns:
        A `Generation`.

    Raises:
        TypeError: If `method` is not a `Method`.
        ValueError: If the prompt or the generated text is empty, a token is not in the vocabulary, the model is not a causal language
            model, or it has no tokenizer and is given text, or generates nothing.

    Example:

    >>> import keras, numpy as np
    >>> from keras_xai.attribution import GradientTimesInput, explain_generation
    >>> layers = [keras.Input((None,), dtype="int32"), keras.layers.Embedding(9, 4), keras.layers.LSTM(8, return_sequences=True)]
    >>> model = keras.Sequential([*layers, keras.layers.Dense(9)])
    >>> found = explain_generation(GradientTimesInput(model), [1, 2, 3], generated=[4, 5])
    >>> found
    <Generation by GradientTimesInput: 2 tokens after 3>
    >>> np.isnan(found.values).tolist()
    [[False, False, False, True, True], [False, False, False, False, True]]
    """
    if not isinstance(method, Method):
        raise TypeError(f"Expected a method such as `GradientTimesInput(model)`. Received: {type(method).__name__}.")
    if not method.depends_on_target:
        raise ValueError(
            f"Expected a method whose values depend on the target, such as `GradientTimesInput(model)`. Received: {type(method).__name__}, "
            "whose values are the same for each token."
        )
    if method.values_layer is not None:
        raise ValueError(
            f"Expected a method whose values belong to the tokens. Received: {type(method).__name__} with values of the layer "
            f"'{method.values_layer}'. Leave out `layer`."
        )
    text = _Text(method)
    before = text.ids("prompt", prompt, start=True)
    check_count("max_new_tokens", max_new_tokens)
    text.check_length(len(before) + 1)
    after = text.generate(before, max_new_tokens) if generated is None else text.ids("generated", generated)
    ids = np.concatenate([before, after])
    text.check_length(len(ids))
    missing = text.padding if baseline is None else int(text.ids("baseline", [baseline])[0])
    x, ends = text.samples(ids, len(before), missing), np.arange(len(before), len(ids))
    target = Token(ends - 1, after)
    if method.takes_baseline and not method.shares_baseline:
        explanation = method(x, target=target, baseline=missing)
    else:
        explanation = method(x, target=target)
    values = np.asarray(text.of_tokens(explanation.values))[:, : len(ids)].astype("float64")
    values[np.arange(len(ids)) >= ends[:, None]] = np.nan
    return Generation(
        values=values,
        token_ids=ids,
        tokens=[text.written(each) for each in ids],
        num_prompt=len(before),
        log_probability=text.scores(x, target),
        convergence_delta=explanation.convergence_delta,
        method=explanation.method,
        derivatives=explanation.derivatives,
    )


class _Text:
    """A causal language model with its tokenizer: text to tokens, and tokens to the model's inputs."""

    def __init__(self, method: Method):
        self._method = method
        self._model = method.model
        self._preprocessor: Any = getattr(self._model, "preprocessor", None)
        self._tokenizer: Any = getattr(self._preprocessor, "tokenizer", None)
        self._most: Any = getattr(getattr(self._model, "backbone", None), "max_sequence_length", math.inf)
        graph, roles = method.scores.graph, method.scores.roles
        shapes = [spec.shape for spec in (*graph.input_specs, *graph.output_specs)]
        tokens = [position for position, role in enumerate(roles) if role is Role.TOKENS]
        masks = [position for position, spec in enumerate(graph.input_specs) if "mask" in spec.name and position not in tokens]
        if (
            len(tokens) != 1
            or len(tokens) + len(masks) != len(roles)
            or [len(each) for each in shapes] != [2] * len(roles) + [3]
        ):
            raise ValueError(
                "Expected a causal language model, which maps token ids (n, length) and perhaps a padding mask to logits (n, length, "
                f"vocabulary). Received: '{self._model.name}' ({type(self._model).__name__}) with inputs "
                f"{[(spec.name, spec.shape) for spec in graph.input_specs]} and outputs {[spec.shape for spec in graph.output_specs]}. "
                "Explain other models by `method(x, target=...)` with a target of `keras_xai.targets`."
            )
        self._position = tokens[0]
        self._graph = graph
        self._length = graph.input_specs[self._position].shape[1]
        self._vocabulary = graph.output_specs[0].shape[-1]
        self.padding = int(getattr(self._tokenizer, "pad_token_id", None) or 0)

    def ids(self, name: str, given: Any, *, start: bool = False) -> np.ndarray:
        """Token ids `(count,)` of a text or of ids; with the model's start token if it has one and `start` is set."""
        kind = "a text with at least one token" if self._tokenizer is not None else "at least one token"
        what = f"{kind}, or a list of token ids"
        if isinstance(given, str):
            if self._tokenizer is None:
                raise ValueError(
                    f"Expected token ids, because '{self._model.name}' has no `preprocessor.tokenizer`. Received: {name}={given!r}. Give a "
                    "list of integers, or attach a preprocessor to the model."
                )
            ids = self._tokens(given, start) if given else np.zeros(0, "int32")
        else:
            ids = real_array(name, given, what)
        if ids.ndim != 1 or not ids.size or ids.dtype.kind not in "iu":
            raise ValueError(f"Expected `{name}` to be {what}. Received: {name}={given!r}")
        if ids.min() < 0 or ids.max() >= self._vocabulary:
            raise ValueError(f"Expected token ids from 0 to {self._vocabulary - 1}. Received: {name}={given!r}")
        return ids.astype("int32")

    def _tokens(self, text, start):
        if not start:
            return np.asarray(self._tokenizer(text)).reshape(-1)
        found = self._preprocessor.generate_preprocess([text])
        used = np.asarray(found["padding_mask"])[0].astype(bool)
        ids = np.asarray(found["token_ids"])[0][used]
        if used.all():
            raise ValueError(
                f"Expected a prompt shorter than the preprocessor's `sequence_length`, {len(used)}. Received: one of at least as many "
                "tokens."
            )
        return ids

    def check_length(self, length: int) -> None:
        """Rejects more tokens than the model has positions for, where a layer of its backbone says how many there are."""
        if length > self._most:
            raise ValueError(
                f"Expected a prompt and generated tokens of at most {self._most} tokens together, the positions of '{self._model.name}'. "
                f"Received: {length} tokens. Shorten them."
            )

    def generate(self, prompt: np.ndarray, count: int) -> np.ndarray:
        """The tokens that the model generates after a prompt."""
        if not callable(getattr(self._model, "make_generate_function", None)):
            raise ValueError(
                f"Expected a model that generates, as those of keras-hub do. Received: '{self._model.name}' "
                f"({type(self._model).__name__}). Give the tokens that follow the prompt as `generated`."
            )
        ends = [getattr(self._tokenizer, name, None) for name in ("end_token_id", "end_token2_id")]
        stops = [int(each) for each in ends if each is not None] or None
        # A sampler would take an end token in the places that are still free for the end, also if it is the padding as well.
        free = next(each for each in (self.padding, *range(self._vocabulary)) if each not in (stops or ()))
        count = min(count, self._most - len(prompt))
        ids = np.pad(prompt, (0, count), constant_values=free)[None]
        known = np.arange(len(prompt) + count)[None] < len(prompt)
        found = self._model.make_generate_function()({"token_ids": ids, "padding_mask": known}, stop_token_ids=stops)
        used = np.asarray(found["padding_mask"])[0].astype(bool)
        new = np.asarray(found["token_ids"])[0][used][len(prompt) :].astype("int32")
        if not new.size:
            raise ValueError("Expected at least one generated token. Received: none, because the model ended at once.")
        return new

    def samples(self, ids: np.ndarray, num_prompt: int, missing: int) -> Any:
        """A sample for each generated token: the tokens before it, padded to one length, in the form that the model takes."""
        length = len(ids) if self._length is None else self._length
        if len(ids) > length:
            raise ValueError(f"Expected at most {length} tokens, the length that the model takes. Received: {len(ids)}.")
        used = np.arange(length) < np.arange(num_prompt, len(ids))[:, None]
        tokens = np.where(used, np.pad(ids, (0, length - len(ids))), missing)
        arrays = [tokens if position == self._position else used for position in range(len(self._graph.input_specs))]
        return packed(
            [array.astype(spec.dtype) for array, spec in zip(arrays, self._graph.input_specs, strict=True)], self._graph
        )

    def of_tokens(self, values: Any) -> np.ndarray:
        """The values of the tokens among those of all inputs."""
        several = (
            list(values.values()) if isinstance(values, dict) else values if isinstance(values, (list, tuple)) else [values]
        )
        return next(each for each in several if each is not None)

    def scores(self, x: Any, target: Token) -> np.ndarray:
        """The log-probability of each generated token."""
        arrays = [x[name] for name in sorted(x)] if isinstance(x, dict) else list(x) if isinstance(x, (list, tuple)) else [x]
        scores = self._method.scores
        goal = scores.target(target, len(arrays[0]))
        return scores.evaluator(goal, self._method.batch_size)(arrays, goal.indices)

    def written(self, token: int) -> str:
        """The text of a token; its number without a tokenizer."""
        if self._tokenizer is None:
            return str(token)
        text = self._tokenizer.detokenize([int(token)])
        # Special tokens and parts of a character have no text of their own.
        if not isinstance(text, str) or not text or "\ufffd" in text:
            text = str(self._tokenizer.id_to_token(int(token)))
        return text
