"""Where networks come from: implementations of ``contract.BackboneSource``."""
