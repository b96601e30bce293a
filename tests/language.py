"""A tiny causal language model of keras-hub with a tokenizer of words, and one that was trained to copy."""

import keras
import numpy as np

WORDS = ("the", "cat", "dog", "sat", "ran", "and", "a", "mat")
END = "<|endoftext|>"


def tokenizer():
    """Byte pairs that are merged to words, each with the space before it."""
    from keras_hub.models import GPT2Tokenizer

    merges: dict[str, None] = {}
    pieces: dict[str, None] = dict.fromkeys("Ġ" + "".join(sorted(set("".join(WORDS)))))
    for word in (*(f"Ġ{each}" for each in WORDS), *WORDS):
        whole = word[0]
        for letter in word[1:]:
            merges[f"{whole} {letter}"] = None
            whole += letter
            pieces[whole] = None
    vocabulary = {piece: i for i, piece in enumerate([END, *pieces])}
    return GPT2Tokenizer(vocabulary=vocabulary, merges=list(merges))


def language_model(*, text=True, seed=0, length=24):
    """GPT-2 of one layer with random weights."""
    import keras_hub

    keras.utils.set_random_seed(seed)
    tokens = tokenizer()
    backbone = keras_hub.models.GPT2Backbone(
        vocabulary_size=tokens.vocabulary_size(),
        num_layers=1,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        max_sequence_length=length,
    )
    # Larger than those of training, so that the tokens matter.
    for variable in backbone.trainable_variables:
        if len(variable.shape) > 1:
            variable.assign(variable * 10)
    preprocessor = keras_hub.models.GPT2CausalLMPreprocessor(tokenizer=tokens, sequence_length=length) if text else None
    model = keras_hub.models.GPT2CausalLM(backbone=backbone, preprocessor=preprocessor)
    model.compile(sampler="greedy", jit_compile=False)
    return model


def copier(num_tokens=8, length=6):
    """A model that was trained to say the first of some tokens again after the last one."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((None,), dtype="int32", name="token_ids")
    width = 32
    vectors = keras.layers.Embedding(num_tokens, width)(inputs)
    states = keras.layers.LSTM(width, return_sequences=True)(vectors)
    model = keras.Model(inputs, keras.layers.Dense(num_tokens)(states))
    x = np.random.default_rng(0).integers(1, num_tokens, (2000, length))
    y = np.repeat(x[:, :1], length, axis=1)
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, epochs=5, batch_size=64, verbose=0)
    return model
