"""How a bundle's networks and a convolutional lens are learned: recipes, interventions, objectives, and the loop."""
