"""The keys of the group `pretraining`."""

from study.key import Key
from study.kinds import FLAG, TEXT, choice, either, number, per_layer, share, whole

PRETRAINING_KEYS: dict[str, Key] = {
    "pretraining.name": Key("result", TEXT, "what trains the layers before the net is trained"),
    "pretraining.layers": Key(
        "result", either(whole(1), choice("all")), "how many layers are pretrained, from the first"
    ),
    "pretraining.epochs": Key("result", per_layer(whole(1)), "epochs; a list has one a layer"),
    "pretraining.lr": Key(
        "result", per_layer(number(0, above=True)), "learning rate; a list has one a layer"
    ),
    "pretraining.batch_size": Key(
        "result", per_layer(whole(1)), "examples per update; a list has one a layer"
    ),
    "pretraining.optimizer": Key(
        "result",
        per_layer(choice("sgd", "adam", "adamw", "rmsprop")),
        "the optimizer; a list has one a layer",
    ),
    "pretraining.momentum": Key("result", share(), "momentum; an RBM's before its switch"),
    "pretraining.weight_decay": Key("result", number(0), "decay of the weights, never of biases"),
    "pretraining.decoder": Key(
        "result", choice("tied", "untied"), "the transposed encoder, or weights of its own"
    ),
    "pretraining.loss": Key(
        "result", choice("squared", "cross_entropy"), "reconstruction error that is minimized"
    ),
    "pretraining.corruption": Key(
        "result", choice("masking", "gaussian"), "what corrupts a denoising autoencoder's inputs"
    ),
    "pretraining.corruption_level": Key(
        "result", number(0), "probability of masking an input, or std of the Gaussian noise"
    ),
    "pretraining.visible": Key(
        "result", choice("bernoulli", "gaussian"), "visible units of the first layer's RBM"
    ),
    "pretraining.hidden": Key(
        "result",
        choice("auto", "bernoulli", "linear"),
        "hidden units; auto is what the activation is the mean of",
    ),
    "pretraining.mean_field": Key(
        "result", FLAG, "an RBM for an activation that is no probability all the same"
    ),
    "pretraining.cd_steps": Key("result", whole(1), "k of contrastive divergence, CD-k"),
    "pretraining.persistent": Key("result", FLAG, "chains that go on from update to update (PCD)"),
    "pretraining.final_momentum": Key("result", share(), "an RBM's momentum after the switch"),
    "pretraining.momentum_switch": Key("result", whole(0), "epochs before that switch"),
    "pretraining.weight_cost": Key("result", number(0), "an RBM's decay of the weights"),
    "pretraining.equal_budget": Key(
        "result", FLAG, "leave it out, and train the net for as many more updates"
    ),
}
"""By their dotted names, as study.keys has them."""
