"""The PyTorch half of `transformer_peers.py`: AttnLRP by LXT and DeepLIFT by captum, on weights from a file.

It imports nothing of this package, so that PyTorch can live in an environment of its own:

    python benchmarks/transformer_peers_torch.py INPUTS.npz OUTPUTS.npz
"""

import importlib.metadata
import json
import sys

import lxt.explicit.functional as rules
import numpy as np
import torch
from captum.attr import DeepLift
from lxt.explicit.rules import identity
from torch import nn
from torch.nn import functional


class Encoder:
    """Blocks of a transformer whose operations have LXT's rules.

    Args:
        weights: Tensors by the paths of the Keras layers.
        settings: `num_heads`, `num_blocks`, `norm_first` and `norm_epsilon`.
        epsilon: Stabilizer of all rules; `None` for the defaults of LXT.
    """

    def __init__(self, weights, settings, epsilon):
        self._weights, self._settings = weights, settings
        self._stable = {} if epsilon is None else {"epsilon": epsilon}

    def __call__(self, x):
        for number in range(self._settings["num_blocks"]):
            name = f"block_{number}"
            if self._settings["norm_first"]:
                x = self.sum(x, self._attention(self.norm(x, f"{name}_norm_1"), f"{name}_attention"))
                x = self.sum(x, self._wide(self.norm(x, f"{name}_norm_2"), name))
            else:
                x = self.norm(self.sum(x, self._attention(x, f"{name}_attention")), f"{name}_norm_1")
                x = self.norm(self.sum(x, self._wide(x, name)), f"{name}_norm_2")
        return x

    def linear(self, x, name):
        """A dense layer, or a part of an attention layer."""
        kernel, bias = self._weights[f"{name}/kernel"], self._weights[f"{name}/bias"]
        outputs = bias.numel()
        return rules.linear_epsilon(x, kernel.reshape(-1, outputs).T, bias.reshape(-1), **self._stable)

    def norm(self, x, name):
        """A layer normalization; the function of LXT for it takes no epsilon."""
        epsilon = self._stable.get("epsilon", 1e-6)
        scale, shift = self._weights[f"{name}/gamma"], self._weights[f"{name}/beta"]
        return rules.layer_norm_grad_fn.apply(x, scale, shift, self._settings["norm_epsilon"], epsilon)

    def sum(self, x, y):
        """The sum of two tensors."""
        return rules.add2(x, y, **self._stable)

    def mean(self, x):
        """The mean over tokens."""
        return rules.mean(x, 1, False, **self._stable)

    def _wide(self, x, name):
        return self.linear(identity(functional.gelu, self.linear(x, f"{name}_wide")), f"{name}_narrow")

    def _attention(self, x, name):
        heads = self._settings["num_heads"]

        def split(part):
            projected = self.linear(x, f"{name}/{part}")
            return projected.unflatten(-1, (heads, -1)).transpose(1, 2)

        query, key, value = (split(part) for part in ("query", "key", "value"))
        scores = rules.matmul(rules.mul2(query, query.shape[-1] ** -0.5), key.transpose(-1, -2), **self._stable)
        mixed = rules.matmul(rules.softmax(scores, -1), value, **self._stable)
        return self.linear(mixed.transpose(1, 2).flatten(2), f"{name}/attention_output")


def vit(weights, settings, x, target, epsilon):
    """Relevance of the pixels `(n, height, width, channels)`, and the scores."""
    encoder = Encoder(weights, settings, epsilon)
    x.requires_grad_()
    size = settings["patch"]
    count = x.shape[1] // size
    patches = x.unflatten(1, (count, size)).unflatten(3, (count, size)).transpose(2, 3).reshape(len(x), count**2, -1)
    tokens = encoder.sum(encoder.linear(patches, "patches"), weights["positions"].expand(len(x), -1, -1))
    tokens = encoder.norm(encoder(tokens), "last_norm")
    scores = encoder.linear(encoder.mean(tokens), "scores")
    return relevance(scores, target, x), scores


def bert(weights, settings, ids, target, epsilon):
    """Relevance of the tokens `(n, length)`, and the scores."""
    encoder = Encoder(weights, settings, epsilon)
    tokens = weights["words"][ids].requires_grad_()
    x = encoder.norm(encoder.sum(tokens, weights["positions"].expand(len(ids), -1, -1)), "first_norm")
    pooled = identity(torch.tanh, encoder.linear(encoder(x)[:, 0], "pooled"))
    scores = encoder.linear(pooled, "scores")
    return relevance(scores, target, tokens).sum(dim=-1), scores


def relevance(scores, target, x):
    """What the rules make of the explained scores."""
    chosen = scores.gather(1, target[:, None])
    return torch.autograd.grad(chosen, x, chosen.detach())[0]


class CNN(nn.Module):
    """The convolutional network of `transformer_peers.py`; images are channels first.

    Args:
        weights: Tensors by the paths of the Keras layers.
        pooling: `"max"` or `"average"`.
        apart: Whether the ReLU and the pooling are set apart by a factor of one.
    """

    def __init__(self, weights, pooling, apart):
        super().__init__()
        self.apart = apart
        self.first, self.second = self._convolution(weights, "first"), self._convolution(weights, "second")
        self.pool = nn.MaxPool2d(2) if pooling == "max" else nn.AvgPool2d(2)
        self.hidden, self.scores = self._dense(weights, "hidden"), self._dense(weights, "scores")
        # captum tells activations apart by their module.
        self.relu_1, self.relu_2, self.tanh = nn.ReLU(), nn.ReLU(), nn.Tanh()

    def forward(self, x):
        x = self.relu_1(self.first(x))
        x = self.pool(x * 1 if self.apart else x)
        x = self.relu_2(self.second(x)).permute(0, 2, 3, 1).flatten(1)
        return self.scores(self.tanh(self.hidden(x)))

    @staticmethod
    def _convolution(weights, name):
        kernel, bias = weights[f"{name}/kernel"], weights[f"{name}/bias"]
        made = nn.Conv2d(kernel.shape[2], kernel.shape[3], kernel.shape[0], dtype=kernel.dtype)
        made.load_state_dict({"weight": kernel.permute(3, 2, 0, 1), "bias": bias})
        return made

    @staticmethod
    def _dense(weights, name):
        kernel, bias = weights[f"{name}/kernel"], weights[f"{name}/bias"]
        made = nn.Linear(*kernel.shape, dtype=kernel.dtype)
        made.load_state_dict({"weight": kernel.T, "bias": bias})
        return made


def deep_lift(weights, settings, x, target, baseline):
    """Contributions `(n, height, width, channels)` by captum, and the scores."""
    model = CNN(weights, settings["pooling"], settings["apart"])
    x, baseline = (each.permute(0, 3, 1, 2) for each in (x, baseline))
    values = DeepLift(model).attribute(x.clone(), baseline, target=target)
    return values.permute(0, 2, 3, 1), model(x)


def main(source, destination):
    """Reads weights and samples of each network, and writes values and scores."""
    torch.set_num_threads(1)
    with np.load(source) as file:
        arrays = {name: torch.from_numpy(file[name]) for name in file.files if name != "settings"}
        all_settings = json.loads(str(file["settings"]))
    found = {}
    for name, settings in all_settings.items():
        own = {key.removeprefix(f"{name}:"): each for key, each in arrays.items() if key.startswith(f"{name}:")}
        x, target = own.pop("x"), own.pop("target")
        if settings["kind"] == "cnn":
            values, scores = deep_lift(own, settings, x, target, own.pop("baseline"))
        else:
            run = vit if settings["kind"] == "vit" else bert
            values, scores = run(own, settings, x, target, settings["epsilon"])
        found[f"{name}:values"], found[f"{name}:scores"] = values.detach().numpy(), scores.detach().numpy()
    versions = {name: importlib.metadata.version(name) for name in ("torch", "lxt", "captum")}
    np.savez(destination, versions=json.dumps(versions), **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
