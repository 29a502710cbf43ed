# Pit 6: who is behind the log gets the snapshot, and goes on from its index.
members a b c
elect a
run
cut c
propose a 1 2 3
run
compact a 5
join c
tick a 2
run
tick a 2
run
snapshot a c arrived
propose a 4
tick a 2
run
expect c applied 4
expect c commit 6
