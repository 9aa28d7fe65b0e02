"""What `python -m syncr2` does beside the workflow: verify, show, forecast, check."""
