"""What runs the flows: served from one machine (`up.py`), or by a Prefect work pool (`prefect.yaml`)."""
