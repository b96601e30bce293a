"""The regions of a network as a scikit-learn classifier."""
