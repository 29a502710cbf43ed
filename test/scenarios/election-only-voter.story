# A member that is alone leads at once.
members a
tick a
run
expect a leader
