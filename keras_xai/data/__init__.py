"""Input and output: the reader of samples, argument checks, and the archive format."""
