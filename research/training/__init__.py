"""Training of what a bundle is made from besides its head: the convolutional lens, the diffusion prior, the autoencoders."""
