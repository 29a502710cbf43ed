# A minority commits nothing, and its leader steps down (CheckQuorum, 6.2).
members a b c
elect a
run
cut b
cut c
propose a lost
run
expect a applied
tick a 20
expect a follower
