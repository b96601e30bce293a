"""Samples in, files out: the reader of samples, the checks of arguments, and the format of files."""
