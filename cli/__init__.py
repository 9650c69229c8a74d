"""The command `watchkeeper`: thin commands for people, `--json` for machines."""
