"""The laboratory: what proves the product and finds its recipes. The product never imports it."""
