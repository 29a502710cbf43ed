# Pit 1: a leader that was deposed and does not know it answers no reads.
members a b c
elect a
run
cut a
elect b
propose b new
run
read a 1
run
expect no read 1
