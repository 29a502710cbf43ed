# A late, shorter append takes nothing away that came after it.
members a b c
elect a
run
cut c
save a>b append
propose a one
save a>b append
propose a two
run
tick a 2
run
replay
run
expect b applied one two
