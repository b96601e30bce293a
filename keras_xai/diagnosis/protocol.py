"""Checks of the diagnosis protocol."""

from keras_xai.results.protocol import Protocol


def check_protocol(protocol: Protocol | None) -> Protocol:
    """Returns the given protocol, or the default one.

    Raises:
        TypeError: If it is not a protocol.
    """
    if protocol is None:
        return Protocol()
    if not isinstance(protocol, Protocol):
        raise TypeError(f"Expected `protocol` to be a `keras_xai.diagnosis.Protocol`. Received: protocol={protocol!r}")
    return protocol
