"""How high the river will be in the town, by how high it is at the mill above it."""
