"""One file per schedule: each orders calls and decides nothing. `deployments/` says when they run."""
