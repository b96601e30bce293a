"""Statistics of arrays, which know no model: confidence intervals, neighborhood hits, t-SNE."""
