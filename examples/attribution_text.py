"""Explain the predictions of a network for text by three methods, and list the most relevant words.

    python examples/attribution_text.py                       # synthetic sentences whose deciding words are known
    python examples/attribution_text.py --data rt-polarity    # Pang and Lee's film reviews, from the folder KERAS_XAI_DATA
    python examples/attribution_text.py --network transformer # a subclassed model with a layer of its own, traced through `call()`

The synthetic sentences place an opinion, with or without a "not", between neutral remarks. The share of each method's relevance
on the words of the opinion is a check that real data do not allow. Text is tokenized outside of the model, and the model begins with an
`Embedding`. The script prints a table and lists of words, and writes a page of pictures, attribution_text.html.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # hides TensorFlow's notes on the hardware

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

from keras_xai.attribution import LIME, IntegratedGradients, Occlusion
from keras_xai.metrics import Deletion, Insertion, compare_methods
from keras_xai.report import Page, explanations_plot

POSITIVE = ["good", "great", "fine", "lovely", "superb", "funny", "charming", "clever", "moving", "brilliant"]
NEGATIVE = ["bad", "dull", "poor", "awful", "boring", "clumsy", "tired", "silly", "weak", "dreadful"]
THINGS = ["film", "story", "plot", "cast", "script", "music", "ending", "camera", "dialogue", "scenery"]
REMARKS = [
    *("we saw it on monday", "my brother came along", "it was shown at the old cinema", "it runs for two hours"),
    *("the tickets were sold out", "it is set in the north", "i had read the book", "the seats were red"),
]
BODIES = {"convolution": "a convolution over three words", "transformer": "a block with attention"}
LENGTHS = {"made": 20, "rt-polarity": 50}


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Runs the example.

    Args:
        arguments: Command-line arguments; those of the process by default.

    Returns:
        The numbers of the printed table, by name.
    """
    options = parse(arguments)
    (texts, y), (test_texts, y_test), deciding = load(options)
    vectorize = layers.TextVectorization(max_tokens=10_000, output_sequence_length=LENGTHS[options.data])
    vectorize.adapt(texts)
    x, x_test = (keras.ops.convert_to_numpy(vectorize(each)) for each in (texts, test_texts))
    vocabulary = vectorize.get_vocabulary()
    keras.utils.set_random_seed(options.seed)
    model = NETWORKS[options.network](x.shape[1:], len(vocabulary))
    model.compile(keras.optimizers.Adam(options.learning_rate), "binary_crossentropy", metrics=["accuracy"])
    print(f"Training on {len(x)} sentences of {len(vocabulary)} different words.")
    model.fit(x, y, epochs=options.epochs, batch_size=32, verbose=0)
    numbers = {"accuracy": model.evaluate(x_test, y_test, verbose=0)[1]}

    # The default baseline, zero, is the padding token.
    methods = {
        "integrated gradients": IntegratedGradients(model),
        "occlusion": Occlusion(model),
        "LIME": LIME(model, num_samples=500, seed=options.seed),
    }
    metrics = {"deletion": Deletion(model), "insertion": Insertion(model)}
    some = x_test[: options.samples]
    print(f"Test accuracy: {numbers['accuracy']:.1%}. Explaining {len(some)} test sentences.")
    comparison = compare_methods(model, some, methods, metrics)
    table = comparison.table.copy()
    if deciding is not None:
        shares = [share_on(deciding[: options.samples], each.values) for each in comparison.explanations.values()]
        table["on opinion", "mean"] = shares
        numbers["opinion, part of the words"] = float((deciding & (x_test > 0)).sum() / (x_test > 0).sum())
        numbers |= {f"on opinion, {name}": share for name, share in zip(methods, shares, strict=True)}
    numbers |= {f"{metric}, {name}": table[metric]["mean"][name] for metric in metrics for name in methods}
    print(f"\n{table.round(3).to_string()}\n")

    words = word_values(methods["integrated gradients"](x_test).values, x_test, vocabulary, least=5)
    for title, shown in (("most negative", words[:10]), ("most positive", words[:-11:-1])):
        print(f"{title}: {', '.join(word for word, _, _ in shown)}")
    chosen = choose(test_texts[: options.samples], y_test)
    figure = explanations_plot(comparison.explanations, samples=chosen, vocabulary=vocabulary, class_names=["positive"])
    path = draw(figure, table, words, numbers, options).save(options.report)
    print(f"\nPictures: {path}")
    return numbers


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", choices=tuple(LENGTHS), default="made", help="which sentences (default: %(default)s)")
    parser.add_argument(
        "--network", choices=tuple(NETWORKS), default="convolution", help="which network (default: %(default)s)"
    )
    parser.add_argument("--epochs", type=positive, help="training epochs (default: 15; rt-polarity: 3)")
    parser.add_argument(
        "--samples", type=positive, default=100, help="test sentences to compare methods on (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: %(default)s)")
    parser.add_argument("--report", default="attribution_text.html", help="file to write the page to (default: %(default)s)")
    options = parser.parse_args(arguments)
    if not pathlib.Path(options.report).parent.is_dir():
        parser.error(f"--report: the folder of {options.report!r} does not exist; create it first")
    options.epochs = options.epochs or (15 if options.data == "made" else 3)
    options.learning_rate = 3e-3 if options.data == "made" else 1e-3
    return options


def positive(text):
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a positive whole number, received {text!r}")
    return number


def load(options):
    """Sentences and labels, 1 for positive, for training and test; a mask of the test sentences' deciding words, or `None`."""
    rng = np.random.default_rng(options.seed)
    if options.data == "made":
        made = [make(rng, LENGTHS["made"]) for _ in range(1000)]
        texts, labels = [text for text, _, _ in made], np.array([label for _, label, _ in made])
        return (texts[:700], labels[:700]), (texts[700:], labels[700:]), np.array([each for _, _, each in made[700:]])
    folder = os.environ.get("KERAS_XAI_DATA")
    texts, labels = [], []
    for label, name in enumerate(("neg", "pos")):
        path = pathlib.Path(folder or ".", "text", f"rt-polarity.{name}.txt")
        if not path.is_file():
            raise FileNotFoundError(
                "Expected the files text/rt-polarity.pos.txt and .neg.txt in the folder that KERAS_XAI_DATA names: a sentence a line, "
                f"as in Pang and Lee's sentence polarity data. Received: KERAS_XAI_DATA={folder!r}. Put them there, or leave out --data."
            )
        lines = path.read_text(encoding="utf-8").splitlines()
        texts += lines
        labels += [label] * len(lines)
    order = rng.permutation(len(texts))
    texts, labels = [texts[i] for i in order], np.array(labels)[order]
    return (texts[:-1000], labels[:-1000]), (texts[-1000:], labels[-1000:]), None


def make(rng, length):
    """A sentence, whether it is positive, and for each of `length` tokens whether it is a deciding word of the opinion."""
    label, negated = int(rng.integers(2)), rng.random() < 0.2
    word = rng.choice(POSITIVE if label != negated else NEGATIVE)
    opinion = ["the", rng.choice(THINGS), "was", *(["not"] if negated else []), word]
    parts = [rng.choice(REMARKS).split(), rng.choice(REMARKS).split()]
    parts.insert(int(rng.integers(3)), opinion)
    # "was" is included: the absence of a "not" after it is part of the opinion.
    decides = [part is opinion and i >= 2 for part in parts for i in range(len(part))]
    return " ".join(each for part in parts for each in part), label, decides + [False] * (length - len(decides))


class Attending(layers.Layer):
    """A block of a transformer, as in Keras' example of text classification."""

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.attention = layers.MultiHeadAttention(2, units // 2, name="attention")
        self.inner, self.outer = layers.Dense(2 * units, activation="relu", name="inner"), layers.Dense(units, name="outer")
        self.first, self.second = layers.LayerNormalization(name="first"), layers.LayerNormalization(name="second")

    def call(self, x):
        x = self.first(x + self.attention(x, x))
        return self.second(x + self.outer(self.inner(x)))


class Reader(keras.Model):
    """A subclassed transformer: vectors of words and of places, a block, and a maximum over the sentence."""

    def __init__(self, num_words, length, units=32):
        super().__init__(name="reader")
        self.words, self.places = (
            layers.Embedding(num_words, units, name="words"),
            layers.Embedding(length, units, name="places"),
        )
        self.block = Attending(units, name="block")
        self.pool, self.dropout = layers.GlobalMaxPooling1D(name="pool"), layers.Dropout(0.5, name="dropout")
        self.score = layers.Dense(1, activation="sigmoid", name="score")

    def call(self, tokens, training=False):
        x = self.words(tokens) + self.places(keras.ops.arange(keras.ops.shape(tokens)[1]))
        return self.score(self.dropout(self.pool(self.block(x)), training=training))


def transformer(shape, num_words):
    """A subclassed model; its first call tells Keras the shape of its input."""
    model = Reader(num_words, *shape)
    model(np.zeros((1, *shape), "int32"))
    return model


def convolution(shape, num_words):
    """A network with a convolution over three words."""
    return keras.Sequential(
        [
            keras.Input(shape, dtype="int32", name="tokens"),
            layers.Embedding(num_words, 32, name="embedding"),
            layers.Conv1D(32, 3, padding="same", activation="relu", name="phrases"),
            layers.GlobalMaxPooling1D(),
            layers.Dropout(0.5),
            layers.Dense(1, activation="sigmoid", name="score"),
        ]
    )


NETWORKS = {"convolution": convolution, "transformer": transformer}


def share_on(mask, values):
    """The share of the absolute relevance on the masked words, averaged over the sentences."""
    sizes = np.abs(values)
    return float(np.mean((sizes * mask).sum(axis=1) / np.maximum(sizes.sum(axis=1), 1e-12)))


def word_values(values, tokens, vocabulary, least):
    """Word, mean value and count of all words that occur at least `least` times, in ascending order of the value."""
    counts = np.bincount(tokens.ravel(), minlength=len(vocabulary))
    means = np.bincount(tokens.ravel(), weights=values.ravel(), minlength=len(vocabulary)) / np.maximum(counts, 1)
    known = [i for i in np.argsort(means) if counts[i] >= least and i > 1]  # 0 is padding, 1 are unknown words
    return [(vocabulary[i], float(means[i]), int(counts[i])) for i in known]


def choose(texts, y):
    """Two sentences of each label, one with and one without a "not"."""
    chosen = []
    for label in (1, 0):
        for negated in (False, True):
            chosen += [i for i, text in enumerate(texts) if y[i] == label and ("not" in text.split()) == negated][:1]
    return chosen


def draw(sentences, table, words, numbers, options):
    """The page."""
    made = options.data == "made"
    page = Page("Attribution for text")
    page.text(
        f"A network of an embedding, {BODIES[options.network]} and a maximum over the sentence classifies "
        f"{numbers['accuracy']:.1%} of the {'synthetic test sentences' if made else 'test reviews'} correctly. The methods explain "
        "the score before the sigmoid: red words make the prediction more positive, blue ones more negative."
    )
    page.figure(sentences, 'Sentences with and without a "not". Padding is not shown.')
    page.heading("Metrics")
    columns = [*(["on opinion"] if made else []), "deletion", "insertion"]
    rows = [(name, *(f"{table[column]['mean'][name]:.3f}" for column in columns)) for name in table.index]
    known = (
        f"On opinion: the share of the relevance on the deciding words, which are {numbers['opinion, part of the words']:.0%} of all. "
        if made
        else ""
    )
    page.table(
        rows,
        header=("", *columns),
        caption=f"{known}Deletion: mean probability of the positive class while words are replaced by padding, the most positive first; "
        "lower is better. Insertion: mean probability while they are inserted; higher is better.",
    )
    page.heading("The most relevant words")
    return page.figure(
        bars(words),
        "Mean relevance by integrated gradients, for words that occur at least five times in the test sentences.",
    )


def bars(words):
    """The most negative and the most positive words."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    for axes, shown, color in zip(figure.subplots(1, 2), (words[:12], words[:-13:-1]), ("#2166ac", "#b2182b"), strict=True):
        axes.barh([f"{word} ({count})" for word, _, count in shown], [value for _, value, _ in shown], color=color)
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlabel("mean relevance")
    return figure


if __name__ == "__main__":
    main()
