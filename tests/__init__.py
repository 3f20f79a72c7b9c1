"""The tests of Circus; `docs/design/` says what lives where."""
