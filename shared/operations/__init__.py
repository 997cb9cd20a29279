"""What an operator can do, whoever asks: the manage API, the command line, a timer."""
