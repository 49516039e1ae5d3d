"""What the estimates mean for the book: one prepared book, its segments, time to cure, loss and the provision."""
