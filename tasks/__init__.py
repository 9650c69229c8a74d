"""What the flows do: read, decide (by calling ops), write. Every socket, file and clock of the flows is in here."""
