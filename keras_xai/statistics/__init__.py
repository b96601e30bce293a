"""Statistics of arrays, independent of models: confidence intervals, neighborhood hits, t-SNE."""
