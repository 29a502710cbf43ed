# A hand-over that does not come about is given up (3.10).
members a b c
elect a
run
cut b
transfer a b
tick a 2
run
tick a 8
run
tick a 8
run
propose a goes-on
run
expect a applied goes-on
