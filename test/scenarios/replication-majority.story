# What a majority holds is committed, and a member that comes back catches up (5.3).
members a b c
elect a
cut c
propose a x y
run
expect a applied x y
expect b applied x y
expect c applied
join c
tick a 2
run
expect c applied x y
