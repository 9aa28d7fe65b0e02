"""Words of the controls that figures and pages share; `words` has those of conditions."""

from __future__ import annotations

# Kinds of states: as they are, or less the mean of their dialogue.
STATES = {"plain": "as they are", "centred": "centred within dialogue"}
# Who takes the partner's place in a draw of each null.
NULLS = {"permutation": "partners of any episode", "pseudo": "partners of the same episode, other seed"}
INDICES = {"sync_r2": "SyncR²", "cka": "CKA, debiased", "cca": "CCA, mean squared"}
# Whose maps a group of episodes is measured with.
FITS = {"one": "maps of all episodes", "separate": "maps of its own"}

# What the partner's state adds to each of these, in the order of reading.
PARTNER_ADDS = {"own_past_gain": "own past", "context_gain": "context", "text_gain": "text"}
# What a nonlinear map adds to the affine one.
NONLINEAR_ADDS = {"kernel_ridge_gain": "kernel ridge", "mlp_gain": "MLP"}
# What the target's state is predicted from.
LEVELS = {
    "own_past": "own past",
    "context": "context",
    "text": "text",
    "interaction": "partner's state",
    "ceiling": "ceiling",
}
# Measures of synchrony that correlations are tried with.
MEASURES = {
    "published": "SyncR² as published",
    "corrected_plain": "R², corrected protocol",
    "corrected_centred": "the same, centred within dialogue",
    "own_past_gain": "ΔR² over own past",
}
