"""From a staged model and a freeze plan to the weights that validation chose."""
