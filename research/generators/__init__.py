"""The repository's own generators: a small diffusion model of photographs, and two autoencoders."""
