"""The operator's side: keys, usage, configuration. Run as `python3 -m shared.manage`."""
