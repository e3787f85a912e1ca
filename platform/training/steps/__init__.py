"""What a step is made of: passes of the network, gradients, and the watch for numbers that are not finite."""
