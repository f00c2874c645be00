"""Processes and machines that jobs run on."""
