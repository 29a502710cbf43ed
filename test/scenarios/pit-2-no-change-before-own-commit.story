# Pit 2: a leader changes the membership only after it has committed in its own term (Ongaro 2015).
members a b c
hold b
hold c
send a timeout-now from b term 1
round
round
flush b
hold b
round
expect a leader
remove a c refused change-in-progress
flush b
flush c
run
remove a c
run
expect a voters a b
