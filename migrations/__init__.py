"""The schema's history; `watchkeeper db upgrade` applies it."""
