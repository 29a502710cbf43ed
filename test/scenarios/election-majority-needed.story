# Nobody leads without a majority (5.2).
members a b c
cut b
cut c
tick a 60
run
expect a pre-candidate
expect a term 1
