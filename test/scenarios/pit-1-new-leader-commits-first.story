# Pit 1: a new leader answers reads only after it has committed in its own term (6.4, step 1).
members a b c
cut c
elect a
run
cut b>a
read a 1
run
expect no read 1
join b>a
tick a 2
run
tick a 2
run
expect read 1 at 2
