"""The sync round: its state machine, its messages, its tensors."""
