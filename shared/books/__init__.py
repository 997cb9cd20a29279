"""What the books say: sums of usage by any dimension, exports, the split of fixed costs. Pure."""
