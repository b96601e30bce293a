"""Groups of regions that share one linear classifier, and what they keep of the network."""

from keras_xai.openbox.grouping.curve import fidelity_curve
from keras_xai.openbox.grouping.flatten import Flattened, flatten
from keras_xai.openbox.grouping.groups import RegionGroups, merge, prune

__all__ = ["Flattened", "RegionGroups", "fidelity_curve", "flatten", "merge", "prune"]
