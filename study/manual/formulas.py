"""By name the formula and the source of every metric of tables, probe and quantity of claims.

z: pre-activations, a = f(z) activations, x: a layer's inputs, W its weights, L_n the loss of
example n, L its mean over examples; n counts examples (of a convolution positions too), i units.
y is what a net gives, t the target. What a name means in words stands beside it in docs/metrics.md.
"""

from collections.abc import Mapping

Formula = tuple[str, str]
"""The formula, and where it is from; the source may be empty."""

GLOROT = "Glorot & Bengio 2010"
BATCHNORM = "Ioffe & Szegedy 2015"

_ERROR = "mean over n of [argmax y_n ≠ t_n]"
_LOSS = "mean over n of −log softmax(y_n)[t_n]; with `loss=squared_error` of Σ_c (y_nc − t_nc)²"
_LOSSES: dict[str, Formula] = {
    f"{state}{split}_{kind}": (formula, "")
    for state in ("", "last_")
    for split in ("train", "val", "test")
    for kind, formula in (("error", _ERROR), ("loss", _LOSS))
}

METRICS: Mapping[str, Formula] = {
    **_LOSSES,
    "best_epoch": ("argmin over epochs of (val_error, val_loss, epoch)", ""),
    "chosen_lr": ("argmin over lr of (mean over seeds of val_error, of val_loss, lr)", ""),
    "wall_seconds": ("clock", ""),
    "pretraining_seconds": ("clock", ""),
}

RECONSTRUCTION: Formula = (
    "mean over n of Σ_p (y_np − x_np)², p over pixels",
    "Hinton & Salakhutdinov 2006",
)
"""Of every error where the net is an autoencoder."""

PROBES: Mapping[str, Formula] = {
    "preactivation_mean": ("mean over n, i of z_ni", ""),
    "preactivation_variance": ("mean over n, i of (z_ni − mean z)²", ""),
    "preactivation_p15": ("15th percentile of all z_ni", f"{BATCHNORM}, fig. 1"),
    "preactivation_p50": ("50th percentile of all z_ni", f"{BATCHNORM}, fig. 1"),
    "preactivation_p85": ("85th percentile of all z_ni", f"{BATCHNORM}, fig. 1"),
    "activation_mean": ("mean over n, i of a_ni", f"{GLOROT}, fig. 2"),
    "activation_variance": ("mean over n, i of (a_ni − mean a)²", f"{GLOROT}, fig. 6"),
    "activation_sparsity": ("mean over n, i of [a_ni = 0]", "Glorot, Bordes & Bengio 2011"),
    "dead_fraction": ("mean over i of [max_n abs f'(z_ni) < 0.01 sup abs f']", "the lecture"),
    "dead_fraction_train": ("the same, n over the training set", "the lecture"),
    "saturated_fraction": ("mean over n, i of [abs f'(z_ni) < 0.01 sup abs f']", "this project"),
    "linear_fraction": ("mean over n, i of [abs f'(z_ni) ≥ 0.5 sup abs f']", "this project"),
    "gradient_variance": ("variance over n, i of ∂L_n/∂z_ni", f"{GLOROT}, fig. 7"),
    "weight_gradient_variance": ("variance over j of ∂L/∂W_j", f"{GLOROT}, section 4.2"),
    "sign_agreement": (
        "mean over n, i of (1 + abs Σ_j s_nij / Σ_j abs s_nij) / 2, s_nij = sign ∂L_n/∂W_ij",
        "after LeCun et al. 1998, section 4.3",
    ),
    "jacobian_singular_value": (
        "mean over n, k of σ_k(diag(f'(z_n)) W)",
        f"{GLOROT}, section 4.2.1",
    ),
    "distinct_units": (
        "classes of units whose rows (W_i, b_i, γ_i, β_i) differ by at most 1e-6 max abs W",
        "this project",
    ),
    "update_ratio": ("norm(W' − W) / norm(W), W' after the update", "this project"),
    "weight_norm": ("sqrt(Σ_ij W_ij²)", ""),
    "effective_rank": (
        "exp(−Σ_k p_k log p_k), p_k = σ_k / Σ_l σ_l, σ of W",
        "Roy & Vetterli 2007, definition 1",
    ),
    "input_shift": (
        "mean over i of sqrt((m'_i − m_i)² + (s'_i − s_i)²) / sqrt(mean over i of s_i²), m and s "
        "mean and standard deviation of x_i at the last probe, m' and s' now",
        "distance: Givens & Shortt 1984, proposition 7; notion: Ioffe & Szegedy 2015",
    ),
    "gamma_mean": ("mean over i of γ_i", BATCHNORM),
    "gamma_std": ("sqrt(mean over i of (γ_i − mean γ)²)", BATCHNORM),
    "beta_mean": ("mean over i of β_i", BATCHNORM),
    "beta_std": ("sqrt(mean over i of (β_i − mean β)²)", BATCHNORM),
}

_BARRIER = "max over α of L((1 − α) w + α w') − [(1 − α) L(w) + α L(w')]"
_ENTEZARI = "Entezari et al. 2022"

QUANTITIES: Mapping[str, Formula] = {
    "diverged": ("100 [the last loss is not finite, or over 1,000 times that before training]", ""),
    "epoch_seconds": ("seconds of training / epochs", ""),
    "epochs_to_train_error": ("min {epoch: error while it trained ≤ target}", ""),
    "epochs_to_val_error": ("min {epoch: val_error ≤ target}", ""),
    "pairs.barrier": (f"{_BARRIER}, L the training loss", _ENTEZARI),
    "pairs.test_barrier": (f"{_BARRIER}, L the test loss", _ENTEZARI),
    "pairs.error_barrier": (f"{_BARRIER}, L the test error", _ENTEZARI),
    "pairs.disagreement": ("mean over n of [argmax y_n ≠ argmax y'_n]", "Fort et al. 2019"),
    "pairs.distance": ("norm(w' − w)", ""),
    "pairs.relative_distance": ("norm(w' − w) / sqrt((norm(w)² + norm(w')²) / 2)", ""),
    "pairs.cosine": ("w · w' / (norm(w) norm(w'))", "Fort et al. 2019"),
}
