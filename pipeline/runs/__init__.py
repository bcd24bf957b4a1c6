"""One run of a command from its options to a finished label set: output folder, splitting, processes, manifest."""
