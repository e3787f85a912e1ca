"""What a step is made of: passes of the network, gradients, and optimisers with their learning rates.

Beside it the watch for losses that are not finite, a step as one launch, and a saved state as it comes back.
"""
