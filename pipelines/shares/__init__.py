"""What shares of an audit are told from: groups of images, their scores, the bundle, labels."""
