"""Methods that hide parts of the input: occlusion and LIME."""
