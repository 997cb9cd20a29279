"""The gateway's own engine: chunks of lines, run by calls of its own, each answer kept once."""
