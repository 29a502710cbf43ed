# Pit 2: while one member replaces another, a majority before and one after must both agree (dissertation 4.3).
members a b c
learners d
elect a
run
tick a 2
run
replace a c by d
run
expect a voters a b d
expect a removed c
