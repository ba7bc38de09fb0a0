"""causalprint: which generative model made each image of a web-scale dataset, with the evidence in Parquet."""

__version__ = "0.1.0"
