"""The scopes that Keras has entered in this thread, put back after a call that did not leave them itself."""

from collections.abc import Iterator
from contextlib import contextmanager

from keras.src.backend.common import global_state

# Keras sets each of them when a scope is entered, and sets it back in an `__exit__` that a Ctrl-C can come before.
_SCOPES = (
    "symbolic_scope",
    "stateless_scope",
    "autocast_scope",
    "name_scope_stack",
    "remat_scope_stack",
    "current_call_ctx",
    "in_tf_graph_scope",
    "tracking_on",
    "custom_objects_scope_dict",
    "safe_mode_saving",
    "use_legacy_config",
    "shared_objects/id_to_obj_map",
    "shared_objects/id_to_config_map",
)


@contextmanager
def keras_scopes_kept() -> Iterator[None]:
    """Context manager after which the thread is in the same scopes of Keras as before, a part of each backend's `scopes_kept`."""
    before = {name: _copied(global_state.get_global_attribute(name)) for name in _SCOPES}
    try:
        yield
    finally:
        names = global_state.get_global_attribute("name_scope_stack") or []
        for scope in reversed(names[len(before["name_scope_stack"] or ()) :]):
            scope.__exit__(None, None, None)  # which leaves that of the backend, too
        for name, value in before.items():
            found = global_state.get_global_attribute(name)
            if isinstance(found, list) and isinstance(value, list):
                found[:] = value  # what another scope holds stays the same list
            elif found is not value:
                global_state.set_global_attribute(name, value)


def _copied(value):
    return list(value) if isinstance(value, list) else value
