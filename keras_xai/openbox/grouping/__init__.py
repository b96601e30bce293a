"""Groups of regions that share one linear classifier, and their fidelity to the network."""

from keras_xai.openbox.grouping.curve import fidelity_curve
from keras_xai.openbox.grouping.flatten import Flattened, flatten_regions
from keras_xai.openbox.grouping.groups import RegionGroups, merge_regions, prune_regions

__all__ = ["Flattened", "RegionGroups", "fidelity_curve", "flatten_regions", "merge_regions", "prune_regions"]
