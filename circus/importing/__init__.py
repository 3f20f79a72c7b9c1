"""Configurations of other supervisors, made into one for circusd. Loaded by `circusctl import` alone."""
