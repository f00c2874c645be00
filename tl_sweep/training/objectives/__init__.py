"""What a run minimises: implementations of ``contract.Objective``, by the name in ``objective.name``."""
