"""The numerics: linear maps between layers, their R², folds, nulls and intervals. They know of no model."""
