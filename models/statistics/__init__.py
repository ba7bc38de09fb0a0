"""Numpy alone: ridge regression, calibration, and figures of merit with their intervals."""
