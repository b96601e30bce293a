"""Inputs of strings: categories and free text, by methods that need scores and by gradients from the lookup on."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_xai.attribution import LIME, SHAP, GradientTimesInput, IntegratedGradients, Occlusion, Saliency
from keras_xai.metrics import Deletion, Infidelity, PixelFlipping

VOCABULARY = ["good", "bad", "film", "a"]
TEXTS = np.array(["Good,  film !", "a bad bad film", "good"])


def text_model(shape=(1,), mask_zero=True, **options):
    keras.utils.set_random_seed(3)
    x = keras.Input(shape, dtype="string", name="text")
    tokens = layers.TextVectorization(vocabulary=VOCABULARY, **options)(x)
    vectors = layers.Embedding(6, 3, mask_zero=mask_zero, embeddings_initializer="normal", name="vectors")(tokens)
    summed = layers.LSTM(4)(vectors) if mask_zero else layers.GlobalAveragePooling1D()(vectors)
    return keras.Model(x, layers.Dense(1)(summed))


def predicted(model, texts):
    # Beside a long text, as Keras has no tokens at all for a batch of empty ones.
    given = np.reshape([*texts, "a " * 8], (-1, *model.inputs[0].shape[1:]))
    return model.predict(ops.convert_to_tensor(given), verbose=0)[:-1, 0]


def table_model(**lookup):
    keras.utils.set_random_seed(5)
    inputs = {"age": keras.Input((1,), name="age"), "job": keras.Input((1,), name="job", dtype="string")}
    encoded = layers.StringLookup(vocabulary=["miner", "nurse"], output_mode="one_hot", name="lookup", **lookup)(inputs["job"])
    hidden = layers.Dense(6, activation="tanh", name="hidden")(layers.Concatenate()([inputs["age"], encoded]))
    return keras.Model(inputs, layers.Dense(1)(hidden))


TABLE = {"age": np.array([0.5, -1.0], "float32"), "job": np.array(["nurse", "unknown"])}


def scored(model, ages, jobs):
    return model.predict(
        {"age": np.reshape(ages, (-1, 1)).astype("float32"), "job": ops.convert_to_tensor(np.reshape(jobs, (-1, 1)))},
        verbose=0,
    )[:, 0]


@pytest.mark.parametrize("length", [None, 3, 7])
@pytest.mark.parametrize("shape", [(), (1,)])
def test_occlusion_takes_words_out_of_a_text(shape, length):
    model = text_model(shape, output_sequence_length=length)
    explanation = Occlusion(model)(TEXTS)
    assert explanation.inputs.tolist() == [["Good,", "film", "!", ""], ["a", "bad", "bad", "film"], ["good", "", "", ""]]
    assert explanation.values.shape == (3, 4)
    for words, values, text in zip(explanation.inputs, explanation.values, TEXTS, strict=True):
        words = [word for word in words if word]
        without = [" ".join(words[:i] + words[i + 1 :]) for i in range(len(words))]
        expected = predicted(model, [text]) - predicted(model, without)
        np.testing.assert_allclose(values[: len(words)], expected, atol=1e-6)
        assert not values[len(words) :].any()  # padding
    assert np.abs(explanation.values).max() > 1e-3


def test_words_are_replaced_by_the_baseline():
    model = text_model(output_sequence_length=5)
    values = Occlusion(model)(TEXTS[1:2], baseline="[UNK]").values[0]
    texts = ["zz bad bad film", "a zz bad film", "a bad zz film", "a bad bad zz"]
    expected = predicted(model, TEXTS[1:2]) - predicted(model, texts)
    np.testing.assert_allclose(values, expected, atol=1e-6)
    removed = Occlusion(model)(TEXTS[1:2]).values[0]
    assert np.abs(values - removed).max() > 1e-3


@pytest.mark.parametrize(
    "method", [lambda m: LIME(m, seed=0), lambda m: SHAP(m, explainer="kernel"), lambda m: SHAP(m, explainer="partition")]
)
def test_coalitions_of_words(method):
    model = text_model(output_sequence_length=5)
    explanation = method(model)(TEXTS)
    assert not explanation.values[explanation.inputs == ""].any()
    # A text of one word gets the whole difference to the empty text.
    np.testing.assert_allclose(explanation.values[2, 0], np.subtract(*predicted(model, ["good", ""])), atol=1e-5)
    if "SHAP" in explanation.method:
        difference = predicted(model, TEXTS) - predicted(model, ["", "", ""])
        np.testing.assert_allclose(explanation.values.sum(axis=1), difference, atol=1e-4)


@pytest.mark.parametrize("length", [None, 6])
def test_gradients_of_words_are_those_of_their_vectors(length):
    import tensorflow as tf

    model = text_model(output_sequence_length=length)
    explanation = GradientTimesInput(model)(TEXTS)
    # "!" becomes no token, so that its value is 0 and the words after it keep their own.
    texts = np.array(["good film", "a bad bad film", "good"])
    tokens = model.layers[1](ops.convert_to_tensor(texts[:, None]))
    vectors = model.get_layer("vectors")(tokens)
    with tf.GradientTape() as tape:
        tape.watch(vectors)
        hidden = model.layers[-2](vectors, mask=tf.not_equal(tokens, 0))
        score = model.layers[-1](hidden)
    expected = ops.convert_to_numpy(ops.sum(tape.gradient(score, vectors) * vectors, axis=-1))
    np.testing.assert_allclose(explanation.values[0], [*expected[0, :2], 0, 0], atol=1e-6)
    np.testing.assert_allclose(explanation.values[1], expected[1, :4], atol=1e-6)
    assert not explanation.values[explanation.inputs == ""].any() and np.abs(expected[:, :1]).min() > 1e-5


def test_a_word_that_becomes_no_token_shifts_no_values():
    model = text_model(output_sequence_length=6)
    found, plain = (Saliency(model)(np.array([text])).values[0] for text in ("a ... bad film", "a bad film"))
    np.testing.assert_allclose(found, [plain[0], 0, plain[1], plain[2]], rtol=1e-5)


def test_integrated_gradients_of_a_text_are_complete():
    model = text_model(output_sequence_length=6)
    explanation = IntegratedGradients(model)(TEXTS)
    tokens = predicted(model, TEXTS)
    assert np.abs(explanation.convergence_delta).max() < 1e-3 * np.abs(tokens).max() + 1e-4
    assert np.abs(explanation.values).max() > 1e-3


def test_ngrams_and_counts_have_no_vector_for_each_word():
    with pytest.raises(ValueError, match=r"vector for each word.*ngrams=\(1, 2\).*LIME"):
        Saliency(text_model(output_sequence_length=6, ngrams=2))(TEXTS)
    x = keras.Input((), dtype="string")
    counts = layers.TextVectorization(vocabulary=VOCABULARY, output_mode="count")(x)
    model = keras.Model(x, layers.Dense(1)(counts))
    with pytest.raises(ValueError, match="vector for each word.*LIME"):
        Saliency(model)(TEXTS)
    weights = ops.convert_to_numpy(model.layers[-1].kernel)[
        :, 0
    ]  # a linear model of counts: each word adds the weight of its token
    good, bad, film, a = weights[1:]
    np.testing.assert_allclose(Occlusion(model)(TEXTS).values[0], [good, film, 0, 0], atol=1e-6)
    np.testing.assert_allclose(SHAP(model, explainer="kernel")(TEXTS).values[1], [a, bad, bad, film], atol=1e-5)


@pytest.mark.parametrize("baseline", [None, "miner", {"age": 0.0, "job": "miner"}])
def test_categories_are_hidden_by_the_baseline(baseline):
    model = table_model()
    values = Occlusion(model)(TABLE, baseline=baseline).values
    whole = scored(model, TABLE["age"], TABLE["job"])
    instead = "" if baseline is None else "miner"
    np.testing.assert_allclose(values["job"][:, 0], whole - scored(model, TABLE["age"], [instead] * 2), atol=1e-6)
    np.testing.assert_allclose(values["age"][:, 0], whole - scored(model, [0, 0], TABLE["job"]), atol=1e-6)
    assert (values["job"][1, 0] == 0) == (baseline is None)  # an unknown category is "" to the lookup


def test_a_background_of_categories():
    model = table_model()
    background = {"age": np.zeros(4, "float32"), "job": np.array(["miner", "miner", "nurse", "miner"])}
    explanation = SHAP(model, explainer="kernel")(TABLE, baseline=background)
    expected = scored(model, TABLE["age"], TABLE["job"]) - scored(model, background["age"], background["job"]).mean()
    np.testing.assert_allclose(sum(values[:, 0] for values in explanation.values.values()), expected, atol=1e-5)


def test_gradients_begin_at_the_lookup():
    import tensorflow as tf

    model = table_model()
    explanation = GradientTimesInput(model)(TABLE)
    encoded = tf.one_hot([2, 0], 3)
    whole = tf.concat([TABLE["age"][:, None], encoded], axis=1)
    with tf.GradientTape() as tape:
        tape.watch(whole)
        score = model.layers[-1](model.get_layer("hidden")(whole))
    expected = (tape.gradient(score, whole) * whole).numpy()
    np.testing.assert_allclose(explanation.values["age"][:, 0], expected[:, 0], atol=1e-6)
    np.testing.assert_allclose(explanation.values["job"][:, 0], expected[:, 1:].sum(axis=1), atol=1e-6)
    complete = IntegratedGradients(model)(TABLE)
    difference = scored(model, TABLE["age"], TABLE["job"]) - scored(model, [0, 0], ["", ""])
    np.testing.assert_allclose(sum(values[:, 0] for values in complete.values.values()), difference, atol=1e-3)


def test_codes_of_one_column():
    x = np.array([[0], [1], [2]])
    for layer in (
        layers.CategoryEncoding(3, output_mode="one_hot"),
        layers.IntegerLookup(vocabulary=[0, 1, 2], output_mode="one_hot"),
        layers.Hashing(3, output_mode="one_hot"),
    ):
        inputs = keras.Input((1,), dtype="int64")
        model = keras.Model(inputs, layers.Dense(2)(layer(inputs)))
        expected = model.predict(x, verbose=0)[:, 1] - model.predict(0 * x, verbose=0)[:, 1]
        for method in (Occlusion(model), IntegratedGradients(model)):
            np.testing.assert_allclose(method(x, target=1).values[:, 0], expected, atol=1e-5)
        assert np.abs(expected).max() > 0.01


@pytest.mark.parametrize("form", ["list", "object", "str", "bytes", "column", "tensor", "Series", "words"])
def test_strings_in_any_form(form):
    import pandas

    forms = {
        "list": TEXTS.tolist(),
        "object": TEXTS.astype(object),
        "str": TEXTS,
        "bytes": np.char.encode(TEXTS),
        "column": TEXTS[:, None],
        "tensor": ops.convert_to_tensor(TEXTS),
        "Series": pandas.Series(TEXTS),
        "words": Occlusion(text_model(output_sequence_length=5))(TEXTS).inputs,
    }
    model = text_model(output_sequence_length=5)
    found = Occlusion(model)(forms[form])
    np.testing.assert_array_equal(found.values, Occlusion(model)(TEXTS).values)


@pytest.mark.parametrize("bad", [[1.0, 2.0], [None, "film"], [float("nan"), "film"]])
def test_entries_that_are_no_strings(bad):
    with pytest.raises(ValueError, match="Expected strings as input 'text'.*Replace missing values"):
        Occlusion(text_model())(np.array(bad, dtype=object))


def test_batches_of_texts_with_more_words(tmp_path):
    model = text_model(output_sequence_length=5)
    batches = (batch for batch in (TEXTS[2:], TEXTS[:2]))
    explanation = Occlusion(model)(batches)
    np.testing.assert_allclose(explanation.values, Occlusion(model)(TEXTS[[2, 0, 1]]).values, atol=1e-6)
    explanation.save(tmp_path / "words")
    loaded = type(explanation).load(tmp_path / "words.npz")
    assert loaded == explanation and loaded.inputs[0].tolist() == ["good", "", "", ""]


def test_metrics_of_words():
    model = text_model(output_sequence_length=5)
    explanation = Occlusion(model)(TEXTS)
    found = Deletion(model, steps=4, probability=False)(explanation)
    again = Deletion(model, steps=4, probability=False)(Occlusion(model)(TEXTS[::-1]))
    np.testing.assert_allclose(found, again[::-1], atol=1e-6)
    assert np.isfinite(Infidelity(model, seed=0)(explanation)).all()
    assert np.isfinite(PixelFlipping(model, seed=0)(explanation)).all()


def test_a_feature_space_of_a_table():
    import pandas
    import tensorflow as tf

    keras.utils.set_random_seed(2)
    draw = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {"age": draw.random(24), "vessels": draw.integers(0, 3, 24), "thal": draw.choice(["fixed", "normal"], 24)}
    )
    space = keras.utils.FeatureSpace(
        {"age": "float_normalized", "vessels": "integer_categorical", "thal": "string_categorical"}, output_mode="concat"
    )
    space.adapt(tf.data.Dataset.from_tensor_slices(dict(frame)))
    model = keras.Model(space.get_inputs(), layers.Dense(1)(layers.Dense(4, activation="tanh")(space.get_encoded_features())))
    few = frame[:3]
    instead = {"age": 0.5, "vessels": 2, "thal": "normal"}

    def predict(table):
        return model.predict(
            {name: ops.convert_to_tensor(column.to_numpy()[:, None]) for name, column in table.items()}, verbose=0
        )[:, 0]

    for method in (Occlusion(model), LIME(model, seed=0), SHAP(model, explainer="kernel"), IntegratedGradients(model)):
        explanation = method(few, baseline=instead)
        assert set(explanation.values) == set(frame.columns) and not explanation.held_fixed
    occluded = Occlusion(model)(few, baseline=instead).values
    for name, value in instead.items():
        expected = predict(few) - predict(few.assign(**{name: value}))
        np.testing.assert_allclose(occluded[name][:, 0], expected, atol=1e-5)
    labels = [text.get_text() for text in Occlusion(model)(few).plot(samples=[0]).axes[0].get_yticklabels()]
    assert sorted(labels) == sorted([f"age = {frame.age[0]:.3g}", f"vessels = {frame.vessels[0]}", f"thal = {frame.thal[0]}"])


def test_one_text_is_no_list_of_texts():
    with pytest.raises(ValueError, match=r"the single string 'a film'. For a single sample, pass a list: \[text\]"):
        Occlusion(text_model())("a film")


def test_missing_values_are_named():
    with pytest.raises(ValueError, match="Received: None in sample 1. Replace missing values"):
        Occlusion(text_model())(["a film", None])
    table = keras.Sequential([keras.Input((2,), dtype="string", name="places"), layers.StringLookup(vocabulary=["a"])])
    table.add(layers.CategoryEncoding(2, output_mode="multi_hot"))
    table.add(layers.Dense(2))
    with pytest.raises(ValueError, match="as input 'places'. Received: nan in sample 2, column 1"):
        Occlusion(table)(np.array([["a", "b"], ["a", "a"], ["b", np.nan]], dtype=object))
