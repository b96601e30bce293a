"""Readers of data files: one for each kind, all returning `Data`."""
