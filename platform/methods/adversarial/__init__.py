"""Adaptation against a discriminator that tells the domains apart."""

from platform.methods.adversarial.output_space import Adversarial

__all__ = ["Adversarial"]
