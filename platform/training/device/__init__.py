"""What a device is: how it computes best, and what of it is the trial's."""
