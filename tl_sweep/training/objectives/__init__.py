"""What a run minimises: implementations of ``base.Objective``, by the name in ``objective.name``."""
