"""The command `keras-xai`."""

import click

from keras_xai import __version__
from keras_xai.cli.diagnose import diagnose
from keras_xai.cli.explain import explain
from keras_xai.cli.openbox import openbox


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="keras-xai")
def main() -> None:
    """Explain Keras models from the command line.

    Each command reads a saved model and data, and writes one HTML page that opens in any browser.

    \b
    Examples:
      keras-xai explain model.keras photo1.jpg photo2.jpg --classes imagenet --output report.html
      keras-xai diagnose model.keras data.npz --output diagnosis.html
      keras-xai openbox model.keras table.csv --labels species --output pieces.html

    "keras-xai COMMAND --help" lists the options of a command, with more examples.

    Exit codes: 0 done, 1 something failed, 2 wrong use, 130 interrupted by Ctrl-C.
    """


main.add_command(explain)
main.add_command(diagnose)
main.add_command(openbox)
