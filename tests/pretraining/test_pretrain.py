"""Greedy pretraining: what each layer is trained on, by `fit()`, from any data, and what must not happen."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from keras_xai.graph.trace import trace
from keras_xai.layers import RBMDense
from keras_xai.pretraining import ContrastiveDivergence, Hybrid, PersistentContrastiveDivergence, ReconstructionError, pretrain
from keras_xai.pretraining.execution import steps_per_execution
from keras_xai.pretraining.plan import plan

X = np.random.default_rng(0).uniform(size=(40, 6)).astype("float32")


def mlp(activation="sigmoid", **options):
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((6,)),
            RBMDense(5, activation, name="first", **options),
            keras.layers.Dropout(0.5),
            RBMDense(4, activation, name="second", **options),
            keras.layers.Dense(2, name="head"),
        ]
    )


def single(**options):
    """One machine, where one will do."""
    keras.utils.set_random_seed(3)
    return keras.Sequential([keras.Input((6,)), RBMDense(5, "sigmoid", name="first", **options)])


def run(model, x=X, rule=None, **options):
    """Pretraining with small steps to see: two epochs of gradient descent."""
    options = {"epochs": 2, "batch_size": 10, "optimizer": keras.optimizers.SGD(0.1), "verbose": 0} | options
    return pretrain(model, x, rule, **options)


def assert_same(one, other, **tolerance):
    """Up to ten roundings of weights of size 1, in float32, unless said."""
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, **({"rtol": 1e-5, "atol": 1e-6} | tolerance))


def alone(units, x, rule=None, like=None, **options):
    """The weights that a machine gets when it is trained by itself on `x`."""
    model = keras.Sequential([keras.Input((x.shape[-1],)), RBMDense(units, "sigmoid", name="alone")])
    model.layers[0].set_weights(like)
    run(model, x, rule, shuffle=False, **options)
    return model.layers[0].get_weights()


class TestGreedy:
    def test_each_layer_is_trained_on_what_the_trained_layers_before_make_of_the_data(self):
        model = mlp()
        starts = {name: model.get_layer(name).get_weights() for name in ("first", "second", "head")}
        histories = run(model, shuffle=False)
        assert list(histories) == ["first", "second"]
        first = alone(5, X, like=starts["first"])
        assert_same(model.get_layer("first").get_weights(), first)
        hidden = 1 / (1 + np.exp(-(X @ first[0] + first[1])))  # without dropout
        assert_same(model.get_layer("second").get_weights(), alone(4, hidden, like=starts["second"]))
        untrained = 1 / (1 + np.exp(-(X @ starts["first"][0] + starts["first"][1])))  # negative control
        assert np.abs(model.get_layer("second").kernel - alone(4, untrained, like=starts["second"])[0]).max() > 1e-4
        assert_same(model.get_layer("head").get_weights(), starts["head"], rtol=0, atol=0)

    def test_behind_convolutions_and_flatten_and_inside_nested_models(self):
        keras.utils.set_random_seed(0)
        images = np.random.default_rng(0).uniform(size=(24, 6, 6, 1)).astype("float32")
        inner = keras.Sequential([keras.Input((5,)), RBMDense(4, "relu", name="deep")], name="inner")
        x = inputs = keras.Input((6, 6, 1))
        x = keras.layers.Conv2D(3, 3, activation="relu", name="convolution")(x)
        x = keras.layers.BatchNormalization(name="normalization")(x)
        x = keras.layers.Flatten()(x)
        x = RBMDense(5, "relu", visible_activation="linear", name="flat")(x)
        model = keras.Model(inputs, keras.layers.Dense(2)(inner(x)))
        before = {name: model.get_layer(name).get_weights() for name in ("convolution", "normalization")}
        start = model.get_layer("flat").get_weights()
        histories = run(model, images, ReconstructionError(), shuffle=False, batch_size=8)
        assert list(histories) == ["flat", "inner/deep"]
        for name, weights in before.items():
            assert_same(model.get_layer(name).get_weights(), weights, rtol=0, atol=0)
        front = keras.Model(inputs, model.get_layer("flat").input)
        flat = keras.Sequential([keras.Input((48,)), RBMDense(5, "relu", visible_activation="linear")])
        flat.layers[0].set_weights(start)
        run(flat, front.predict(images, verbose=0), ReconstructionError(), shuffle=False, batch_size=8)
        assert_same(model.get_layer("flat").get_weights(), flat.layers[0].get_weights())

    def test_several_inputs_and_positions_as_samples(self):
        keras.utils.set_random_seed(0)
        one, two = keras.Input((3, 4), name="one"), keras.Input((2,), name="two")
        hidden = RBMDense(3, "sigmoid", name="positions")(one)
        both = keras.layers.Concatenate()([keras.layers.Flatten()(hidden), two])
        model = keras.Model({"one": one, "two": two}, RBMDense(2, "sigmoid", name="both")(both))
        data = {
            "one": np.random.default_rng(0).uniform(size=(20, 3, 4)),
            "two": np.random.default_rng(1).uniform(size=(20, 2)),
        }
        start = model.get_layer("positions").get_weights()
        assert list(run(model, data, shuffle=False)) == ["positions", "both"]
        expected = alone(3, data["one"].reshape(60, 4), like=start, batch_size=30)
        assert_same(model.get_layer("positions").get_weights(), expected)

    def test_layers_that_are_not_trainable_are_left_out(self):
        model = mlp()
        model.get_layer("first").trainable = False
        before = model.get_layer("first").get_weights()
        assert list(run(model)) == ["second"]
        assert_same(model.get_layer("first").get_weights(), before, rtol=0, atol=0)

    def test_the_rest_of_the_model_is_as_before(self):
        model = mlp()
        model.compile("adam", "mse")
        optimizer, nodes = model.optimizer, [len(layer._inbound_nodes) for layer in model.layers]
        run(model)
        assert model.optimizer is optimizer and model.compiled
        assert [len(layer._inbound_nodes) for layer in model.layers] == nodes
        assert [variable.name for variable in model.get_layer("first").trainable_variables] == ["kernel", "bias"]
        model.fit(X, np.zeros((40, 2)), verbose=0)

    def test_learning_pays(self):
        from sklearn.datasets import load_digits

        x = load_digits().data / 16
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((64,)), RBMDense(100, "sigmoid", name="hidden")])
        error = pretrain(model, x, epochs=12, batch_size=32, verbose=0)["hidden"].history["reconstruction_error"]
        mean = np.square(x - x.mean(axis=0)).mean()  # what the visible bias alone could reach
        assert error[0] > mean > 2.5 * error[-1]


class TestData:
    @pytest.mark.parametrize("kind", ["x", "x, y", "PyDataset"])
    def test_datasets_give_what_arrays_give(self, kind):
        class Batches(keras.utils.PyDataset):
            def __len__(self):
                return 4

            def __getitem__(self, index):
                return X[10 * index : 10 * index + 10], np.zeros(10)

        expected = single()
        run(expected, shuffle=False)
        dataset = tf.data.Dataset.from_tensor_slices(X if kind == "x" else (X, np.zeros(40))).batch(10)
        model = single()
        run(model, Batches() if kind == "PyDataset" else dataset, shuffle=False)
        assert_same(model.get_weights(), expected.get_weights())

    def test_sample_weights_count(self):
        weighted, expected = single(), single()
        rows = tf.data.Dataset.from_tensor_slices((X, np.zeros(40), np.full(40, 2.0))).batch(10)
        run(weighted, rows, shuffle=False)
        run(expected, shuffle=False, optimizer=keras.optimizers.SGD(0.2))
        assert_same(weighted.get_weights(), expected.get_weights())

    def test_datasets_are_read_batch_by_batch(self):
        """An endless stream, so that nothing could hold all of it."""
        read = []

        def stream():
            rng = np.random.default_rng(0)
            while True:
                read.append(1)
                yield rng.uniform(size=(10, 6))

        dataset = tf.data.Dataset.from_generator(stream, output_signature=tf.TensorSpec((10, 6)))
        histories = run(mlp(), dataset, steps_per_epoch=5)
        assert all(len(history.history["loss"]) == 2 for history in histories.values())
        assert len(read) < 100

    def test_validation_data_of_any_form(self):
        held_out = np.random.default_rng(1).uniform(size=(15, 6)).astype("float32")
        errors = []
        for validation in (held_out, (held_out, np.zeros(15)), tf.data.Dataset.from_tensor_slices(held_out).batch(10)):
            model = single()
            errors.append(run(model, validation_data=validation)["first"].history["val_reconstruction_error"])
        expected = np.square(model.get_layer("first").reconstruct(held_out) - held_out).mean()
        assert errors[0][-1] == pytest.approx(expected, rel=1e-5)
        np.testing.assert_allclose(errors[1:], errors[:2], rtol=1e-5)

    def test_a_share_of_the_data_for_validation(self):
        model, expected = single(), single()
        history = run(model, validation_split=0.25, shuffle=False)["first"].history
        run(expected, X[:30], shuffle=False)
        assert_same(model.get_weights(), expected.get_weights())
        error = np.square(expected.get_layer("first").reconstruct(X[30:]) - X[30:]).mean()
        assert history["val_reconstruction_error"][-1] == pytest.approx(error, rel=1e-5)

    def test_half_precision(self):
        exact, half = single(), single(dtype="mixed_float16")
        run(exact)
        run(half)
        for one, other in zip(exact.get_weights(), half.get_weights(), strict=True):
            assert one.dtype == other.dtype
        assert_same(half.layers[0].get_weights(), exact.layers[0].get_weights(), rtol=0, atol=0.01)
        for weight, start in zip(exact.get_weights(), single().get_weights(), strict=True):
            assert np.abs(weight - start).max() > 0.03  # negative control


class TestRepeating:
    @pytest.mark.parametrize(
        "killed_in, rule",
        [pytest.param("first", PersistentContrastiveDivergence(), marks=pytest.mark.slow), ("second", "hybrid")],
    )
    def test_a_run_that_was_killed_is_resumed_and_ends_with_the_same_weights(self, killed_in, rule, tmp_path):
        rule = Hybrid([(ContrastiveDivergence(sampling=True), 2), (ReconstructionError(), 2)]) if rule == "hybrid" else rule
        expected = mlp()
        run(expected, rule=rule, epochs=4, optimizer=None)

        class Kill(keras.callbacks.Callback):
            def on_train_batch_begin(self, batch, logs=None):
                if self.model.layer.name == killed_in and self.epoch == 3 and batch == 2:
                    raise KeyboardInterrupt

            def on_epoch_begin(self, epoch, logs=None):
                self.epoch = epoch
                trained.append((self.model.layer.name, epoch))

        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        model, trained = mlp(), []
        with pytest.raises(KeyboardInterrupt):
            run(model, rule=rule, epochs=4, optimizer=None, callbacks=[backup, Kill()])
        assert not model.get_layer(killed_in).visible_bias.trainable

        resumed, trained[:] = mlp(), []
        keras.utils.set_random_seed(99)  # what is drawn now must not matter
        killed, killed_in = killed_in, None
        run(resumed, rule=rule, epochs=4, optimizer=None, callbacks=[backup, Kill()])
        assert_same(resumed.get_weights(), expected.get_weights(), rtol=0, atol=0)
        assert trained[0] == (killed, 3)
        assert not (tmp_path / "backup").exists()

    def test_order_changes_from_epoch_to_epoch_and_every_sample_is_seen(self):
        from keras_xai.pretraining.data import Shuffled

        data = Shuffled(np.arange(23), 5, shuffle=True)
        orders = []
        for order in ((0, 0), (0, 1), (1, 0), (0, 0)):
            data.order = order
            orders.append(np.concatenate([data[i][0] for i in range(len(data))]).tolist())
        assert all(sorted(order) == list(range(23)) for order in orders)
        assert orders[0] == orders[3] and len({tuple(order) for order in orders}) == 3


class TestCallbacks:
    def test_the_default_optimizer_raises_its_momentum_in_the_sixth_epoch(self):
        """With one batch, an epoch is a step, and seven of them are soon written out."""
        seen = []

        class Look(keras.callbacks.Callback):
            def on_epoch_end(self, epoch, logs=None):
                optimizer = self.model.optimizer
                seen.append((round(float(optimizer.learning_rate), 6), optimizer.momentum))

        model = keras.Sequential([keras.Input((6,)), RBMDense(5, "linear", dtype="float64")])
        start = model.layers[0].get_weights()
        run(model, epochs=7, batch_size=40, optimizer=None, callbacks=[Look()])
        assert seen == [(0.01, 0.5)] * 5 + [(0.01, 0.9)] * 2
        errors = []
        for later in (0.9, 0.5):
            x = X.astype("float64")
            kernel, bias, visible = start
            velocity = [0, 0, 0]
            for epoch in range(7):
                y0 = x @ kernel + bias
                x1 = y0 @ kernel.T + visible
                y1 = x1 @ kernel + bias
                steps = ((x.T @ y0 - x1.T @ y1) / 40, (y0 - y1).mean(0), (x - x1).mean(0))
                velocity = [(later if epoch >= 5 else 0.5) * v + 0.01 * step for v, step in zip(velocity, steps, strict=True)]
                kernel, bias, visible = kernel + velocity[0], bias + velocity[1], visible + velocity[2]
            errors.append(np.abs(kernel - model.layers[0].get_weights()[0]).max())
        assert errors[0] < 1e-7 < 1e-5 < errors[1]

    def test_each_layer_gets_a_fresh_copy_of_the_users_optimizer(self):
        optimizer = keras.optimizers.Adam(0.01)
        model = mlp()
        run(model, optimizer=optimizer)
        assert not optimizer.built
        other = single()
        run(other, optimizer="adam")
        assert not np.array_equal(model.get_weights()[0], other.get_weights()[0])

    def test_early_stopping_ends_a_layer_and_not_the_pretraining(self):
        stop = keras.callbacks.EarlyStopping("reconstruction_error", patience=1, min_delta=10, mode="min")
        histories = run(mlp(), epochs=6, callbacks=[stop])
        assert [len(history.epoch) for history in histories.values()] == [2, 2]

    def test_tensorboard_gets_a_folder_for_each_layer(self, tmp_path):
        run(mlp(), validation_data=X, callbacks=keras.callbacks.TensorBoard(tmp_path))
        folders = {str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob("events*")}
        assert {"00_first/train", "00_first/validation", "01_second/train", "01_second/validation"} <= folders

    @pytest.mark.parametrize("verbose", [0, 1, 2])
    def test_progress(self, verbose, capsys):
        run(mlp(), verbose=verbose)
        output = capsys.readouterr().out
        assert output.count("Epoch") == (4 if verbose == 2 else 0)
        if verbose == 1:
            assert "16/16" in output and output.count("\n") == 1
            assert "first reconstruction_error" in output and "second reconstruction_error" in output
        else:
            assert bool(output) == bool(verbose)


@pytest.mark.parametrize("options", [{"jit_compile": True, "steps_per_execution": 3}, {"run_eagerly": True}])
def test_compiled_in_another_way_it_is_the_same_training(options):
    model, expected = single(), single()
    run(model, shuffle=False, **options)
    run(expected, shuffle=False)
    assert_same(model.get_weights(), expected.get_weights())


class TestBadInput:
    """Errors come before the first step, and leave the weights as they are."""

    def refuse(self, message, model=None, x=X, rule=None, error=ValueError, **options):
        model = mlp() if model is None else model
        before = model.get_weights()
        with pytest.raises(error, match=message):
            run(model, x, rule, **options)
        assert_same(model.get_weights(), before, rtol=0, atol=0)

    def test_a_model_without_machines(self):
        model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(2, name="head")])
        self.refuse("with `keras_xai.layers.RBMDense` layers. Received: a model without one, with the layers .*'head'", model)

    def test_a_model_of_which_nothing_is_trainable(self):
        model = mlp()
        model.trainable = False
        self.refuse("Expected a trainable layer", model)

    def test_a_model_that_was_never_called(self):
        class Subclassed(keras.Model):
            def call(self, x):
                return x

        self.refuse("never called", Subclassed())

    def test_a_layer_called_twice(self):
        layer, inputs = RBMDense(6, "sigmoid", name="shared"), keras.Input((6,))
        self.refuse("'shared', which is called again as 'shared:1'", keras.Model(inputs, layer(layer(inputs))))

    def test_a_layer_inside_a_wrapper(self):
        model = keras.Sequential(
            [keras.Input((3, 6)), keras.layers.TimeDistributed(RBMDense(2, "sigmoid", name="inside"), name="outside")]
        )
        self.refuse("'inside', which is inside 'outside'", model, np.ones((4, 3, 6)))

    def test_an_activation_that_is_no_machines(self):
        self.refuse("Layer 'first' cannot be pretrained. .* Received: gelu", mlp("gelu"))

    def test_a_layer_trained_by_lora(self):
        model = mlp()
        model.get_layer("first").enable_lora(2)
        self.refuse("'first', which is quantized or trained by LoRA", model)

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_data_that_are_not_finite(self, bad):
        x = X.copy()
        x[7, 2] = bad
        self.refuse("NaN or infinity in 1 of 40 samples, first in sample 7", x=x)
        self.refuse("NaN or infinity", x=tf.data.Dataset.from_tensor_slices(x).batch(10))
        self.refuse("NaN or infinity", validation_data=x)

    def test_data_of_another_shape(self):
        self.refuse(r"shape \(None, 6\).*Received: an array of shape \(40, 5\)", x=X[:, :5])
        self.refuse("Expected at least one sample", x=X[:0])
        self.refuse("Received: an array of shape", validation_data=X[:, :5])
        self.refuse("Received: an array of shape", x=tf.data.Dataset.from_tensor_slices(X[:, :5]).batch(10))

    def test_data_far_outside_the_range_of_the_units(self):
        message = "from 0 to 1 for the visible units of layer 'first'.*activation 'sigmoid'.*Rescale the data, or .*='linear'"
        self.refuse(message, x=255 * X)
        self.refuse("from -1 to 1 for .*'tanh'", mlp("tanh"), 255 * X)

    def test_data_a_little_outside_are_warned_of(self):
        with pytest.warns(UserWarning, match="from 0 to 1 for the visible units of layer 'first'.*values from -0.1"):
            run(single(), X - 0.15 - X.min(), epochs=1)
        with pytest.warns(UserWarning, match="from 0 to inf for the visible units .*'relu'"):
            run(mlp("relu"), X - 0.5, epochs=1)
        run(single(visible_activation="linear"), 3 * X, epochs=1)  # no warning, which would be an error

    def test_a_rule_that_does_not_fit(self):
        self.refuse("rules for 7 . 3 = 10 epochs, and epochs=2. Pass epochs=10", rule=Hybrid())
        self.refuse("Expected a rule, such as `ContrastiveDivergence", rule=ContrastiveDivergence, error=TypeError)
        self.refuse("Expected a rule for each layer", rule=Hybrid({"first": ContrastiveDivergence()}))

    @pytest.mark.parametrize(
        "options, message",
        [
            ({"epochs": 0}, "`epochs` to be an integer"),
            ({"batch_size": 0}, "`batch_size` to be an integer"),
            ({"verbose": 3}, "`verbose`"),
            ({"validation_split": 1.5}, "`validation_split` to be between 0 and 1"),
            ({"x": tf.data.Dataset.from_tensor_slices(X).batch(5), "validation_split": 0.5}, "Expected arrays to split"),
            ({"optimizer": "no_such_optimizer"}, "no_such_optimizer"),
        ],
    )
    def test_options_that_make_no_sense(self, options, message):
        self.refuse(message, **options)

    def test_an_unknown_option(self):
        self.refuse("no_such_option", error=TypeError, no_such_option=1)


def test_a_run_that_diverges_stops_with_the_last_good_weights():
    model = mlp("linear")
    good = []

    class Keep(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            good.append((epoch, self.model.layer.get_weights()))

    def rate(epoch, current):
        return 0.01 if epoch < 2 else 1e20

    second = model.get_layer("second").get_weights()
    with pytest.warns(UserWarning, match=r"weights or loss of layer 'first' became infinite or NaN in epoch 3 of 9"):
        histories = run(model, epochs=9, callbacks=[keras.callbacks.LearningRateScheduler(rate), Keep()])
    assert list(histories) == ["first"] and [epoch for epoch, _ in good] == [0, 1, 2]
    assert_same(model.get_layer("first").get_weights(), good[-1][1], rtol=0, atol=0)
    assert np.isfinite(model.get_layer("first").get_weights()[0]).all()
    assert_same(model.get_layer("second").get_weights(), second, rtol=0, atol=0)


def _digits():
    return load_digits().data.astype("float32")


def _two_layers(activation):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((64,)), RBMDense(64, activation, name="first"), RBMDense(32, activation, name="second")]
    )


@pytest.mark.parametrize(
    "activation, reason", [("relu", "reconstruction error of layer 'first' rose"), ("linear", "of layer 'first'")]
)
def test_data_that_units_without_a_greatest_value_cannot_hold(activation, reason):
    model = _two_layers(activation)
    before = model.get_weights()
    with pytest.warns(UserWarning, match="Rescale|rescale") as told:
        histories = pretrain(model, _digits(), epochs=5, verbose=0)
    messages = [str(each.message) for each in told if each.category is UserWarning]
    assert len(messages) == 2
    assert "of layer 'first'" in messages[0] and "values from 0 to 16" in messages[0] and "Rescale the data" in messages[0]
    assert (
        reason in messages[1] and "in epoch 1 of 5" in messages[1] and "Use a smaller learning rate, or rescale" in messages[1]
    )
    assert list(histories) == ["first"]
    for layer, place in zip(model.layers, (0, 3), strict=True):
        assert_same(layer.get_weights()[:2], before[place : place + 2], rtol=0, atol=0)  # but for the fitted visible bias


@pytest.mark.parametrize("activation", ["relu", "linear", "sigmoid"])
def test_watching_changes_nothing_of_data_that_fit(activation, monkeypatch):
    watched, plain = _two_layers(activation), _two_layers(activation)
    keras.utils.set_random_seed(1)
    assert list(pretrain(watched, _digits()[:400] / 16, epochs=2, verbose=0)) == ["first", "second"]  # no warning
    module = sys.modules["keras_xai.pretraining.pretrain"]  # the package's attribute of that name is the function
    monkeypatch.setattr(module, "sample", lambda *_: None)
    monkeypatch.setattr(module, "check_visible", lambda *_: None)
    keras.utils.set_random_seed(1)
    pretrain(plain, _digits()[:400] / 16, epochs=2, verbose=0)
    assert_same(watched.get_weights(), plain.get_weights(), rtol=0, atol=0)


def test_a_layer_whose_units_die_is_put_back():
    model = _two_layers("relu")

    class Ruin(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.layer.name == "second":
                self.model.layer.bias.assign(-1e3 * np.ones(32))

    before = model.get_layer("second").get_weights()
    with pytest.warns(
        UserWarning, match="active units of layer 'second' became 0 for all samples in epoch 1 of 2.*rescale the data"
    ):
        pretrain(model, _digits()[:200] / 16, epochs=2, verbose=0, callbacks=[Ruin()])
    assert_same(model.get_layer("second").get_weights()[:2], before[:2], rtol=0, atol=0)


def test_a_layer_behind_dead_units_reports_no_error_of_zero():
    model = _two_layers("relu")
    model.get_layer("first").bias.assign(-1e3 * np.ones(64))
    model.get_layer("first").trainable = False
    with pytest.warns(UserWarning, match="the inputs of layer 'second' are 0 for all samples"):
        histories = pretrain(model, _digits()[:200] / 16, epochs=2, verbose=0)
    assert histories == {}


class Looks(keras.callbacks.Callback):
    """A callback that looks at each batch."""

    def on_train_batch_end(self, batch, logs=None):
        pass


@pytest.mark.parametrize(
    "given, expected",
    [
        ({}, 4),  # not more than the batches of an epoch
        ({"steps_per_execution": 3}, 3),
        ({"run_eagerly": True}, 1),
        ({"steps_per_epoch": 2}, 1),  # with more, Keras would take more steps
        ({"validation_data": np.zeros((8, 6)), "validation_steps": 2}, 1),
        ({"callbacks": Looks()}, 1),
        ({"callbacks": keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: None)}, 1),
        ({"callbacks": keras.callbacks.CSVLogger("log.csv")}, 4),
        ({"callbacks": keras.callbacks.BackupAndRestore("backup")}, 4),
        ({"callbacks": keras.callbacks.BackupAndRestore("backup", save_freq=2)}, 1),
    ],
)
def test_small_layers_take_several_steps_per_execution(given, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = []
    look = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: seen.append(look.model.steps_per_execution))
    callbacks = [look, given["callbacks"]] if "callbacks" in given else [look]
    model = keras.Sequential([keras.Input((6,)), RBMDense(5, "sigmoid")])
    pretrain(
        model,
        np.random.default_rng(0).uniform(size=(38, 6)),
        epochs=1,
        batch_size=10,
        verbose=0,
        **given | {"callbacks": callbacks},
    )
    assert seen == [expected]


def test_large_layers_and_convolutions_take_one_step_per_execution():
    large = keras.Sequential([keras.Input((784,)), RBMDense(2000, "sigmoid")])
    behind = keras.Sequential(
        [keras.Input((4, 4, 1)), keras.layers.Conv2D(1, 2), keras.layers.Flatten(), RBMDense(3, "sigmoid")]
    )
    for model, batch_size in ((large, 1024), (behind, 10)):
        (stage,) = plan(trace(model), ContrastiveDivergence(), 1)
        assert steps_per_execution(stage, batch_size, None, []) == 1
