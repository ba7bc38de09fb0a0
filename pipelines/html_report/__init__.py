"""The report on an audit: one HTML file for whoever has to act on it, every figure of which is a query over the tables."""
