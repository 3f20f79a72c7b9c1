"""Traces and metrics over OTLP: records and snapshots in, requests to a collector out."""
