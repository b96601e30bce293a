"""Color the words of reviews by what they count for a network's verdict, by three methods, and list the words that count most.

    python examples/attribution_text.py                       # sentences made on the spot: the words that decide are known
    python examples/attribution_text.py --data rt-polarity    # Pang and Lee's film reviews, from the folder KERAS_XAI_DATA

The sentences that are made put an opinion, with or without a "not", between remarks that say nothing. How much of each method's relevance
is on the words of the opinion is a check that no real data allows. Text becomes tokens outside of the model, and the model begins with an
`Embedding`. It prints a table and lists of words, and writes a page of pictures, attribution_text.html.
"""

import argparse
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's notes on the hardware would bury the table

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
LENGTHS = {"made": 20, "rt-polarity": 50}


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Runs the example.

    Args:
        arguments: Command line; that of the process by default.

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
    model = build(x.shape[1:], len(vocabulary))
    model.compile(keras.optimizers.Adam(options.learning_rate), "binary_crossentropy", metrics=["accuracy"])
    print(f"Training on {len(x)} sentences of {len(vocabulary)} different words.")
    model.fit(x, y, epochs=options.epochs, batch_size=32, verbose=0)
    numbers = {"accuracy": model.evaluate(x_test, y_test, verbose=0)[1]}

    # The default baseline, zero, is the token of padding: a word is compared with none.
    methods = {
        "integrated gradients": IntegratedGradients(model),
        "occlusion": Occlusion(model),
        "LIME": LIME(model, num_samples=500, seed=options.seed),
    }
    metrics = {"deletion": Deletion(model), "insertion": Insertion(model)}
    some = x_test[: options.samples]
    print(f"Explaining {len(some)} test sentences; {numbers['accuracy']:.1%} of all are judged rightly.")
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
    parser.add_argument("--epochs", type=positive, help="passes over the training sentences (default: 15; rt-polarity: 3)")
    parser.add_argument(
        "--samples", type=positive, default=100, help="test sentences to compare methods on (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything random (default: %(default)s)")
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
    """Sentences and labels, 1 for positive, for training and test; which words of the test sentences decide, where known."""
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
    """A sentence, whether it is positive, and for each of `length` tokens whether it is a word of the opinion that decides."""
    label, negated = int(rng.integers(2)), rng.random() < 0.2
    word = rng.choice(POSITIVE if label != negated else NEGATIVE)
    opinion = ["the", rng.choice(THINGS), "was", *(["not"] if negated else []), word]
    parts = [rng.choice(REMARKS).split(), rng.choice(REMARKS).split()]
    parts.insert(int(rng.integers(3)), opinion)
    # "was" counts too: that no "not" comes after it is a part of the opinion.
    decides = [part is opinion and i >= 2 for part in parts for i in range(len(part))]
    return " ".join(each for part in parts for each in part), label, decides + [False] * (length - len(decides))


def build(shape, num_words):
    """A network that looks at three words at a time."""
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


def share_on(mask, values):
    """The part of the absolute relevance of a sentence that is on some of its words, averaged over the sentences."""
    sizes = np.abs(values)
    return float(np.mean((sizes * mask).sum(axis=1) / np.maximum(sizes.sum(axis=1), 1e-12)))


def word_values(values, tokens, vocabulary, least):
    """Word, mean value and number of occurrences of all words that occur `least` times, from the most negative on."""
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
    page = Page("Which words decide")
    page.text(
        "A network of an embedding, a convolution over three words and a maximum over the sentence judges "
        f"{numbers['accuracy']:.1%} of the test {'sentences, which are made of parts,' if made else 'reviews'} rightly. Explained is "
        "the score before the sigmoid: red words speak for a positive verdict, blue ones against it."
    )
    page.figure(sentences, 'Sentences with and without a "not". Padding is not shown.')
    page.heading("Whether to trust it")
    columns = [*(["on opinion"] if made else []), "deletion", "insertion"]
    rows = [(name, *(f"{table[column]['mean'][name]:.3f}" for column in columns)) for name in table.index]
    known = (
        f"On opinion: the part of the relevance on the words that decide, which are {numbers['opinion, part of the words']:.0%} of all. "
        if made
        else ""
    )
    page.table(
        rows,
        header=("", *columns),
        caption=f"{known}Deletion: mean probability of a positive verdict while words become padding, those first that speak most for it: "
        "the lower the better. Insertion: while they are put in, the higher the better.",
    )
    page.heading("The words that count most")
    return page.figure(
        bars(words),
        "Mean relevance of the words that occur five times or more in the test sentences, by integrated gradients.",
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
