"""Methods that use gradients: saliency, SmoothGrad, integrated gradients, guided backpropagation, Deconvnet, decision features."""
