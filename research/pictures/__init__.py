"""Graphics: what ordinary software draws, so that a bundle learns that neither a camera nor a generator made it."""
