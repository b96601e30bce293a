"""What a user writes: each public function and class once, for `mypy --strict`; `test_typed.py` also runs it."""

import pathlib
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pandas as pd

from keras_xai.attribution import (
    CAM,
    CPLRP,
    LIME,
    LRP,
    RISE,
    SHAP,
    AblationCAM,
    AlphaBeta,
    AttentionRollout,
    AttnLRP,
    DecisionFeatures,
    Deconvnet,
    DeepLIFT,
    DeepSHAP,
    EigenCAM,
    Epsilon,
    EpsilonAlpha2Beta1,
    EpsilonPlus,
    EpsilonPlusFlat,
    Explanation,
    FeatureAblation,
    FeatureImportance,
    Flat,
    Gamma,
    Generation,
    GradCAM,
    GradCAMPlusPlus,
    GradientRollout,
    GradientSHAP,
    GradientTimesInput,
    GuidedBackprop,
    GuidedGradCAM,
    HiResCAM,
    HSICAttribution,
    IntegratedGradients,
    LayerCAM,
    Method,
    Occlusion,
    Pass,
    PermutationImportance,
    RoleComposite,
    Saliency,
    ScoreCAM,
    ShapleyValueSampling,
    SignalTakesAll,
    SmoothGrad,
    SobolAttribution,
    Taylor,
    Uniform,
    VarGrad,
    XGradCAM,
    ZBox,
    ZPlus,
    explain_generation,
)
from keras_xai.callbacks import (
    ActivationStatistics,
    ExplanationLogger,
    FBIWarmUp,
    FreeEnergyGap,
    NeighborhoodHit,
    PseudoLikelihood,
)
from keras_xai.config import memory_budget, set_memory_budget
from keras_xai.diagnosis import (
    Diagnosis,
    NetworkComparison,
    Protocol,
    block_ends,
    chance_hit,
    compare_networks,
    diagnose,
    neighborhood_hit,
)
from keras_xai.explaining import ExplanationReport, explain
from keras_xai.features import (
    TSNE,
    Ascent,
    AttentionMaps,
    Dream,
    Dreamed,
    EmbeddingMap,
    ExtremeExamples,
    Maximized,
    Reconstructions,
    activations,
    attention_maps,
    deep_dream,
    extreme_examples,
    maximize_activation,
    receptive_field,
    reconstruct,
    tsne_map,
)
from keras_xai.graph import Graph, Step, trace
from keras_xai.layers import RBMDense, to_dense, with_layout
from keras_xai.losses import FBILoss, fbi_penalty
from keras_xai.metrics import (
    IROF,
    ROAD,
    Comparison,
    Complexity,
    Deletion,
    EfficientMPRT,
    FaithfulnessCorrelation,
    Infidelity,
    Insertion,
    LocalLipschitzEstimate,
    MaxSensitivity,
    Metric,
    ModelParameterRandomization,
    Monotonicity,
    NeighborSimilarity,
    PixelFlipping,
    PointingGame,
    RandomLogit,
    RelevanceMass,
    RelevanceRank,
    SmoothMPRT,
    Sparseness,
    Sufficiency,
    TopKIntersection,
    compare_methods,
)
from keras_xai.models import FBIModel
from keras_xai.openbox import (
    Counterfactuals,
    Facets,
    Fidelity,
    Flattened,
    Line,
    LinearPieces,
    OpenBox,
    Plane,
    Polytope,
    RegionClassifier,
    RegionGroups,
    Walls,
    fidelity_curve,
    flatten_regions,
    merge_regions,
    prune_regions,
)
from keras_xai.pretraining import ContrastiveDivergence, Hybrid, PersistentContrastiveDivergence, ReconstructionError, pretrain
from keras_xai.report import (
    Page,
    Panel,
    activations_plot,
    color_bar,
    decision_plot,
    deconvnet_plot,
    depth_plot,
    explanations_plot,
    fidelity_plot,
    filters_plot,
    heatmap,
    maps_plot,
    openbox_page,
    parallel_coordinates,
    picture,
    reconstructions_plot,
    words_html,
)
from keras_xai.targets import Margin, Output, Probability, Region, Similarity, Token

Array = npt.NDArray[Any]


def classifier(shape: tuple[int, ...]) -> keras.Model:
    """A network of images."""
    layers = [
        keras.Input(shape),
        keras.layers.Conv2D(4, 3, activation="relu", name="convolution"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3, "softmax"),
    ]
    model = keras.Sequential(layers)
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def flat_classifier() -> keras.Model:
    """A piecewise-linear network of eight features."""
    return keras.Sequential([keras.Input((8,)), keras.layers.Dense(6, "relu"), keras.layers.Dense(3, "softmax")])


def transformer() -> keras.Model:
    """A network of four tokens."""
    tokens = keras.Input((4,), dtype="int32")
    x = keras.layers.Embedding(10, 8)(tokens)
    x = x + keras.layers.MultiHeadAttention(2, 4)(x, x)
    return keras.Model(tokens, keras.layers.Dense(3, "softmax")(keras.layers.GlobalAveragePooling1D()(x)))


def language_model() -> keras.Model:
    """A causal network of tokens."""
    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(10, 8)(tokens)
    x = x + keras.layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)
    return keras.Model(tokens, keras.layers.Dense(10)(x))


def encoder(shape: tuple[int, ...]) -> keras.Model:
    """A network of embeddings."""
    return keras.Sequential([keras.Input(shape), keras.layers.Flatten(), keras.layers.Dense(4)])


def segmenter(shape: tuple[int, ...]) -> keras.Model:
    """A network of segmentation maps."""
    return keras.Sequential([keras.Input(shape), keras.layers.Conv2D(3, 3, padding="same", activation="softmax")])


def methods(model: keras.Model) -> list[Method]:
    """One of each method."""
    rules = RoleComposite(first=ZBox(0.0, 1.0), convolution=Gamma(0.25), dense=Epsilon(1e-6))
    return [
        CAM(model),
        LIME(model, num_samples=20, seed=0),
        LRP(model, composite=EpsilonPlus()),
        LRP(model, composite=EpsilonPlusFlat()),
        LRP(model, composite=EpsilonAlpha2Beta1()),
        LRP(model, composite=rules),
        LRP(model, composite=AttnLRP()),
        LRP(model, composite=CPLRP()),
        RISE(model, num_samples=8, seed=0),
        SHAP(model, explainer="kernel", num_samples=130, seed=0),
        AblationCAM(model),
        DecisionFeatures(model, against="all"),
        Deconvnet(model),
        DeepLIFT(model),
        DeepSHAP(model),
        EigenCAM(model),
        FeatureAblation(model),
        GradCAM(model, layer="convolution", verbose=0),
        GradCAMPlusPlus(model),
        GradientSHAP(model, num_samples=4, seed=0),
        GradientTimesInput(model),
        GuidedBackprop(model),
        GuidedGradCAM(model),
        HSICAttribution(model, num_samples=8, seed=0),
        HiResCAM(model),
        IntegratedGradients(model, steps=4, batch_size=8, verbose="auto"),
        LayerCAM(model),
        Occlusion(model, window=2),
        Saliency(model),
        ScoreCAM(model),
        ShapleyValueSampling(model, num_samples=2, seed=0),
        SmoothGrad(model, num_samples=2, seed=0),
        SobolAttribution(model, num_samples=2, seed=0),
        VarGrad(model, num_samples=2, seed=0),
        XGradCAM(model),
    ]


def attributions(model: keras.Model, x: Array, y: Array) -> str:
    """Explanations, and what they are asked for."""
    explanations: list[Explanation] = [each(x) for each in methods(model)]
    first = explanations[0]
    first.plot(2, class_names=["zero", "one", "two"], title="Methods")
    with_layout(model, "NHWC")
    importance: FeatureImportance = PermutationImportance(model, metric="accuracy", num_repeats=1, seed=0)(x, y)
    importance.plot()
    explanations_plot({each.method: each for each in explanations[:2]}, samples=[0, 1], show=lambda image: image)
    for target in (0, [0, 1, 2], Margin(0, 1), Probability(1), Output(0)):
        GradCAM(model)(x[:3], target=target)
    Saliency(encoder(x.shape[1:]))(x[:2], target=Similarity(np.ones(4), "dot"))
    Saliency(segmenter(x.shape[1:]))(x[:2], target=Region(1, mask="predicted"))
    rules = [AlphaBeta(), Flat(), Pass(), ZPlus(), Uniform(), SignalTakesAll(), Taylor()]
    return f"{first.values.shape} {len(rules)} {first.num_forward_passes:.0f}"


def attention(model: keras.Model, tokens: Array) -> AttentionMaps:
    """Of a transformer."""
    AttentionRollout(model)(tokens).plot()
    words_html(GradientRollout(model)(tokens), vocabulary=[str(each) for each in range(100)])
    GradientRollout(model)(tokens).plot(vocabulary=[str(each) for each in range(100)])
    maps: AttentionMaps = attention_maps(model, tokens)
    maps.plot()
    return maps


def generation(model: keras.Model, tokens: list[int]) -> Generation:
    """Of a language model."""
    found: Generation = explain_generation(Saliency(model), tokens, generated=[4, 5])
    Saliency(model)(np.array([tokens]), target=Token(1))
    found.plot(vocabulary=[str(each) for each in range(100)])
    found.plot_matrix(vocabulary=[str(each) for each in range(100)])
    return found


def rated(model: keras.Model, x: Array) -> tuple[Comparison, list[float]]:
    """Methods by metrics."""
    method = Saliency(model)
    explanation = method(x)
    masks = x[..., 0] > 0.5
    metrics: list[Metric] = [
        IROF(model),
        ROAD(model, order="morf"),
        Complexity(),
        Deletion(model, steps=4),
        EfficientMPRT(model, method, seed=0),
        FaithfulnessCorrelation(model, seed=0),
        Infidelity(model, num_perturbations=2, seed=0),
        Insertion(model, steps=4),
        LocalLipschitzEstimate(method, num_samples=1, seed=0),
        MaxSensitivity(method, num_samples=1, seed=0),
        ModelParameterRandomization(model, method, mode="cascading", seed=0),
        Monotonicity(model),
        NeighborSimilarity(),
        PixelFlipping(model, seed=0),
        PointingGame(masks),
        RandomLogit(model, method, seed=0),
        RelevanceMass(masks),
        RelevanceRank(masks),
        SmoothMPRT(model, method, num_samples=2, seed=0),
        Sparseness(),
        Sufficiency(model),
        TopKIntersection(masks),
    ]
    comparison: Comparison = compare_methods(model, x, {"gradient": method}, metrics[:4], verbose=0)
    comparison.plot(samples=1)
    return comparison, [float(np.mean(each(explanation))) for each in metrics]


def pieces(model: keras.Model, x: Array, y: Array) -> pd.DataFrame:
    """Linear pieces, their geometry, regions and groups of them."""
    box = OpenBox(model, dtype="float64")
    local: LinearPieces = box(x, verbose=0)
    walls: Walls = local.nearest_wall(verbose=0)
    facets: tuple[Facets, ...] = local.nearest_facets(2)
    polytope: Polytope = local.polytope(0, bounds=(0.0, 1.0))
    others: Counterfactuals = local.counterfactuals()
    line: Line = box.line(x[0], x[1])
    line.integrated_gradients(0)
    plane: Plane = box.plane(x[0], x[1], x[2])
    plane.plot(class_names=["a", "b", "c"], x=x, y=y)
    local.decision_features(against="runner-up")
    local.radius()
    local.exit_distance(walls.direction)
    classifier: RegionClassifier = box.convert(x, y)
    groups: RegionGroups = prune_regions(box, x, 2)
    groups = merge_regions(box, x, 2, y=y)
    flat: Flattened = flatten_regions(groups, x, y)
    fidelity: Fidelity = groups.fidelity(x)
    curve = fidelity_curve(box, x, y, sizes=[1, 2], methods=["merge", "prune"])
    fidelity_plot(curve, measure="agreement")
    parallel_coordinates(local.coef[:, :, 0], [1] * len(x))
    print(facets, polytope, others, flat, fidelity)
    return classifier.table(x, y)


def interpretable(x: Array, y: Array) -> keras.Model:
    """Pretraining, and training with the FBI loss."""
    layer = RBMDense(8, "sigmoid")
    model = keras.Sequential([keras.Input(x.shape[1:]), layer, keras.layers.Dense(3, "softmax")])
    for rule in (
        ContrastiveDivergence(),
        PersistentContrastiveDivergence(num_chains=4, weight_cost=1e-4),
        ReconstructionError(),
        Hybrid([(ContrastiveDivergence(), 1), (ReconstructionError(), 1)]),
    ):
        pretrain(model, x, rule, epochs=2, verbose=0, callbacks=[PseudoLikelihood(x, seed=0), FreeEnergyGap(x, x)])
    filters_plot(layer.kernel, (2, 4))
    reconstructions_plot(x, layer.reconstruct(x), (2, 4))
    plain = to_dense(model)
    regularized = FBIModel(plain, weight=1e-3, rule="z", target="label", reduction="sum")
    regularized.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    watched = [FBIWarmUp(threshold=0.7, mode="max"), NeighborhoodHit(x, y), ActivationStatistics(x, layers=[plain.layers[0]])]
    regularized.fit(x, y, validation_data=(x, y), callbacks=watched, verbose=0)
    FBILoss(keras.losses.SparseCategoricalCrossentropy(), weight=1e-3)(plain, x, y)
    fbi_penalty(plain, x, y, rule="zplus", reduction="mean")
    return plain


def diagnosed(model: keras.Model, x: Array, y: Array) -> NetworkComparison:
    """Layers of two networks."""
    protocol = Protocol(
        samples=60, repeats=1, maps="mean", normalization="standard", tsne=TSNE(perplexity=5, initialization="random")
    )
    report: Diagnosis = diagnose(model, x, y, block_ends(model)[:1], protocol=protocol, verbose=0)
    depth_plot({"a": report})
    chance_hit(y)
    neighborhood_hit(x.reshape(len(x), -1), y)
    return compare_networks(report, report, names=("a", "b"))


def seen(model: keras.Model, x: Array) -> Page:
    """What layers respond to, and pages."""
    maps = activations(model, x[:1])
    activations_plot({"model": maps})
    examples: ExtremeExamples = extreme_examples(model, x, layer="convolution", verbose=0)
    best: Maximized = maximize_activation(model, 0, ascent=Ascent(steps=2), seed=0, verbose=0)
    dream: Dreamed = deep_dream(model, x[:1], layers="convolution", dream=Dream(steps=1, octaves=1), verbose=0)
    parts: Reconstructions = reconstruct(model, x[:1], layer="convolution", keep="largest", verbose=0)
    points: EmbeddingMap = tsne_map(model, x, layer="convolution", perplexity=5.0, verbose=0)
    field = receptive_field(model, "convolution", (1, 1))
    deconvnet_plot(parts)
    maps_plot(maps)
    page = Page("Page").heading("Part").text("Text").table([("a", 1)]).figure(picture(x[0]), caption="An image.")
    page.panels([Panel("Both", [heatmap(x[0]), color_bar(1.0, "value")], "Caption")])
    local = OpenBox(model)(x[:4], verbose=0)
    decision_plot(local.decision_features(), x[:4])
    openbox_page(local, local.nearest_wall(verbose=0), page=page)
    print(examples, best, dream, points, field)
    return page


def saved(report: Diagnosis, found: Generation, folder: pathlib.Path) -> None:
    """Pictures in files."""
    report.plot_depth(path=str(folder / "depth.pdf"))
    found.plot_matrix(path=folder / "matrix.svg")
    picture(np.eye(3), path=folder / "picture.png")


def logged(model: keras.Model, x: Array, folder: str) -> ExplanationLogger:
    """Explanations in TensorBoard."""
    return ExplanationLogger(Saliency(model), x[:2], log_dir=folder)


def page(model: keras.Model, frame: pd.DataFrame, y: Array) -> ExplanationReport:
    """One call that picks methods."""
    report: ExplanationReport = explain(model, frame, y, class_names=["a", "b", "c"], seconds=5, seed=0, verbose=0)
    print(report.predictions, report.reasons)
    return report


def read(model: keras.Model) -> tuple[Graph, Step]:
    """The steps of a model."""
    graph = trace(model)
    return graph, graph.steps[0]


def budget() -> int:
    """Memory for batches."""
    set_memory_budget(2**31)
    return memory_budget()
