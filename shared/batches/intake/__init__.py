"""Inputs of batches on their way in: checked line by line, uploaded in parts, written anew for whoever runs them."""
