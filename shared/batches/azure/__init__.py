"""The engine that is Azure's batch service: placed at one resource, watched, moved, collected, settled."""
