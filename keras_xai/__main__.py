"""`python -m keras_xai`: the command line."""

from keras_xai.cli import main

main(prog_name="python -m keras_xai")
