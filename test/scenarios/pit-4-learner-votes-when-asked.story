# Pit 4: a member that does not know of its promotion votes when it is asked.
members a b c
learners d
send d vote-request from a term 5 last 9 of 9 transfer
run
expect sent vote-response d>a 1
expect d term 5
