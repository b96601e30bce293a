"""The plan of a pretraining: layers, rules and epochs."""

import dataclasses
from typing import Any

from keras import ops

from keras_xai.data.checks import check_count
from keras_xai.data.structure import in_order
from keras_xai.graph.search import calls_of
from keras_xai.graph.split import upstream
from keras_xai.graph.steps import Graph
from keras_xai.layers import RBMDense
from keras_xai.network import Network
from keras_xai.pretraining.rule import Rule, Schedule


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stage: some epochs of one layer with one rule.

    Attributes:
        path: The layer's path.
        layer: The layer.
        rule: The user's rule.
        first: First epoch, counted per layer.
        last: The epoch after the last.
        network: The network from the model's inputs to those of the layer.
    """

    path: str
    layer: RBMDense
    rule: Rule
    first: int
    last: int
    network: Network

    def front(self, x: Any) -> Any:
        """The layer's inputs for a batch of the model's inputs."""
        graph = self.network.graph
        values = in_order(x, graph.input_structure, graph.input_specs)
        inputs = [ops.cast(each, spec.dtype) for each, spec in zip(values, graph.input_specs, strict=True)]
        return self.network.outputs(self.network.run(inputs))[0]


def plan(graph: Graph, rule: Schedule, epochs: int) -> list[Stage]:
    """The stages of a pretraining, in their order.

    Args:
        graph: The graph of the model.
        rule: The training rule.
        epochs: Number of epochs per layer.

    Raises:
        TypeError: If `rule` is not a rule.
        ValueError: If there is no trainable layer, a layer cannot be pretrained, or the rule does not fit the epochs.
    """
    if not isinstance(rule, Schedule):
        raise TypeError(
            "Expected a rule, such as `ContrastiveDivergence()`, an instance of `keras_xai.pretraining.Rule` or `Hybrid`. "
            f"Received: rule={rule!r}"
        )
    check_count("epochs", epochs)
    steps = calls_of(graph, RBMDense)
    if not steps:
        raise ValueError(
            "Expected a model with `keras_xai.layers.RBMDense` layers. Received: a model without one, with the layers "
            f"{[step.path for step in graph.steps]}. "
            "Replace the `Dense` layers to pretrain by `RBMDense`, which takes the same arguments."
        )
    chosen = [step for step in steps if step.operation.trainable]
    if not chosen:
        raise ValueError(f"Expected a trainable layer. Received: {[step.path for step in steps]}, none of which is trainable.")
    return [stage for step in chosen for stage in _stages(step, graph, rule, epochs)]


def _stages(step, graph, rule, epochs):
    layer = step.operation
    try:
        layer.machine()
    except ValueError as error:
        raise ValueError(f"Layer '{step.path}' cannot be pretrained. {error}") from None
    if layer.lora_enabled or layer.quantization_mode is not None:
        raise ValueError(
            f"Expected layers with a plain kernel. Received: '{step.path}', which is quantized or trained by LoRA. "
            "Pretrain before."
        )
    before = Network(upstream(graph, step))
    first = 0
    for each, count in rule.stages(step.path, epochs):
        yield Stage(step.path, layer, each, first, first + count, before)
        first += count
