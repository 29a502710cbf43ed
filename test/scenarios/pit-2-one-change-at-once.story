# Pit 2: one change at a time.
members a b c
elect a
run
add a d
add a e refused change-in-progress
run
