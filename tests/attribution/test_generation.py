"""The tokens of generated text, explained by those before them."""

import dataclasses
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_xai.attribution import (
    EigenCAM,
    Generation,
    GradientTimesInput,
    IntegratedGradients,
    Occlusion,
    Saliency,
    explain_generation,
)
from tests.language import END, copier, language_model

PROMPT, AFTER = "the cat and a dog", " sat and ran"


@pytest.fixture(scope="module")
def gpt():
    return language_model()


@pytest.fixture(scope="module")
def copies():
    return copier()


@pytest.fixture(scope="module")
def found(gpt):
    return explain_generation(GradientTimesInput(gpt), PROMPT, generated=AFTER)


def log_probabilities(gpt, ids):
    """Of all tokens at all positions, by the model itself."""
    inputs = {"token_ids": ids[None], "padding_mask": np.ones((1, len(ids)), bool)}
    return tf.nn.log_softmax(gpt(inputs, training=False)[0])


def test_text_in_and_out(gpt, found):
    assert found.tokens == [END, "the", " cat", " and", " a", " dog", " sat", " and", " ran"]
    assert found.num_prompt == 6 and found.generated == [" sat", " and", " ran"] and found.prompt[1:] == found.tokens[1:6]
    np.testing.assert_array_equal(found.token_ids[1:], gpt.preprocessor.tokenizer(PROMPT + AFTER))
    assert found.values.shape == (3, 9) and found.method == "GradientTimesInput"
    # A token is explained by those before it, and by no others.
    np.testing.assert_array_equal(np.isnan(found.values), np.arange(9) >= np.arange(6, 9)[:, None])
    own = [log_probabilities(gpt, found.token_ids[:end])[-1, found.token_ids[end]] for end in (6, 7, 8)]
    np.testing.assert_allclose(found.log_probability, own, rtol=1e-4)


def test_gradient_by_hand(gpt, found):
    """By the vectors of the embedding, of which the rest of the model is a function; the same table makes the logits."""
    backbone, table = gpt.backbone, gpt.backbone.token_embedding.embeddings
    ids = found.token_ids[:7]
    vectors = tf.gather(table, ids)[None]
    mask = tf.ones((1, 7), bool)
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        x = vectors + backbone.position_embedding(vectors)
        for layer in backbone.transformer_layers:
            x = layer(x, decoder_padding_mask=mask)
        logits = tf.matmul(backbone.layer_norm(x), table, transpose_b=True)
        score = tf.nn.log_softmax(logits)[0, -1, found.token_ids[7]]
    expected = tf.reduce_sum(vectors * tape.gradient(score, vectors), axis=-1)[0]
    np.testing.assert_allclose(found.log_probability[1], score, rtol=1e-4)
    np.testing.assert_allclose(found.values[1, :7], expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found.convergence_delta[1], score - tf.reduce_sum(expected), rtol=1e-3, atol=1e-5)
    assert np.abs(expected).max() > 1e-3 and not np.allclose(found.values[2, :7], expected, atol=1e-3)


def test_the_model_generates(gpt):
    """Greedily: each token is the most probable one after those before it."""
    found = explain_generation(Saliency(gpt), [1, 2, 3], max_new_tokens=3)
    assert found.num_prompt == 3 and 1 <= len(found.generated) <= 3
    for place in range(3, len(found.token_ids)):
        assert found.token_ids[place] == np.argmax(log_probabilities(gpt, found.token_ids[:place])[-1])
    assert found.derivatives and found.convergence_delta is None


def test_a_model_without_a_preprocessor():
    model = language_model(text=False)
    found = explain_generation(Saliency(model), np.array([1, 2, 3]), max_new_tokens=2)
    assert len(found.generated) == 2 and found.tokens[:3] == ["1", "2", "3"]
    with pytest.raises(ValueError, match=r"(?s)Expected token ids, .*no `preprocessor.tokenizer`.*Received: prompt='the'"):
        explain_generation(Saliency(model), "the")


METHODS = {"GradientTimesInput": GradientTimesInput, "IntegratedGradients": IntegratedGradients, "Occlusion": Occlusion}


@pytest.mark.parametrize("method", ["IntegratedGradients", "Occlusion"])
def test_a_copied_token_is_found(copies, method):
    """The model repeats the first token, and nothing else makes that token probable."""
    for prompt in ([3, 5, 2, 7, 1], [6, 3, 3, 2, 4]):
        found = explain_generation(METHODS[method](copies), prompt, generated=[prompt[0], prompt[0]])
        assert found.log_probability[0] > np.log(0.9)
        for row in found.values:
            others = np.abs(row[1:])
            assert row[0] > 2 * np.nanmax(others)


def test_occlusion_by_hand(copies):
    ids = np.array([3, 5, 2, 7])
    found = explain_generation(Occlusion(copies), ids, generated=[3, 4], baseline=1)

    def score(tokens, token):
        return float(tf.nn.log_softmax(copies(np.array([tokens])))[0, -1, token])

    whole = [*ids, 3]
    expected = [score(whole, 4) - score([*whole[:i], 1, *whole[i + 1 :]], 4) for i in range(5)]
    np.testing.assert_allclose(found.values[1, :5], expected, rtol=1e-3, atol=1e-4)
    other = explain_generation(Occlusion(copies), ids, generated=[3, 4])
    assert not np.allclose(other.values[1, :5], expected, atol=1e-3)


def test_one_program_for_all_texts_of_a_length(copies, monkeypatch):
    method, made = Saliency(copies), []
    original = Saliency._prepare
    monkeypatch.setattr(Saliency, "_prepare", lambda self, target: made.append(target) or original(self, target))
    explain_generation(method, [1, 2], generated=[3, 4, 5])
    explain_generation(method, [4, 2, 5], generated=[1, 1])
    assert len(made) == 1


def _outlines(figure):
    """The words of a picture, which are drawn as outlines."""
    return [patch.get_path().vertices.tolist() for patch in figure.axes[0].patches]


def test_results(found, tmp_path):
    found.save(tmp_path / "file")
    assert Generation.load(tmp_path / "file") == found
    assert repr(found) == "<Generation by GradientTimesInput: 3 tokens after 6>"
    assert len(found.plot().axes) == 4 and len(found.plot([2]).axes) == 2 and len(found.plot(None).axes) == 2
    matrix = found.plot_matrix().axes[0]
    assert [text.get_text() for text in matrix.get_yticklabels()] == ["sat", "and", "ran"]
    np.testing.assert_array_equal(np.ma.filled(matrix.images[0].get_array(), np.nan), found.values[:, :-1])
    words = [f"word {i}" for i in range(max(found.token_ids) + 1)]
    assert [text.get_text() for text in found.plot_matrix(vocabulary=words).axes[0].get_yticklabels()] == [
        words[i] for i in found.token_ids[found.num_prompt :]
    ]
    renamed = dataclasses.replace(found, tokens=[words[i] for i in found.token_ids])
    assert _outlines(found.plot([0], vocabulary=words)) == _outlines(renamed.plot([0])) != _outlines(found.plot([0]))
    with pytest.raises(ValueError, match="`vocabulary` with a word for each token. Received: 2 words, and the token"):
        found.plot(vocabulary=words[:2])
    for wrong in (0, [3], [-1]):
        with pytest.raises(ValueError, match="indices from 0 to 2"):
            found.plot(wrong)


@pytest.mark.parametrize(
    "prompt, options, message",
    [
        ("", {}, "`prompt` to be a text with at least one token.*prompt=''"),
        ([], {"generated": [1]}, "`prompt`"),
        (PROMPT, {"generated": ""}, "`generated`"),
        ([[1, 2]], {"generated": [1]}, "`prompt`"),
        ([1.5], {"generated": [1]}, "`prompt`"),
        ([1, 999], {"generated": [1]}, "token ids from 0 to"),
        (PROMPT, {"max_new_tokens": 0}, "max_new_tokens"),
        (PROMPT * 9, {}, "shorter than the preprocessor's `sequence_length`, 24"),
        (PROMPT, {"generated": [1], "baseline": -1}, "baseline"),
    ],
)
def test_bad_arguments(gpt, prompt, options, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        explain_generation(GradientTimesInput(gpt), prompt, **options)


def test_other_models(copies):
    classifier = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match=r"(?s)Expected a causal language model.*Received.*keras_xai\.targets"):
        explain_generation(Saliency(classifier), [1, 2])
    with pytest.raises(ValueError, match=r"(?s)that generates.*Received.*`generated`"):
        explain_generation(Saliency(copies), [1, 2])
    with pytest.raises(TypeError, match="Expected a method"):
        explain_generation(copies, [1, 2])


def test_keras_hub_is_not_imported():
    code = (
        "import sys, keras; sys.modules['keras_hub'] = None  # to import it is an error\n"
        "from keras_xai.attribution import Saliency, explain_generation\n"
        "layers = [keras.Input((None,), dtype='int32'), keras.layers.Embedding(9, 4), keras.layers.Dense(9)]\n"
        "print(explain_generation(Saliency(keras.Sequential(layers), verbose=0), [1, 2], generated=[3]))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "<Generation by Saliency: 1 token after 2>" in done.stdout


def test_positions_of_the_model_are_the_limit():
    keras_hub = pytest.importorskip("keras_hub")
    sizes = {
        "vocabulary_size": 20,
        "num_layers": 1,
        "num_heads": 2,
        "hidden_dim": 8,
        "intermediate_dim": 16,
        "max_sequence_length": 6,
    }
    model = keras_hub.models.GPT2CausalLM(backbone=keras_hub.models.GPT2Backbone(**sizes), preprocessor=None)
    method = GradientTimesInput(model, verbose=0)
    assert len(explain_generation(method, [1, 2, 3, 4], max_new_tokens=40).token_ids) <= 6
    for prompt, generated in (([1] * 6, None), ([1, 2], [3] * 5)):
        with pytest.raises(ValueError, match="at most 6 tokens together.*Received: 7 tokens"):
            explain_generation(method, prompt, generated=generated)


@pytest.fixture(scope="module")
def gemma():
    """Gemma of one layer with random weights, large enough for the tokens to matter; without a tokenizer."""
    from keras_hub import models

    keras.utils.set_random_seed(0)
    model = models.GemmaCausalLM(models.GemmaBackbone(20, 1, 2, 1, 8, 16, 4))
    for variable in model.trainable_variables:
        variable.assign(variable * 3 if len(variable.shape) > 1 else variable)
    return model


def _by_vectors(model, ids, token, monkeypatch):
    """The log-probability of the token after some others as a function of their vectors, and these vectors."""
    table = model.backbone.token_embedding
    whole = table.call

    def score(vectors):
        with monkeypatch.context() as patch:
            patch.setattr(table, "call", lambda x, reverse=False: whole(x, reverse=True) if reverse else tf.identity(vectors))
            return log_probabilities(model, ids)[-1, token]

    return score, tf.convert_to_tensor(whole(ids[None]))


GEMMA_PROMPT, GEMMA_AFTER = [3, 7, 1, 9], [4, 2]


@pytest.mark.slow
@pytest.mark.parametrize("method", [GradientTimesInput, IntegratedGradients])
def test_gemma_by_a_tape(gemma, method, monkeypatch):
    options = {"steps": 6} if method is IntegratedGradients else {}
    found = explain_generation(method(gemma, **options), GEMMA_PROMPT, generated=GEMMA_AFTER)
    nodes, weights = np.polynomial.legendre.leggauss(6) if options else ([1.0], [2.0])  # one point: the sample itself
    ids = np.array(GEMMA_PROMPT + GEMMA_AFTER)
    for row, end in enumerate((4, 5)):
        score, vectors = _by_vectors(gemma, ids[:end], ids[end], monkeypatch)
        start = gemma.backbone.token_embedding(np.zeros((1, end), "int32")) if options else tf.zeros_like(vectors)
        expected = 0
        for node, weight in zip(nodes, weights, strict=True):
            point = start + (node + 1) / 2 * (vectors - start)
            with tf.GradientTape() as tape:
                tape.watch(point)
                value = score(point)
            expected += weight / 2 * tape.gradient(value, point) * (vectors - start)
        expected = tf.reduce_sum(expected, axis=-1)[0]
        np.testing.assert_allclose(found.values[row, :end], expected, atol=1e-4 * np.abs(expected).max())
        np.testing.assert_allclose(found.log_probability[row], log_probabilities(gemma, ids[:end])[-1, ids[end]], rtol=1e-4)
        assert np.abs(expected).max() > 1e-3


@pytest.mark.slow
def test_gemma_by_occlusion(gemma):
    found = explain_generation(Occlusion(gemma), GEMMA_PROMPT, generated=GEMMA_AFTER)
    ids = np.array(GEMMA_PROMPT + GEMMA_AFTER)
    for row, end in enumerate((4, 5)):
        whole = log_probabilities(gemma, ids[:end])[-1, ids[end]]
        for place in range(end):
            hidden = ids[:end].copy()
            hidden[place] = 0
            expected = whole - log_probabilities(gemma, hidden)[-1, ids[end]]
            np.testing.assert_allclose(found.values[row, place], expected, atol=1e-4)
    assert np.nanmax(np.abs(found.values)) > 1e-2


def test_a_method_that_ignores_the_target_explains_no_token():
    x = keras.Input((None,), dtype="int32")
    y = keras.layers.Conv1D(4, 2, padding="causal")(keras.layers.Embedding(9, 4)(x))
    method = EigenCAM(keras.Model(x, keras.layers.Dense(9)(y)))
    with pytest.raises(ValueError, match="depend on the target.*Received: EigenCAM"):
        explain_generation(method, [1, 2], generated=[3])
