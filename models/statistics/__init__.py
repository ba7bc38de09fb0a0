"""Numpy alone: weights and folds, calibration, and figures of merit with their intervals."""
