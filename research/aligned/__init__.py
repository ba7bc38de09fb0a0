"""The aligned track: the same photographs as they are and through every decoder, so that only the artefact differs."""
